import { defineCommand } from "../lib/cli/command.ts";

export interface KernelListOptions {
  json: boolean;
}

export const kernelList = defineCommand<KernelListOptions>({
  name: "kernel list",
  summary: "List the kernels that cordon kernel setup made",
  description: "Looks where Jupyter looks, in its order. A kernel whose cordon executable is gone is marked.",
  usage: ["[--json]"],
  examples: [
    { text: "Which kernels are isolated?", command: "cordon kernel list" },
    { text: "Their images", command: "cordon kernel list --json | jq -r '.kernels[].image // empty'" },
  ],
  options: [{
    long: "json",
    description: "Print one JSON object",
    details:
      "Its key kernels is a list of {name, directory, display_name, language, engine, image, network, limits, " +
      "executable, executable_exists, problem}; image and problem are null where there is none.",
  }],
  operands: [],
  passThrough: false,
  exitUsage: 2,
  read: (parsed) => ({ json: parsed.flag("json") }),
  load: () => import("./kernel-list.ts"),
});
