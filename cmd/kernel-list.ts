/** `cordon kernel list`: the kernelspecs that cordon made, as Jupyter finds them. */
import type { CommandContext } from "../lib/cli/command.ts";
import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import { type Style, styleFor } from "../lib/cli/style.ts";
import { CordonError } from "../lib/errors.ts";
import { hostFs } from "../lib/host/fs.ts";
import { gatherHost } from "../lib/host/host.ts";
import { findKernelspecs, isCordons, type Kernelspec } from "../lib/jupyter/kernelspec.ts";
import { kernelDirectories } from "../lib/jupyter/paths.ts";
import { jupyterFacts } from "../lib/jupyter/python.ts";
import { LIMIT_OPTIONS } from "./shared.options.ts";
import type { KernelListOptions } from "./kernel-list.options.ts";
import { readRecorded } from "./kernel-recorded.ts";

/** One kernel; the keys of `--json`. */
export interface ListedKernel {
  name: string;
  directory: string;
  display_name: string;
  language: string;
  engine: string | null;
  image: string | null;
  network: string | null;
  /** Options of limits by name, values as typed; a flag has `true`. */
  limits: Record<string, string | boolean>;
  executable: string;
  executable_exists: boolean;
  /** Why it cannot start; null when nothing is seen. */
  problem: string | null;
}

export function run(options: KernelListOptions, context: CommandContext): number {
  const host = { ...gatherHost(), env: context.env };
  const specs = findKernelspecs(kernelDirectories(jupyterFacts(host)), (error) => {
    writeStderr(`cordon: warning: ${error instanceof Error ? error.message : error}\n`);
  });
  const kernels = specs.filter(({ json }) => isCordons(json)).map(describe);
  if (options.json) {
    writeStdout(JSON.stringify({ kernels }, null, 2) + "\n");
  } else if (kernels.length === 0) {
    writeStderr("No kernels of cordon's; cordon kernel setup makes one\n");
  } else {
    writeStdout(renderKernels(kernels, styleFor("stdout", context)));
  }
  return 0;
}

function describe({ name, directory, json }: Kernelspec): ListedKernel {
  const executable = json.argv[0] ?? "";
  const exists = hostFs.stat(executable) === "file";
  const kernel: ListedKernel = {
    name,
    directory,
    display_name: json.display_name,
    language: json.language,
    engine: null,
    image: null,
    network: null,
    limits: {},
    executable,
    executable_exists: exists,
    problem: exists ? null : `${executable} does not exist`,
  };
  try {
    const { launch, given } = readRecorded(json.argv);
    kernel.engine = launch.engine;
    kernel.image = launch.image ?? null;
    kernel.network = launch.network.mode;
    const names = new Set(LIMIT_OPTIONS.map(({ long }) => long));
    for (const { name, value } of given) if (names.has(name)) kernel.limits[name] = value;
  } catch (error) {
    // Made by another version, or changed by hand: it is listed all the same.
    if (!(error instanceof CordonError)) throw error;
    kernel.problem ??= error.message;
  }
  return kernel;
}

/** Two lines a kernel, and a third where something is wrong. */
function renderKernels(kernels: readonly ListedKernel[], style: Style): string {
  return kernels.map(({ name, directory, problem, ...kernel }) => {
    const limits = Object.entries(kernel.limits).map(([limit, value]) =>
      value === true ? limit : `${limit} ${value}`
    );
    const facts = [
      kernel.image ?? kernel.engine ?? "unknown",
      ...(kernel.network === null ? [] : [`network ${kernel.network}`]),
      ...limits,
    ];
    const trouble = problem === null ? [] : [`  ${style.red(problem)}`];
    return [`${style.bold(name)}  ${facts.join(", ")}`, `  ${style.dim(directory)}`, ...trouble].join("\n") +
      "\n";
  }).join("");
}
