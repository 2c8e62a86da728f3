/** `cordon run --api` with `-i` or `-t`, and `--attach` to what was begun so: both directions live, by a WebSocket. */
import { type Asked, begin, cancel } from "../lib/api/executions.ts";
import { type Api, ApiError } from "../lib/api/request.ts";
import { writeStderr } from "../lib/cli/streams.ts";
import type { ClientOptions } from "../lib/dockerargs/run.ts";
import { CordonError } from "../lib/errors.ts";
import { Conversation } from "./run-conversation.ts";
import { SIGPIPE, tellEnd } from "./run-execution.ts";
import { Interrupted, Signals } from "./run-signals.ts";
import { Detached, openStreams, type RunStreams } from "./run-streams.ts";

/** For an answer of a server that is to end something, in milliseconds. */
const GRACE = 5000;
const CONFLICT = 409;

export interface Keyboard {
  client: Pick<ClientOptions, "interactive" | "tty" | "sigProxy" | "detachKeys">;
  parent: number | undefined;
}

const ALL = ["stdin", "stdout", "stderr"] as const;

/** It ends with us. */
export async function runInteractive(api: Api, asked: Asked, { client, parent }: Keyboard): Promise<number> {
  using streams = openStreams({ ...client, attach: [...ALL] }, { script: false, keys: false });
  using signals = new Signals({ proxy: true, parent });
  const tty = client.tty ? { tty: streams.size() ?? true as const } : {};
  let id: string | undefined;
  try {
    id = await begun(api, { ...asked, interactive: { ...tty, tied: true } }, signals.signal);
    const conversation = new Conversation(api, id, {
      signals,
      passSignals: client.sigProxy,
      open: () => streams,
    });
    const end = await conversation.held();
    streams.leave();
    return tellEnd(end);
  } catch (error) {
    streams.leave();
    // The server ends what somebody writes to by itself, but not what nobody came to so far.
    if (id !== undefined) await giveUp(api, id, error);
    return statusOf(error);
  }
}

/**
 * The same with one that is there already, and that outlives us.
 *
 * @returns undefined for one that takes no input from us, of which nothing was shown
 */
export async function attachInteractive(
  api: Api,
  id: string,
  { client, parent }: Keyboard,
): Promise<number | undefined> {
  using signals = new Signals({ proxy: true, parent });
  let streams: RunStreams | undefined;
  const open = (terminal: boolean) => {
    if (terminal && !Deno.stdin.isTerminal()) {
      throw new CordonError(`Execution ${id} has a terminal, and stdin is none`, {
        hint: "give -i=false to see its output alone",
      });
    }
    const keyboard = { ...client, interactive: true, tty: terminal, attach: [...ALL] };
    return streams = openStreams(keyboard, { script: false });
  };
  try {
    const conversation = new Conversation(api, id, { signals, passSignals: client.sigProxy, open });
    const end = await conversation.held();
    streams?.leave();
    return tellEnd(end);
  } catch (error) {
    streams?.leave();
    if (error instanceof ApiError && error.status === CONFLICT && !streams) {
      if (/somebody else/i.test(error.why ?? "")) {
        writeStderr("cordon: somebody else writes to it: this shows its output alone\n");
      }
      return undefined;
    }
    // Asked to end more often than it was passed on.
    if (error instanceof Interrupted && signals.passing) await giveUp(api, id, error);
    return statusOf(error);
  } finally {
    streams?.[Symbol.dispose]();
  }
}

/** An answer that is on its way is waited for a moment: what has begun must be ended. */
async function begun(api: Api, asked: Asked, signal: AbortSignal): Promise<string> {
  const late = new AbortController();
  let timer: number | undefined;
  const wait = () => timer = setTimeout(() => late.abort(signal.reason), GRACE);
  signal.throwIfAborted();
  signal.addEventListener("abort", wait, { once: true });
  try {
    return await begin(api, asked, late.signal);
  } finally {
    signal.removeEventListener("abort", wait);
    clearTimeout(timer);
  }
}

/** Says what it could not do, unless `because` says that nobody is there. */
async function giveUp(api: Api, id: string, because: unknown): Promise<void> {
  try {
    await cancel(api, id, AbortSignal.timeout(GRACE));
  } catch (error) {
    if (because instanceof ApiError && because.status === 0) return;
    const why = error instanceof ApiError ? error.why ?? error.message : "It does not answer";
    writeStderr(`cordon: the server could not be told to end ${id}: ${why}\n`);
  }
}

function statusOf(error: unknown): number {
  if (error instanceof Interrupted) return error.status;
  if (error instanceof Deno.errors.BrokenPipe) return 128 + SIGPIPE; // whoever read our output has gone
  if (error instanceof Detached) return 0;
  throw error;
}
