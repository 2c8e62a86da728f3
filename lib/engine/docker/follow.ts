/** A running container up to its end: output to the sinks, time limit, abort, how it ended. */
import { inspectContainer, killContainer, resizeContainer, short } from "../../docker/containers.ts";
import { ConflictError, EngineError, NotFoundError } from "../../docker/errors.ts";
import { awaitExit, type Input, pumpInput, pumpOutput, within } from "../../docker/pump.ts";
import { EXIT } from "../../errors.ts";
import type { Controls, Result, Streams } from "../engine.ts";
import type { DockerClient } from "./client.ts";
import { outOfMemory } from "./memory.ts";
import type { Started } from "./started.ts";
import { UNKNOWN, type Used } from "./usage.ts";

const SIGKILL = 9;
/** setTimeout takes no more. */
const LONGEST_MS = 2 ** 31 - 1;

export interface FollowOptions {
  streams: Streams;
  /** Seconds from now after which the container is killed; none when absent. */
  wallSeconds?: number | undefined;
}

/**
 * Delivers the output until it ends. Does not remove the container.
 *
 * @throws what a sink throws; EngineError when the engine cannot tell or do any more what it has to
 */
export async function follow(
  client: DockerClient,
  started: Started,
  { streams, wallSeconds }: FollowOptions,
): Promise<Result> {
  const { engine, timing, usage } = client;
  const { id, session, attached, exited, waiting } = started;
  const since = performance.now();
  const watch = usage.watch(id);
  let cut: "timeout" | "aborted" | undefined;
  const onAbort = () => {
    cut = "aborted";
    session.abort(streams.signal?.reason);
  };
  const onTime = () => {
    cut ??= "timeout";
    kill(client, started).catch((error) => session.abort(error));
  };
  const timer = wallSeconds === undefined
    ? undefined
    : setTimeout(onTime, Math.min(wallSeconds * 1000, LONGEST_MS));
  streams.signal?.addEventListener("abort", onAbort, { once: true });
  let input: Input | undefined;
  try {
    if (streams.signal?.aborted) onAbort();
    const controls = controlsOf(client, started);
    // Also where the engine was told of it on creation: not every version heeds that.
    if (streams.terminal) await controls.resize(streams.terminal);
    streams.begun?.(controls);
    if (streams.stdin instanceof ReadableStream) {
      input = pumpInput(attached, streams.stdin);
      input.failed.catch((error) => session.signal.aborted || session.abort(error));
    } else if (streams.stdin) feed(started, streams.stdin);
    await pumpOutput(attached, sinks(streams), { exited, silenceMs: timing.silenceMs, passing: true });
    const memory = await outOfMemory(client, id);
    await watch.look();
    const { code } = await awaitExit(engine, id, {
      waiting,
      statusMs: timing.statusMs,
      signal: session.signal,
    });
    const used = await watch.end();
    if (cut !== undefined) return ended(cut, { since, used });
    const reason = code !== 0 && (memory || await saysOutOfMemory(client, started)) ? "memory" : "exited";
    return ended(reason, { since, used, status: code });
  } catch (error) {
    if (cut === "aborted") return ended(cut, { since, used: await watch.end() });
    throw error;
  } finally {
    input?.stop();
    clearTimeout(timer);
    watch.end();
    streams.signal?.removeEventListener("abort", onAbort);
  }
}

function controlsOf({ engine }: DockerClient, { id, session: { signal } }: Started): Controls {
  const unlessOver = async (asked: Promise<void>) => {
    try {
      await asked;
    } catch (error) {
      // It has ended by itself in this moment, or everything about it has.
      const over = error instanceof ConflictError || error instanceof NotFoundError || signal.aborted;
      if (!over && !(await inspectContainer(engine, id)).State.Running) return;
      if (!over) throw error;
    }
  };
  return {
    signal: (name) => unlessOver(killContainer(engine, id, { killSignal: name, signal })),
    resize: (size) => unlessOver(resizeContainer(engine, id, { ...size, signal })),
  };
}

/** An execution that was ended before it began. */
export function abortedResult(): Result {
  return ended("aborted", { since: performance.now(), used: UNKNOWN });
}

function sinks({ stdout, stderr }: Streams): Pick<Streams, "stdout" | "stderr"> {
  return { stdout: (bytes) => stdout(bytes), stderr: (bytes) => stderr(bytes) };
}

/** Beside the output. A container that takes no input any more is no failure, and a broken connection tells of itself there. */
function feed({ attached, session }: Started, stdin: Uint8Array): void {
  (async () => {
    if (await attached.write(stdin)) await attached.closeStdin();
  })().catch((error) => {
    if (!session.signal.aborted) session.abort(error);
  });
}

/** Kills, and sees to it that the engine tells of the end within a bounded time. */
async function kill({ engine, timing }: DockerClient, { id, exited, session }: Started): Promise<void> {
  const limit = new AbortController();
  const late = () =>
    limit.abort(
      new EngineError(`Cannot end container ${short(id)} at its time limit`, {
        why: `The engine did not answer within ${timing.killMs} ms`,
      }),
    );
  const timer = setTimeout(late, timing.killMs);
  try {
    const signal = AbortSignal.any([limit.signal, session.signal]);
    try {
      await killContainer(engine, id, { signal });
    } catch (error) {
      // It has ended by itself in this moment.
      if (!(error instanceof ConflictError || error instanceof NotFoundError)) throw error;
    }
    await within(exited, { ms: LONGEST_MS, signal });
  } finally {
    clearTimeout(timer);
  }
}

/** What inspecting says. An engine that does not answer any more has told the status, which is enough. */
async function saysOutOfMemory({ engine, timing }: DockerClient, { id, session }: Started): Promise<boolean> {
  try {
    const asking = inspectContainer(engine, id, { signal: session.signal });
    return (await within(asking, { ms: timing.killMs, signal: session.signal }))?.State.OOMKilled ?? false;
  } catch (error) {
    // Somebody else was quick to remove it.
    if (error instanceof NotFoundError) return false;
    throw error;
  }
}

function ended(
  reason: Result["reason"],
  { since, used, status = null }: { since: number; used: Used; status?: number | null },
): Result {
  const killed = reason === "memory" && status === EXIT.killed;
  return {
    reason,
    exitCode: killed ? null : status,
    signal: killed ? SIGKILL : null,
    wallMs: Math.round(performance.now() - since),
    userMs: used.userMs,
    systemMs: used.systemMs,
    maxRssBytes: used.peakBytes,
  };
}
