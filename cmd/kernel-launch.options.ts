/** `cordon kernel launch`: what a kernelspec starts. No I/O. */
import { defineCommand, type OptionSpec, type Parsed } from "../lib/cli/command.ts";
import { parseFdOrFile, parsePath } from "../lib/cli/values.ts";
import { UsageError } from "../lib/errors.ts";
import { KERNEL_OPTIONS, type KernelSandbox, readSandbox } from "./kernel.options.ts";

export interface KernelLaunchOptions extends KernelSandbox {
  /** Jupyter's own connection file, which is only read. */
  connectionFile: string;
  result?: { fd: number } | { path: string };
  /** Print what would be done, and do nothing. */
  explain: boolean;
  /** The kernel's program and arguments, what a client appended included; never empty. */
  command: string[];
}

const RUNNING: OptionSpec[] = [
  {
    long: "connection-file",
    short: "f",
    value: "FILE",
    group: "Running",
    complete: "file",
    description: "Jupyter's connection file; the kernel's arguments name it too",
  },
  {
    long: "result",
    value: "FILE|fd:N",
    group: "Running",
    complete: "file",
    description: "Write one JSON object on how it ended, however it ended",
  },
  {
    long: "explain",
    group: "Running",
    description: "Print what would be done, in full, and do nothing",
  },
];

export const kernelLaunch = defineCommand<KernelLaunchOptions>({
  name: "kernel launch",
  summary: "Start an isolated kernel: what a kernelspec tells Jupyter to run",
  description:
    "Jupyter stays outside and reaches the kernel through its sockets alone. The kernel sees the system's programs, " +
    "the directory it is started in, what --mount and --mnt name, and no network. Whatever Jupyter appends to the " +
    "command line belongs to the kernel.\n\n" +
    "The status is the kernel's; 124 after the time limit, 137 after the memory limit, 125 when cordon itself failed.",
  usage: ["[OPTION…] -f FILE -- KERNEL [ARG…]"],
  examples: [
    {
      text: "What a kernelspec holds",
      command:
        "cordon kernel launch -f /run/user/1000/k.json -- python3 -m ipykernel_launcher -f /run/user/1000/k.json",
    },
    {
      text: "What would it do?",
      command: "cordon kernel launch --explain -f k.json -- python3 -m ipykernel_launcher -f k.json",
    },
  ],
  options: [...RUNNING, ...KERNEL_OPTIONS],
  operands: [
    { name: "KERNEL", description: "The kernel's program", required: true, complete: "command" },
    { name: "ARG", description: "Its arguments", variadic: true, complete: "file" },
  ],
  passThrough: true,
  exitUsage: 125,
  read: readKernelLaunch,
  load: () => import("./kernel-launch.ts"),
});

export function readKernelLaunch(parsed: Parsed): KernelLaunchOptions {
  const file = parsed.one("connection-file");
  const result = parsed.one("result");
  if (file === undefined) {
    throw new UsageError("cordon kernel launch needs -f FILE", {
      why: "FILE is Jupyter's connection file; Jupyter names it where a kernelspec says {connection_file}",
    });
  }
  return {
    ...readSandbox(parsed),
    connectionFile: parsePath("-f", file),
    ...(result !== undefined && { result: parseFdOrFile("--result", result) }),
    explain: parsed.flag("explain"),
    command: parsed.operands,
  };
}
