/** `cordon run --api` with a `cordon serve`: output as it comes, and an execution that outlives us where asked for. */
import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import {
  type Asked,
  begin,
  cancel,
  type Event,
  follow,
  hasEnded,
  run,
  type State,
} from "../lib/api/executions.ts";
import { type Api, ApiError } from "../lib/api/request.ts";
import { EXIT } from "../lib/errors.ts";
import { Interrupted } from "./run-signals.ts";
import { writeAll } from "../lib/host/pieces.ts";

export const SIGPIPE = 13;
/** How often a stream that broke off is taken up again, and after how many milliseconds. */
export const ATTEMPTS = 5;
export const PAUSE = 500;
export const CUT = "It ended before the command did";

/** It ends with us: the server sees that the request is given up. */
export async function runAttached(api: Api, asked: Asked, signal: AbortSignal): Promise<number> {
  // Given up also when whoever reads our output has gone.
  const end = new AbortController();
  const shown = new Shown();
  try {
    await shown.take(await run(api, asked, AbortSignal.any([signal, end.signal])));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    end.abort();
    return 128 + SIGPIPE;
  }
  if (shown.final === undefined) throw api.broken(CUT);
  return tellEnd(shown.final);
}

/** It goes on by itself, under the id that is printed. */
export async function runDetached(api: Api, asked: Asked, signal: AbortSignal): Promise<number> {
  writeStdout(`${await begin(api, asked, signal)}\n`);
  return 0;
}

/**
 * Output from its beginning, and its end; a stream that breaks off is taken up again. An interrupt cancels it, as it
 * does for who has been there from the start.
 */
export async function attachTo(api: Api, id: string, signal: AbortSignal): Promise<number> {
  const shown = new Shown();
  try {
    for (let attempt = 1;; attempt++) {
      const before = shown.last;
      let failure: ApiError = api.broken(CUT);
      try {
        await shown.take(await follow(api, { id, after: before }, signal));
      } catch (error) {
        // Where nothing was heard yet, nobody has to be waited for.
        if (!(error instanceof ApiError && error.status === 0 && shown.last > 0)) throw error;
        failure = error;
      }
      if (shown.final !== undefined) return tellEnd(shown.final);
      if (shown.last > before) attempt = 0;
      else if (attempt >= ATTEMPTS) throw failure;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      signal.throwIfAborted();
    }
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return 128 + SIGPIPE;
    if (error instanceof Interrupted) await cancel(api, id);
    throw error;
  }
}

/** What has come: written to its stream at once, and kept in mind. */
class Shown {
  /** Position of the last event. */
  last = 0;
  /** The state it ended in. */
  final: State | undefined;

  async take(events: AsyncIterable<Event>): Promise<void> {
    for await (const event of events) {
      if (event.type === "state") {
        if (hasEnded(event.state)) this.final = event.state;
      } else await writeAll(Deno[event.type], event.bytes);
      this.last = event.id;
    }
  }
}

/** What became of it, for people and as a status. */
export function tellEnd({ state, reason, exitCode, signal, truncated }: State): number {
  if (truncated) writeStderr("cordon: the server cut the output\n");
  const remark = ENDS[`${state} ${reason}`] ?? ENDS[state];
  if (remark !== undefined) writeStderr(`cordon: ${remark}\n`);
  if (reason === "timeout") return EXIT.timeout;
  if (reason === "memory") return EXIT.killed;
  return exitCode ?? (signal === null ? EXIT.cordon : 128 + signal);
}

/** What is told of an end that the command did not choose. */
const ENDS: Record<string, string> = {
  "finished timeout": "the time limit ended the command",
  "finished memory": "the memory limit ended the command",
  "finished cordon": "the server could not start the command",
  "cancelled shutdown": "the server was shut down",
  "cancelled": "the command was cancelled",
  "lost": "the server was interrupted, and the command with it",
};
