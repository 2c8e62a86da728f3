/** `cordon kernel end`: what a launch in a container runs when the kernel has ended. */
import { defineCommand } from "../lib/cli/command.ts";
import { parseFd, parseFdOrFile } from "../lib/cli/values.ts";

export interface KernelEndOptions {
  container: string;
  /** Endpoint of the engine. */
  host: string;
  /** Private directory of the launch, removed too. */
  directory?: string;
  /** The engine may yet be about to make the container. */
  awaited: boolean;
  /** Descriptor on which the launch's keeper is told that nothing is left to do. */
  keeper?: number;
  /** Descriptor on which the container's first process has told how it ended. */
  told?: number;
  /** Exit with the kernel's status, and say on stderr what ended it when that was not itself. */
  status: boolean;
  result?: { fd: number } | { path: string };
  /** The limits as the result tells them, a JSON object. */
  limits: string;
}

export const kernelEnd = defineCommand<KernelEndOptions>({
  name: "kernel end",
  summary: "Remove the container of one kernel and what belongs to it",
  description:
    "A kernel in a container has a keeper that runs this when its launcher has ended, however it ended.",
  usage: ["[OPTION…] CONTAINER"],
  examples: [{
    text: "Remove one kernel's container by hand",
    command: "cordon kernel end --host unix:///var/run/docker.sock 0123abcd",
  }],
  options: [
    {
      long: "host",
      value: "ENDPOINT",
      complete: "none",
      description: "Endpoint of the engine, as in DOCKER_HOST",
    },
    {
      long: "directory",
      value: "DIR",
      complete: "dir",
      description: "Remove this directory of the launch too",
    },
    { long: "awaited", description: "Wait for the container if it is not there yet" },
    {
      long: "keeper",
      value: "N",
      complete: "none",
      description: "Descriptor of the launch's keeper, told when nothing is left",
    },
    {
      long: "told",
      value: "N",
      complete: "none",
      description: "Descriptor on which the container's first process told of its end",
    },
    { long: "status", description: "Exit with the kernel's status and tell what ended it" },
    {
      long: "result",
      value: "FILE|fd:N",
      complete: "file",
      description: "Write one JSON object on how it ended",
    },
    {
      long: "limits",
      value: "JSON",
      complete: "none",
      description: "The limits and what enforces them, for the result",
    },
  ],
  operands: [{ name: "CONTAINER", description: "Id of the container", required: true, complete: "none" }],
  passThrough: false,
  exitUsage: 2,
  read(parsed) {
    const directory = parsed.one("directory"), result = parsed.one("result");
    const keeper = parsed.one("keeper"), told = parsed.one("told");
    return {
      container: parsed.operands[0]!,
      host: parsed.one("host") ?? "",
      ...(directory !== undefined && { directory }),
      awaited: parsed.flag("awaited"),
      ...(keeper !== undefined && { keeper: parseFd("--keeper", keeper) }),
      ...(told !== undefined && { told: parseFd("--told", told) }),
      status: parsed.flag("status"),
      limits: parsed.one("limits") ?? "{}",
      ...(result !== undefined && { result: parseFdOrFile("--result", result) }),
    };
  },
  load: () => import("./kernel-end.ts"),
});
