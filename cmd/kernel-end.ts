/** Ends one kernel's container: its status where that is wanted, then the removal. */
import type { CommandContext } from "../lib/cli/command.ts";
import { writeStderr } from "../lib/cli/streams.ts";
import { type ContainerState, inspectContainer, removeContainer } from "../lib/docker/containers.ts";
import { resolveEndpoint } from "../lib/docker/endpoint.ts";
import { EngineError, NotFoundError } from "../lib/docker/errors.ts";
import { type Engine, openEngine } from "../lib/docker/system.ts";
import { USAGE_BYTES } from "../lib/shim/programs/container_init.ts";
import { TELL } from "../lib/shim/programs/keeper.ts";
import { EXIT } from "../lib/errors.ts";
import { MARKS } from "../lib/engine/docker/kernel.ts";
import { writeResult } from "../lib/engine/namespaces/result.ts";
import { hostFs } from "../lib/host/fs.ts";
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
  const ending: Ending = state === undefined
    ? { reason: "cordon", exitCode: null, signal: null }
    : state.OOMKilled || (state.ExitCode === EXIT.killed && marked("memory", options))
    ? { reason: "memory", exitCode: null, signal: 9 }
    : state.ExitCode === EXIT.timeout && marked("timeout", options)
    ? { reason: "timeout", exitCode: null, signal: null }
    : state.ExitCode > 128
    ? { reason: "signaled", exitCode: null, signal: state.ExitCode - 128 }
    : { reason: "exited", exitCode: state.ExitCode, signal: null };
  if (options.result) {
    const whole = {
      ...ending,
      ...usage(options, state),
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

/** What pid 1 left word of. Of memory Podman knows only whether pid 1 itself was killed. */
function marked(mark: keyof typeof MARKS, { directory }: KernelEndOptions): boolean {
  return directory !== undefined && hostFs.stat(`${directory}/run/${MARKS[mark]}`) === "file";
}

/** Times in milliseconds and the largest process in bytes, null where nothing tells. */
function usage(
  { directory }: KernelEndOptions,
  state: ContainerState | undefined,
): Record<string, number | null> {
  const wallMs = state === undefined ? NaN : Date.parse(state.FinishedAt) - Date.parse(state.StartedAt);
  const file = `${directory}/run/${MARKS.usage}`;
  // Written by pid 1, in a directory where the kernel may have put anything.
  const told = directory !== undefined && hostFs.lstat(file) === "file" &&
    Deno.statSync(file).size === USAGE_BYTES;
  const numbers = told ? new BigInt64Array(Deno.readFileSync(file).buffer) : undefined;
  const [userS, userUs, systemS, systemUs, kilobytes] = Array.from(numbers ?? [], Number);
  const ms = (seconds?: number, micro?: number) =>
    seconds === undefined || micro === undefined ? null : seconds * 1000 + Math.floor(micro / 1000);
  return {
    wallMs: wallMs >= 0 ? wallMs : null,
    userMs: ms(userS, userUs),
    systemMs: ms(systemS, systemUs),
    maxRssBytes: kilobytes === undefined ? null : kilobytes * 1024,
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
