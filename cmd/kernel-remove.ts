/** `cordon kernel remove`: takes away kernelspecs that cordon made. */
import type { CommandContext } from "../lib/cli/command.ts";
import { writeStdout } from "../lib/cli/streams.ts";
import { nearest } from "../lib/cli/suggest.ts";
import { CordonError } from "../lib/errors.ts";
import { gatherHost } from "../lib/host/host.ts";
import { removeKernelspec } from "../lib/jupyter/install.ts";
import { findKernelspecs, isCordons, type Kernelspec } from "../lib/jupyter/kernelspec.ts";
import { kernelDirectories } from "../lib/jupyter/paths.ts";
import { jupyterFacts } from "../lib/jupyter/python.ts";
import type { KernelRemoveOptions } from "./kernel-remove.options.ts";

export function run({ names }: KernelRemoveOptions, context: CommandContext): number {
  const host = { ...gatherHost(), env: context.env };
  // A broken kernelspec is nobody's: it cannot be told whether cordon made it.
  const specs = findKernelspecs(kernelDirectories(jupyterFacts(host)));
  // All are looked at before one is removed.
  for (const { name, directory } of names.map((name) => choose(name, specs))) {
    removeKernelspec(directory);
    writeStdout(`Kernel ${name} removed from ${directory}\n`);
  }
  return 0;
}

function choose(name: string, specs: readonly Kernelspec[]): Kernelspec {
  const spec = specs.find((spec) => spec.name === name);
  if (!spec) {
    const meant = nearest(name, specs.filter(({ json }) => isCordons(json)).map(({ name }) => name));
    throw new CordonError(`There is no kernel ${name}`, {
      why: meant ? `Did you mean ${meant}?` : undefined,
    });
  }
  if (isCordons(spec.json)) return spec;
  throw new CordonError(`Kernel ${name} is not removed`, {
    why: `cordon did not make it (${spec.directory})`,
    hint: `jupyter kernelspec remove ${name}`,
  });
}
