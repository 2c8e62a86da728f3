/** `cordon run`: the command line read, and the engine it goes to. */
import { posix } from "node:path";
import { currentDirectory } from "../lib/host/fs.ts";
import { type DockerRun, parseRun, type RunFacts } from "../lib/dockerargs/run.ts";
import { UsageError } from "../lib/errors.ts";
import { gatherHost, type Host } from "../lib/host/host.ts";
import type { RunOptions } from "./run.options.ts";

export async function run(options: RunOptions): Promise<number> {
  const host = gatherHost();
  const facts = runFacts(host);
  // Once without an engine: what is wrong with the line itself needs none to be told.
  checkScript(options, parseRun(options.dockerArgs, facts));
  if (options.engine === "namespaces") {
    const { runOnHost } = await import("./run-host.ts");
    return runOnHost(options, { host, facts });
  }
  const { runInContainer } = await import("./run-container.ts");
  return await runInContainer(options, { host, facts });
}

/** What the command line means here: this directory, this environment, these files. */
function runFacts(host: Host): RunFacts {
  const cwd = host.cwd ?? currentDirectory() ?? "/";
  return { cwd, env: host.env, readFile: (path) => Deno.readFileSync(posix.resolve(cwd, path)) };
}

function checkScript({ script }: RunOptions, { client }: DockerRun): void {
  if (!script) return;
  const other = client.interactive ? "-i" : client.tty ? "-t" : client.detach ? "-d" : undefined;
  if (other === undefined) return;
  throw new UsageError(`Options --script and ${other} cannot be given together`, {
    why: "stdin is the script",
  });
}
