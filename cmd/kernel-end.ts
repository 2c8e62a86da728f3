/** Ends one kernel's container: its status where that is wanted, then the removal. */
import type { CommandContext } from "../lib/cli/command.ts";
import { writeStderr } from "../lib/cli/streams.ts";
import { type ContainerState, inspectContainer, removeContainer } from "../lib/docker/containers.ts";
import { resolveEndpoint } from "../lib/docker/endpoint.ts";
import { EngineError, NotFoundError } from "../lib/docker/errors.ts";
import { type Engine, openEngine } from "../lib/docker/system.ts";
import { ENDED } from "../lib/shim/programs/container_init.ts";
import { TELL } from "../lib/shim/programs/keeper.ts";
import { EXIT } from "../lib/errors.ts";
import { readTold, type Told } from "../lib/engine/docker/told.ts";
import { writeResult } from "../lib/engine/namespaces/result.ts";
import { gatherHost } from "../lib/host/host.ts";
import { removeTree } from "../lib/jupyter/leftovers.ts";
import type { KernelEndOptions } from "./kernel-end.options.ts";

/** How long the engine may take to make a container whose launcher died meanwhile. */
const AWAIT_MS = 2500;
/** How long the engine may take to notice the end of the container's first process. */
const SETTLE_MS = 3000;
const POLL_MS = 20;

export async function run(options: KernelEndOptions, context: CommandContext): Promise<number> {
  const { uid, home } = gatherHost();
  const endpoint = await resolveEndpoint({ host: options.host || undefined }, {
    env: context.env,
    home,
    uid,
  });
  let removed = false;
  try {
    const engine = await openEngine(endpoint);
    try {
      return options.status ? await tellEnd(engine, options) : 0;
    } finally {
      await remove(engine, options);
      removed = true;
    }
  } finally {
    if (options.directory !== undefined) removeTree(options.directory);
    // Otherwise the keeper tries again.
    if (options.keeper !== undefined && removed) {
      Deno.writeTextFileSync(`/proc/self/fd/${options.keeper}`, TELL.dismissed);
    }
  }
}

/**
 * The launcher may have died while the engine was at work for it: the container may not be there yet, and an engine that
 * is about to start it may refuse to remove it.
 */
async function remove(engine: Engine, { container, awaited }: KernelEndOptions): Promise<void> {
  const since = Date.now();
  for (;;) {
    const past = Date.now() - since;
    try {
      const done = await removeContainer(engine, container, { force: true });
      if (done || !awaited || past > AWAIT_MS) return;
    } catch (error) {
      if (!(error instanceof EngineError) || past > AWAIT_MS) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

interface Ending {
  reason: "exited" | "signaled" | "timeout" | "memory" | "cordon";
  exitCode: number | null;
  signal: number | null;
}

async function tellEnd(engine: Engine, options: KernelEndOptions): Promise<number> {
  const state = await finalState(engine, options.container);
  const told = state === undefined || options.told === undefined ? undefined : readTold(options.told);
  const ending: Ending = state === undefined
    ? { reason: "cordon", exitCode: null, signal: null }
    : state.OOMKilled || (state.ExitCode === EXIT.killed && told?.by === ENDED.memory)
    ? { reason: "memory", exitCode: null, signal: 9 }
    : state.ExitCode === EXIT.timeout && told?.by === ENDED.timeout
    ? { reason: "timeout", exitCode: null, signal: null }
    : state.ExitCode > 128
    ? { reason: "signaled", exitCode: null, signal: state.ExitCode - 128 }
    : { reason: "exited", exitCode: state.ExitCode, signal: null };
  if (options.result) {
    const whole = {
      ...ending,
      wallMs: state === undefined ? null : wallOf(state),
      ...usageOf(told),
      engine: engine.name,
      limits: JSON.parse(options.limits),
    };
    writeResult(options.result, whole);
  }
  if (ending.reason === "memory") writeStderr("cordon: the memory limit ended the kernel\n");
  if (ending.reason === "timeout") writeStderr("cordon: the time limit ended the kernel\n");
  if (state === undefined) {
    writeStderr(`cordon: container ${options.container.slice(0, 12)} has gone before its kernel ended\n`);
    return EXIT.cordon;
  }
  return ending.reason === "memory" ? EXIT.killed : state.ExitCode;
}

function wallOf({ StartedAt, FinishedAt }: ContainerState): number | null {
  const ms = Date.parse(FinishedAt) - Date.parse(StartedAt);
  return ms >= 0 ? ms : null;
}

/** Times in milliseconds and the largest process in bytes, null where nothing tells. */
function usageOf(told: Told | undefined): Record<string, number | null> {
  if (told === undefined) return { userMs: null, systemMs: null, maxRssBytes: null };
  const [userS, userUs, systemS, systemUs, kilobytes] = told.usage;
  return {
    userMs: userS * 1000 + Math.floor(userUs / 1000),
    systemMs: systemS * 1000 + Math.floor(systemUs / 1000),
    maxRssBytes: kilobytes * 1024,
  };
}

async function finalState(engine: Engine, id: string) {
  const until = Date.now() + SETTLE_MS;
  for (;;) {
    try {
      const { State } = await inspectContainer(engine, id);
      if (!State.Running || Date.now() > until) return State.Running ? undefined : State;
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
