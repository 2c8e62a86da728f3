/** The flows of a running container: its input, its output, and the news of its end. */

import type { Attached } from "./attached.ts";
import { type ContainerState, inspectContainer, type Waiting } from "./containers.ts";
import { BrokenConnectionError } from "./errors.ts";
import type { Engine } from "./system.ts";

/** Takes output. The next piece comes when the promise is settled; until then the container waits. */
export type Sink = (bytes: Uint8Array) => void | Promise<void>;

export interface Streams {
  /** Ends the container's stdin when it ends. Released, not cancelled, when the container ends first. */
  stdin?: ReadableStream<Uint8Array> | undefined;
  /** Without a sink the stream is read and dropped. With a terminal stderr comes here too. */
  stdout?: Sink | undefined;
  stderr?: Sink | undefined;
}

/** A pump of stdin that can be stopped while it waits for more. */
export interface Input {
  /** Rejects when the stream fails; never settles otherwise. */
  failed: Promise<never>;
  stop(): void;
}

export function pumpInput(attached: Attached, stdin: ReadableStream<Uint8Array>): Input {
  const reader = stdin.getReader();
  let stopped = false;
  const failed = new Promise<never>((_resolve, reject) => {
    copy(attached, reader).catch((error) => {
      if (!stopped) reject(error);
    });
  });
  // The run may be over for another reason before anybody looks.
  failed.catch(() => undefined);
  const stop = () => {
    stopped = true;
    reader.releaseLock();
  };
  return { failed, stop };
}

async function copy(attached: Attached, reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    // A process that has closed its stdin is no failure.
    if (!await attached.write(piece.value)) return;
  }
  await attached.closeStdin();
}

/**
 * Moves the output to its sinks until it ends. When the container has ended and a read still brings nothing for
 * `silenceMs`, the output has ended as well, although the engine keeps the connection. Time in sinks does not count.
 * With `passing` a piece is good until its sink is done.
 */
export async function pumpOutput(
  attached: Attached,
  streams: Streams,
  options: { exited: Promise<unknown>; silenceMs: number; passing?: boolean },
): Promise<void> {
  const { exited, silenceMs, passing = false } = options;
  let readingSince: number | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;
  let silent = false;
  const watch = () => {
    const idle = readingSince === undefined ? 0 : performance.now() - readingSince;
    silent = idle >= silenceMs;
    if (silent) attached.close();
    else timer = setTimeout(watch, Math.max(silenceMs - idle, 1));
  };
  const begin = () => {
    if (!over) timer = setTimeout(watch, silenceMs);
  };
  // When the wait fails, the end is found out by asking, after the output.
  exited.then(begin, () => undefined);
  const output = passing ? attached.passing() : attached.output();
  try {
    while (true) {
      readingSince = performance.now();
      const { value, done } = await output.next();
      readingSince = undefined;
      if (done) return;
      await streams[value.stream]?.(value.bytes);
    }
  } catch (error) {
    if (silent && error instanceof BrokenConnectionError) return;
    throw error;
  } finally {
    over = true;
    clearTimeout(timer);
    attached.close();
  }
}

export interface Exit {
  code: number;
  /** The engine's word on an end that was not the process's own. */
  error: string;
}

/**
 * The exit status: from the wait, or, when that breaks or does not answer within `statusMs`, by asking, ever more
 * rarely, until the container has ended.
 */
export async function awaitExit(
  engine: Engine,
  id: string,
  options: { waiting: Promise<Waiting>; statusMs: number; signal: AbortSignal },
): Promise<Exit> {
  const { waiting, statusMs, signal } = options;
  const { promise: told, resolve, reject } = Promise.withResolvers<Exit>();
  const { promise: broken, resolve: giveUp } = Promise.withResolvers<undefined>();
  waiting.then(({ result }) => result).then(
    ({ StatusCode, Error }) => resolve({ code: StatusCode, error: Error?.Message ?? "" }),
    (error) => error instanceof BrokenConnectionError ? giveUp(undefined) : reject(error),
  );
  // Looked at through within() only, which may have returned when it fails.
  told.catch(() => undefined);
  const first = await within(Promise.race([told, broken]), { ms: statusMs, signal });
  if (first) return first;
  for (let pause = 100;; pause = Math.min(pause * 2, 5000)) {
    const { State } = await inspectContainer(engine, id, { signal });
    if (hasEnded(State)) return { code: State.ExitCode, error: State.Error };
    const late = await within(told, { ms: pause, signal });
    if (late) return late;
  }
}

/** Not running, and not because it was never started. Podman has further states on both sides. */
function hasEnded(state: ContainerState): boolean {
  return !state.Running &&
    !["created", "configured", "initialized", "paused", "restarting"].includes(state.Status);
}

/** The value, or undefined after `ms`. @throws the signal's reason */
export async function within<T>(
  promise: Promise<T>,
  options: { ms: number; signal: AbortSignal },
): Promise<T | undefined> {
  const { ms, signal } = options;
  // Whoever gets the reason thrown does not look at the promise any more.
  if (signal.aborted) promise.catch(() => undefined);
  signal.throwIfAborted();
  const { promise: over, resolve, reject } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, ms, undefined);
  const stop = () => reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([promise, over]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}
