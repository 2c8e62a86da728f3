/** The old name `jupyter_docker_kernel.py`. */
import type { CommandContext } from "../../lib/cli/command.ts";
import { writeStdout } from "../../lib/cli/streams.ts";
import { parseJupyterDockerKernel, USAGE } from "./jupyter-docker-kernel.options.ts";

export async function run(context: CommandContext): Promise<number> {
  const request = parseJupyterDockerKernel(context.args);
  switch (request.kind) {
    case "setup":
      return await (await import("../kernel-setup.ts")).run(request.options, context);
    case "launch":
      return await (await import("../kernel-launch.ts")).run(request.options, context);
    case "help":
      writeStdout(USAGE);
      return 0;
  }
}
