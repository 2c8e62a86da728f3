/** Everything this executable answers to: a new command or old name is one line here. */
import type { Registry } from "../lib/cli/command.ts";
import { completions, help, man } from "./about.options.ts";
import { configCheck, configPath, configShow } from "./config.options.ts";
import { doctor } from "./doctor.options.ts";
import { isolate } from "./isolate.options.ts";
import { kernelEnd } from "./kernel-end.options.ts";
import { kernelGc } from "./kernel-gc.options.ts";
import { kernelLaunch } from "./kernel-launch.options.ts";
import { kernelList } from "./kernel-list.options.ts";
import { kernelRemove } from "./kernel-remove.options.ts";
import { kernelSetup } from "./kernel-setup.options.ts";
import { magicsInstall, magicsRemove, magicsStatus } from "./magics.options.ts";
import { portwrap } from "./portwrap.options.ts";
import { serve } from "./serve.options.ts";
import { serveCheckPolicy } from "./serve-check-policy.options.ts";
import { serveToken } from "./serve-token.options.ts";
import { run } from "./run.options.ts";

export const registry: Registry = {
  commands: [
    isolate,
    kernelSetup,
    kernelLaunch,
    kernelList,
    kernelRemove,
    kernelGc,
    kernelEnd,
    portwrap,
    serve,
    serveToken,
    serveCheckPolicy,
    run,
    configShow,
    configCheck,
    configPath,
    magicsInstall,
    magicsRemove,
    magicsStatus,
    doctor,
    completions,
    man,
    help,
  ],
  legacy: [
    {
      name: "isolate.sh",
      summary: "The command line of isolate-namespace's isolate.sh, with its meaning",
      load: () => import("./legacy/isolate-sh.ts"),
    },
    {
      name: "jupyter_docker_kernel.py",
      summary: "The command line of jupyter-docker-kernel, its setup and its launch",
      load: () => import("./legacy/jupyter-docker-kernel.ts"),
    },
    {
      name: "portwrap",
      summary: "The command line of portwrap, listening on every address and with outbound network",
      load: () => import("./legacy/portwrap.ts"),
    },
    {
      name: "batchspawner-portwrap",
      summary: "The command line of batchspawner-portwrap, for JupyterHub",
      load: () => import("./legacy/batchspawner-portwrap.ts"),
    },
  ],
};
