/**
 * Runs a sandbox with a working directory that this process reaches too. A shell stands in for the command until the
 * directory is filled: alone in there and with nothing of the client's, its environment included, so that nobody is
 * there to exchange a directory for a link while this process writes.
 */
import { O } from "../../../ffi/constants.ts";
import { lastErrno, libc } from "../../../ffi/libc.ts";
import { errnoText } from "../../../ffi/errno.ts";
import { CordonError } from "../../errors.ts";
import type { Result, Streams } from "../../engine/engine.ts";
import { namespaces } from "../../engine/namespaces/engine.ts";
import { cString } from "../../host/bytes.ts";
import type { Host } from "../../host/host.ts";
import type { Spec } from "../../spec/spec.ts";
import { WorkDirectory } from "./directory.ts";

/** Where it is inside. */
export const WORK = "/work";

const GATE = ".cordon-gate";
const WAIT = `mkfifo -m 600 ${GATE} && read -r _ <${GATE} && cd -- "$1" && shift && exec "$@" || exit 125`;
const SHELL = "/bin/sh";
/** The shell takes its turn in a few milliseconds. */
const LOOK_MS = 2;

export interface InWork {
  spec: Spec;
  host: Host;
  streams: Streams;
  /** Size of the directory. */
  bytes: number;
  /** Where the command begins; the directory itself when absent. */
  workdir: string | undefined;
  /** Called before the command begins. A failure ends the sandbox. */
  fill(directory: WorkDirectory): Promise<void>;
  /** Called when the sandbox is gone, unless it was aborted or never came to the command. */
  emptied(directory: WorkDirectory): Promise<void>;
  /** Called at the very end with what is the callee's from then on. Without it the directory goes. */
  keep?(directory: WorkDirectory): void;
}

/** As {@link Engine.run}. @throws what `fill` and `emptied` throw */
export async function runInWork(work: InWork): Promise<Result> {
  const { host, streams, fill, emptied } = work;
  const over = new AbortController();
  const failed = new AbortController();
  let opening: Promise<WorkDirectory | undefined> = Promise.resolve(undefined);
  let directory: WorkDirectory | undefined;
  try {
    let result: Result;
    try {
      result = await namespaces.run(inside(work), host, {
        ...streams,
        signal: AbortSignal.any([failed.signal, ...streams.signal ? [streams.signal] : []]),
        started(pid) {
          streams.started?.(pid);
          opening = opened(pid, { fill, over: over.signal });
          opening.catch(() => failed.abort());
        },
      });
    } finally {
      over.abort();
      directory = await opening;
    }
    if (directory && result.reason !== "aborted") await emptied(directory);
    return result;
  } finally {
    if (directory && work.keep) work.keep(directory);
    else directory?.[Symbol.dispose]();
  }
}

function inside({ spec, bytes, workdir = WORK }: InWork): Spec {
  const env = Object.entries(spec.env).map(([name, value]) => `${name}=${value}`);
  // env(1) would take such a program for one more variable.
  const named = spec.command[0]?.includes("=") ? [SHELL, "-c", 'exec "$@"', "sh"] : [];
  const command = ["/usr/bin/env", "-i", ...env, ...named, ...spec.command];
  return {
    ...spec,
    command: [SHELL, "-c", WAIT, "sh", workdir, ...command],
    env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
    workdir: { path: WORK, required: true },
    mounts: [
      ...spec.mounts,
      { dest: WORK, kind: "tmp", readOnly: false, devices: false, optional: false, mode: 0o700, bytes },
    ],
  };
}

/** Fills the directory and lets the command begin. Undefined when the sandbox ended before. */
async function opened(
  pid: number,
  { fill, over }: { fill: InWork["fill"]; over: AbortSignal },
): Promise<WorkDirectory | undefined> {
  let directory: WorkDirectory | undefined;
  try {
    while (!over.aborted) {
      const found = directory ? undefined : shellBelow(pid);
      if (found !== undefined) directory = new WorkDirectory(`/proc/${found}/cwd`);
      const gate = directory && openGate(directory);
      if (directory && gate !== undefined) {
        try {
          await Deno.remove(`${directory.path}/${GATE}`);
          await fill(directory);
          letGo(gate, over);
        } finally {
          libc().close(gate);
        }
        return directory;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  } catch (error) {
    directory?.[Symbol.dispose]();
    // What the shell had was lost with it.
    if (over.aborted) return undefined;
    throw error;
  }
  directory?.[Symbol.dispose]();
  return undefined;
}

/** The shell, once it has been executed: then it is inside, and its directory can only be the one that waits. */
function shellBelow(pid: number): string | undefined {
  for (const child of read(`/proc/${pid}/task/${pid}/children`).split(" ")) {
    if (child === "") continue;
    if (read(`/proc/${child}/cmdline`).startsWith(`${SHELL}\0-c\0${WAIT}\0`)) return child;
    const below = shellBelow(Number(child));
    if (below !== undefined) return below;
  }
  return undefined;
}

/** Empty of a process that has ended. */
function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || /os error 3\)/.test(String(error))) return "";
    throw error;
  }
}

/** Undefined until the shell reads from it (ENXIO, fifo(7)). */
function openGate({ path }: WorkDirectory): number | undefined {
  const fd = libc().open(cString(`${path}/${GATE}`), O.WRONLY | O.NONBLOCK | O.CLOEXEC, 0);
  return fd < 0 ? undefined : fd;
}

function letGo(gate: number, over: AbortSignal): void {
  if (Number(libc().write(gate, new Uint8Array([10]), 1n)) === 1) return;
  const why = errnoText(lastErrno());
  if (!over.aborted) throw new CordonError("Cannot begin in the working directory", { why });
}
