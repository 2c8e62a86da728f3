/**
 * One container from its creation to its removal, in the only order without a race: create, attach, wait for the
 * next exit and have the engine confirm it, start, read the output to its end, take the status, inspect, remove.
 * Not `AutoRemove`: the engine then forgets whether memory ran out, and Podman the status too.
 */

import { CordonError } from "../errors.ts";
import type { Attached } from "./attached.ts";
import {
  attachContainer,
  type ContainerConfig,
  type ContainerSummary,
  createContainer,
  type Created,
  inspectContainer,
  listContainers,
  removeContainer,
  short,
  startContainer,
  waitContainer,
  type Waiting,
} from "./containers.ts";
import { BrokenConnectionError, EngineError } from "./errors.ts";
import { awaitExit, pumpInput, pumpOutput, type Streams, within } from "./pump.ts";
import { asStart } from "./starterror.ts";
import type { Engine } from "./system.ts";

/** On everything that is created here; left-overs are found by it. */
const MANAGED_LABEL = "cordon.managed";
/** Value unique to one run, by which a container is found whose creation was never answered. */
export const RUN_LABEL = "cordon.run";

export interface RunTiming {
  /** How long a wait may take to be confirmed before the container is started all the same. */
  confirmMs: number;
  /** How long after the end of the output the engine may take to tell the status before it is asked. */
  statusMs: number;
  /** How long after the container's end a read of its output may bring nothing before it counts as ended. */
  silenceMs: number;
  /** How long creating and removing may take once the caller has given up. */
  cleanupMs: number;
}

const TIMING: RunTiming = { confirmMs: 3000, statusMs: 2000, silenceMs: 5000, cleanupMs: 30_000 };

export interface RunOptions {
  streams?: Streams;
  /** Cancels the run: the container is killed and removed, then the reason is thrown. */
  signal?: AbortSignal | undefined;
  name?: string | undefined;
  platform?: string | undefined;
  labels?: Record<string, string>;
  detachKeys?: string | undefined;
  /** Leave the container on the engine once it was started and has ended by itself. */
  keep?: boolean;
  /** Leave the container, running or not, when the run fails with this. */
  leave?: (error: unknown) => boolean;
  /** Called between creating and starting, to put files in, say. */
  onCreated?: (id: string) => void | Promise<void>;
  /** Called when the container runs: from here on it can be killed, resized, executed in. */
  onStarted?: (id: string) => void | Promise<void>;
  timing?: Partial<RunTiming>;
}

export interface RunResult {
  id: string;
  /** Status of the container's first process; 128 + N when signal N ended it. */
  exitCode: number;
  oomKilled: boolean;
  /** The engine's word on an end that was not the process's own; usually empty. */
  error: string;
  /** RFC 3339, by the engine's clock. */
  startedAt: string;
  finishedAt: string;
  /** What the engine warned of on creation, ignored limits among it. */
  warnings: string[];
}

/**
 * Runs a container to its end with its output going to the sinks, as fast as they take it. Whatever happens, the
 * container is removed before this returns (`keep` excepted).
 *
 * @throws EngineError whose `exit` is 127, 126 or 125 when the container could not be started; whatever a sink, the
 * stdin stream or a callback throws; the signal's reason
 */
export async function runContainer(
  engine: Engine,
  config: ContainerConfig,
  options: RunOptions = {},
): Promise<RunResult> {
  const timing = { ...TIMING, ...options.timing };
  const { signal } = options;
  signal?.throwIfAborted();
  const run = crypto.randomUUID();
  const created = await createWhole(engine, complete(config, { run, ...options }), {
    ...options,
    run,
    timing,
  });
  const session = new AbortController();
  const onAbort = () => session.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  let result: RunResult;
  try {
    const parts = { config, id: created.Id, timing, signal: session.signal };
    result = { ...await runCreated(engine, options, parts), warnings: created.Warnings ?? [] };
  } catch (error) {
    session.abort(error);
    throw options.leave?.(error) ? error : await removeAfter(error, engine, { id: created.Id, timing });
  } finally {
    signal?.removeEventListener("abort", onAbort);
    session.abort();
  }
  if (options.keep) return result;
  const problem = await tryRemove(engine, created.Id, timing);
  if (problem) result.warnings.push(`Container ${short(created.Id)} was left behind: ${reasonOf(problem)}`);
  return result;
}

/** Removes what carries all of these labels and is not kept; returns the ids. For left-overs of a crash. */
export async function removeByLabel(
  engine: Engine,
  options: {
    labels: Record<string, string>;
    keep?: (container: ContainerSummary) => boolean;
    signal?: AbortSignal | undefined;
  },
): Promise<string[]> {
  const { labels, keep, signal } = options;
  if (Object.keys(labels).length === 0) throw new TypeError("removeByLabel needs a label");
  const removed: string[] = [];
  for (const container of await listContainers(engine, { labels, signal })) {
    if (keep?.(container)) continue;
    if (await removeContainer(engine, container.Id, { force: true, signal })) removed.push(container.Id);
  }
  return removed;
}

