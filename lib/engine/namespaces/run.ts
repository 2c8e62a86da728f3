/** Runs a sandbox's image beside this process and reads how it ended. */
import { CordonError } from "../../errors.ts";
import { realCgroupSystem } from "../../host/cgroups.ts";
import { hostFs } from "../../host/fs.ts";
import type { Host } from "../../host/host.ts";
import { startImage } from "../../shim/run.ts";
import type { Spec } from "../../spec/spec.ts";
import type { Result, Streams } from "../engine.ts";
import { groupName } from "./cgroup_sweep.ts";
import { openPty, type Pty } from "./pty.ts";

/** Makes the image for a Spec, and does away with what it made for it. */
export interface Maker {
  /** `directory`: private, for the result. The image is good until the next call. */
  image(spec: Spec, directory: string): Uint8Array<ArrayBuffer>;
  /** Removes what is left of it: a monitor that ends by itself leaves nothing. */
  cleanUp(): void;
}

/** See {@link Engine.run}. The result passes through a file that the monitor holds by its directory. */
export async function runBeside(
  spec: Spec,
  { host, maker, streams }: { host: Host; maker: Maker; streams: Streams },
): Promise<Result> {
  using pty = streams.terminal && openPty(streams.terminal);
  // Not makeTempDir: by this name `cordon kernel gc` tells that its maker is dead.
  const directory = `${privateParent(host)}/${groupName(realCgroupSystem)}`;
  Deno.mkdirSync(directory, { mode: 0o700 });
  try {
    const path = `${directory}/result`;
    const image = maker.image(
      { ...spec, result: { path }, endWithParent: Deno.pid, ownSession: true, rawStdio: true, ...pty?.spec },
      directory,
    );
    const started = performance.now();
    if (!streams.signal?.aborted) await toItsEnd(image, streams, pty);
    return readResult(path) ?? absent(streams, performance.now() - started);
  } finally {
    maker.cleanUp();
    Deno.removeSync(directory, { recursive: true });
  }
}

/** In memory where there is a place in memory: making and removing a directory on a disk costs more than the sandbox. */
function privateParent({ env }: Host): string {
  return env["XDG_RUNTIME_DIR"] || (inMemory() ? SHARED_MEMORY : env["TMPDIR"] || "/tmp");
}

const SHARED_MEMORY = "/dev/shm";
let memory: boolean | undefined;

/** Whether there is a tmpfs(5) for everybody where shm_overview(7) has it. */
function inMemory(): boolean {
  return memory ??= / \/dev\/shm [^-]*- tmpfs .*\brw\b/.test(Deno.readTextFileSync("/proc/self/mountinfo")) &&
    ((hostFs.stat(SHARED_MEMORY) ?? "") === "directory") &&
    ((Deno.statSync(SHARED_MEMORY).mode ?? 0) & 0o1777) === 0o1777;
}

async function toItsEnd(image: Uint8Array<ArrayBuffer>, streams: Streams, pty?: Pty): Promise<void> {
  const start = () =>
    startImage(image, {
      stdin: streams.stdin ? "piped" : "null",
      stdout: "piped",
      stderr: pty ? "null" : "piped",
      clearEnv: true,
    });
  const child = pty ? pty.inherited(start) : start();
  streams.started?.(child.pid);
  // Init sees the end of the monitor's pipe and takes everything inside along.
  const end = () => kill(child, "SIGKILL");
  streams.signal?.addEventListener("abort", end);
  streams.begun?.({ signal: (name) => signal(child, name), resize: (size) => pty?.resize(size) });
  const parts = [
    child.status,
    streams.stdin && feed(child, streams.stdin),
    deliver(child.stdout, (chunk) => streams.stdout(chunk)),
    !pty && deliver(child.stderr, (chunk) => streams.stderr(chunk)),
  ];
  try {
    await Promise.all(parts);
  } catch (error) {
    // A sink that fails must not leave the sandbox running.
    end();
    await Promise.allSettled(parts);
    throw error;
  } finally {
    streams.signal?.removeEventListener("abort", end);
  }
}

/** Once the monitor is there to forward it: what becomes the monitor would die of it. */
async function signal(child: Deno.ChildProcess, name: Deno.Signal): Promise<void> {
  for (let comm = commOf(child.pid); comm !== MONITOR; comm = commOf(child.pid)) {
    if (comm === undefined) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  kill(child, name);
}

/** The name it has itself called by (proc_pid_comm(5)) when all signals are blocked. */
const MONITOR = "cordon-monitor";

function commOf(pid: number): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/comm`).trimEnd();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    // Deno says TypeError of a child it has waited for.
    if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function feed(
  child: Deno.ChildProcess,
  input: Uint8Array | ReadableStream<Uint8Array>,
): Promise<void> {
  if (input instanceof Uint8Array) return await give(child.stdin, [input]);
  const reader = input.getReader();
  const cancel = () => reader.cancel();
  child.status.then(cancel, cancel);
  await give(child.stdin, pieces(reader));
}

async function* pieces(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel();
  }
}

async function give(
  to: WritableStream<Uint8Array>,
  input: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const writer = to.getWriter();
  try {
    for await (const piece of input) await writer.write(piece);
    await writer.close();
  } catch (error) {
    // A program may end without reading its input. The error of a late write is told by `closed` alone.
    const why = await writer.closed.then(() => error, (stored) => stored);
    if (!(why instanceof Deno.errors.BrokenPipe)) throw why;
  }
}

/** Buffers that nobody reads into now. One for each output of each execution would be a lot to throw away. */
const spare: ArrayBuffer[] = [];
const BUFFER_BYTES = 64 * 1024;
const MOST_SPARE = 64;

async function deliver(
  from: ReadableStream<Uint8Array>,
  sink: (chunk: Uint8Array) => void | Promise<void>,
): Promise<void> {
  const reader = from.getReader({ mode: "byob" });
  let buffer = spare.pop() ?? new ArrayBuffer(BUFFER_BYTES);
  try {
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (value) buffer = value.buffer;
      if (value && value.length > 0) await sink(value);
      if (done) break;
    }
  } catch (error) {
    await reader.cancel();
    throw error;
  }
  if (buffer.byteLength === BUFFER_BYTES && spare.length < MOST_SPARE) spare.push(buffer);
}

function readResult(path: string): Result | undefined {
  try {
    const { reason, exitCode, signal, wallMs, userMs, systemMs, maxRssBytes } = JSON.parse(
      Deno.readTextFileSync(path),
    ) as Result;
    return { reason, exitCode, signal, wallMs, userMs, systemMs, maxRssBytes };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** What there is to say when the monitor wrote nothing. */
function absent({ signal }: Streams, milliseconds: number): Result {
  if (!signal?.aborted) {
    throw new CordonError("The sandbox ended without a result", {
      why: "its monitor was killed from outside, or failed before it could write one",
    });
  }
  const wallMs = Math.round(milliseconds);
  return {
    reason: "aborted",
    exitCode: null,
    signal: null,
    wallMs,
    userMs: null,
    systemMs: null,
    maxRssBytes: null,
  };
}
