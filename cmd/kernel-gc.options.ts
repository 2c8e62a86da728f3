import { defineCommand } from "../lib/cli/command.ts";
import { parsePath } from "../lib/cli/values.ts";

export interface KernelGcOptions {
  /** Address of the container engine; the usual ones, and those of the kernelspecs, when absent. */
  host?: string;
  json: boolean;
}

export const kernelGc = defineCommand<KernelGcOptions>({
  name: "kernel gc",
  summary: "Remove what crashed kernels left: containers, control groups, directories",
  description:
    "Removes only what belongs to the caller and whose launcher is dead, and says what it removed. A kernel cleans " +
    "up behind itself; this is for what a power failure or a killed container engine left.",
  usage: ["[OPTION…]"],
  examples: [
    { text: "Clean up", command: "cordon kernel gc" },
    { text: "On Podman", command: "cordon kernel gc --host unix:///run/podman/podman.sock" },
  ],
  options: [
    {
      long: "host",
      value: "ENDPOINT",
      default: "the usual engine and those that kernelspecs name, where they answer",
      complete: "none",
      description: "Address of the container engine",
    },
    {
      long: "json",
      description: "Print one JSON object",
      details:
        "Keys: removed and left, lists of {kind, name}; kind is container, cgroup or directory. left could not be " +
        "removed.",
    },
  ],
  operands: [],
  passThrough: false,
  exitUsage: 2,
  read(parsed) {
    const host = parsed.one("host");
    return {
      ...(host !== undefined && { host: parsePath("--host", host) }),
      json: parsed.flag("json"),
    };
  },
  load: () => import("./kernel-gc.ts"),
});
