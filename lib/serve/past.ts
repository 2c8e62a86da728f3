/** What is known of an execution, whether it still runs or is in the record alone. */
import type { Execution } from "./execution.ts";
import type { Outgoing, Release } from "./outgoing.ts";
import type { Event, StreamName } from "./output.ts";
import type { Service } from "./service.ts";
import type { Recorded } from "./store.ts";

export interface Known {
  row: Recorded;
  /** While this process has it. */
  live?: Execution;
  /** What it printed, as far as it is kept. */
  pieces(stream: StreamName): Uint8Array[];
  /** What lies after a position, at most `most` bytes of it; nothing when all is told. */
  read(after: number, most: number): Event[];
  /** Bytes of it that are kept in memory for whoever has this. */
  kept(): number;
  /** Resolves when there may be more; undefined when there will be no more. */
  more(): Promise<void> | undefined;
}

/** Undefined when this tenant has no such execution. */
export function find({ executor, store }: Service, id: string, tenant: string): Known | undefined {
  const live = executor.get(id, tenant);
  if (live) return knownLive(live);
  const row = store.get(id, tenant);
  return row && knownPast(row, store);
}

export function knownLive(live: Execution): Known {
  const { output } = live;
  return {
    get row() {
      return live.record();
    },
    live,
    kept: () => output.end,
    pieces: (stream) => output.pieces(stream),
    read: (after, most) => output.read(after, most),
    more: () => output.closed ? undefined : output.changed(),
  };
}

function knownPast(row: Recorded, store: Service["store"]): Known {
  const events = store.output(row.id).map(({ after, type, bytes }): Event =>
    type === "state"
      ? { id: after, type, state: JSON.parse(new TextDecoder().decode(bytes)) }
      : { id: after, type: type as StreamName, bytes }
  );
  // Of a lost one, and of one whose output went to make room, the end alone is known.
  if (events.at(-1)?.type !== "state") {
    events.push({ id: (events.at(-1)?.id ?? 0) + 1, type: "state", state: end(row) });
  }
  return {
    row,
    kept: () => events.at(-1)!.id,
    pieces: (stream) => events.flatMap((event) => event.type === stream ? [event.bytes] : []),
    read: (after) => {
      const next = events.find(({ id }) => id > after);
      if (!next) return [];
      if (next.type === "state") return [next];
      const start = next.id - next.bytes.length;
      return [{ ...next, bytes: next.bytes.subarray(Math.max(0, after - start)) }];
    },
    more: () => undefined,
  };
}

/** What is in memory for a client when the execution has ended, until it has taken all. */
export function held(known: Known, outgoing: Outgoing): Disposable {
  let over = false;
  let release: Release | undefined;
  const ended = () => {
    if (!over) release = outgoing.hold(known.row.tenant, known.kept());
  };
  if (known.live) known.live.ended.then(ended);
  else ended();
  return {
    [Symbol.dispose]() {
      over = true;
      release?.();
    },
  };
}

function end({ state, reason, exit_code, signal, truncated }: Recorded): Record<string, unknown> {
  return { state, reason, exit_code, signal, truncated: truncated === 1 };
}
