import { defineCommand, type Parsed } from "../lib/cli/command.ts";
import { parseKernelName } from "../lib/jupyter/kernelspec.ts";

export interface KernelRemoveOptions {
  /** In lower case, as Jupyter keeps them. */
  names: string[];
}

export const kernelRemove = defineCommand<KernelRemoveOptions>({
  name: "kernel remove",
  summary: "Remove kernels that cordon kernel setup made",
  description:
    "Removes the kernelspec that Jupyter finds first under the name, and only one that cordon made.",
  usage: ["NAME…"],
  examples: [{ text: "Remove one", command: "cordon kernel remove python3-isolated" }],
  options: [],
  operands: [{
    name: "NAME",
    description: "Name of a kernel, as cordon kernel list shows it",
    required: true,
    variadic: true,
    complete: "none",
  }],
  passThrough: false,
  exitUsage: 2,
  read: readKernelRemove,
  load: () => import("./kernel-remove.ts"),
});

function readKernelRemove(parsed: Parsed): KernelRemoveOptions {
  return { names: [...new Set(parsed.operands.map((name) => parseKernelName("NAME", name)))] };
}