/** The configuration as it is sent: streams and labels filled in, and no log that nobody reads. */
function complete(config: ContainerConfig, options: RunOptions & { run: string }): ContainerConfig {
  const stdin = options.streams?.stdin !== undefined;
  const host = { ...config.HostConfig, AutoRemove: false };
  if (!options.keep && !("LogConfig" in host)) Object.assign(host, { LogConfig: { Type: "none" } });
  return {
    ...config,
    AttachStdin: stdin,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: stdin || config.OpenStdin === true,
    StdinOnce: stdin || config.StdinOnce === true,
    Labels: { ...config.Labels, ...options.labels, [MANAGED_LABEL]: "true", [RUN_LABEL]: options.run },
    HostConfig: host,
  };
}

/** Creates without being broken off half-way, which could leave a container that nobody knows of. */
async function createWhole(
  engine: Engine,
  config: ContainerConfig,
  options: RunOptions & { run: string; timing: RunTiming },
): Promise<Created> {
  const { name, platform, signal, run, timing } = options;
  const patience = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onAbort = () => timer = setTimeout(() => patience.abort(signal?.reason), timing.cleanupMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await createContainer(engine, config, { name, platform, signal: patience.signal });
  } catch (error) {
    const unanswered = patience.signal.aborted || error instanceof BrokenConnectionError;
    if (unanswered) {
      try {
        await removeByLabel(engine, {
          labels: { [RUN_LABEL]: run },
          signal: AbortSignal.timeout(timing.cleanupMs),
        });
      } catch (problem) {
        throw leftBehind(`with label ${RUN_LABEL}=${run}`, { problem, error });
      }
    }
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

interface Parts {
  config: ContainerConfig;
  id: string;
  timing: RunTiming;
  signal: AbortSignal;
}

async function runCreated(
  engine: Engine,
  options: RunOptions,
  parts: Parts,
): Promise<Omit<RunResult, "warnings">> {
  const { id, timing, signal } = parts;
  const streams = options.streams ?? {};
  signal.throwIfAborted();
  await options.onCreated?.(id);
  const { attached, waiting } = await connectStreams(engine, options, parts);
  await asStart(startContainer(engine, id, { signal }), id);
  const input = streams.stdin ? pumpInput(attached, streams.stdin) : undefined;
  try {
    const exited = waiting.then(({ result }) => result);
    const output = pumpOutput(attached, streams, { exited, silenceMs: timing.silenceMs });
    // Side by side: the callback may be waiting for something in the output. It may also throw where it stands.
    const told = (async () => await options.onStarted?.(id))();
    await Promise.all([input ? Promise.race([output, input.failed]) : output, told]);
  } finally {
    input?.stop();
  }
  const exit = await awaitExit(engine, id, { waiting, statusMs: timing.statusMs, signal });
  const { State } = await inspectContainer(engine, id, { signal });
  return {
    id,
    exitCode: exit.code,
    oomKilled: State.OOMKilled,
    error: exit.error || State.Error,
    startedAt: State.StartedAt,
    finishedAt: State.FinishedAt,
  };
}

/** Attaches and waits for the next exit, side by side: both have to precede the start, neither the other. */
async function connectStreams(
  engine: Engine,
  options: RunOptions,
  parts: Parts,
): Promise<{ attached: Attached; waiting: Promise<Waiting> }> {
  const { config, id, timing, signal } = parts;
  const waiting = waitContainer(engine, id, { condition: "next-exit", signal });
  waiting.catch(() => undefined);
  const [attached] = await Promise.all([
    // Podman sets the container up here, so that its start errors can come from attach.
    asStart(
      attachContainer(engine, id, {
        tty: config.Tty === true,
        stdin: options.streams?.stdin !== undefined,
        detachKeys: options.detachKeys,
        signal,
      }),
      id,
    ),
    // An engine that does not confirm has most likely registered it all the same; the status is asked for then.
    within(waiting, { ms: timing.confirmMs, signal }),
  ]);
  return { attached, waiting };
}

/** Removes after a failure; returns the failure, which tells of a container left behind if it was. */
async function removeAfter(
  error: unknown,
  engine: Engine,
  options: { id: string; timing: RunTiming },
): Promise<unknown> {
  const problem = await tryRemove(engine, options.id, options.timing);
  return problem ? leftBehind(short(options.id), { problem, error }) : error;
}

async function tryRemove(engine: Engine, id: string, timing: RunTiming): Promise<unknown> {
  try {
    await removeContainer(engine, id, { force: true, signal: AbortSignal.timeout(timing.cleanupMs) });
    return undefined;
  } catch (problem) {
    return problem;
  }
}

function leftBehind(which: string, errors: { problem: unknown; error: unknown }): EngineError {
  const { problem, error } = errors;
  const what = error instanceof CordonError ? error.message : "The run was given up";
  const why = error instanceof CordonError ? error.why : reasonOf(error);
  return new EngineError(what, {
    why: `${why ?? "For no known reason"}\nContainer ${which} was left behind: ${reasonOf(problem)}`,
    exit: error instanceof CordonError ? error.exit : undefined,
    cause: error,
  });
}

function reasonOf(problem: unknown): string {
  if (problem instanceof CordonError && problem.why) return `${problem.message}: ${problem.why}`;
  return problem instanceof Error ? problem.message : String(problem);
}
