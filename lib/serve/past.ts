/** What is known of an execution, whether it still runs or is in the record alone. */
import type { Execution } from "./execution.ts";
import type { Outgoing, Release } from "./outgoing.ts";
import { type Event, EVENT_BYTES, type StreamName, unfinished } from "./output.ts";
import { Problem } from "./problem.ts";
import type { Service } from "./service.ts";
import type { KeptPiece, Recorded } from "./recorded.ts";

export interface Known {
  row: Recorded;
  /** While this process has it. */
  live?: Execution;
  /** The position after all that there is now. */
  end: number;
  /** What it printed, as far as it is kept. */
  pieces(stream: StreamName): Uint8Array[];
  /** What lies after a position, some `most` bytes of it, {@link EVENT_BYTES} for each event; nothing when all is told. */
  read(after: number, most: number): Event[];
  /** Bytes of it that are kept in memory for whoever has this. */
  kept(): number;
  /** Resolves when there may be more; undefined when there will be no more. */
  more(): Promise<void> | undefined;
}

/** Bytes that are read at once of one that has ended, for one client. */
const HELD_OF_PAST = 64 * 1024;
/** The position of an end before which nothing is kept: after whatever a client was told. */
const LAST_POSITION = 999_999_999_999_999;

/** Undefined when this tenant has no such execution. */
export function find({ executor, store }: Service, id: string, tenant: string): Known | undefined {
  const live = executor.get(id, tenant);
  if (live) return knownLive(live);
  const row = store.get(id, tenant);
  return row && knownPast(row, store);
}

/** What nobody was told of cannot be gone on from. @throws Problem */
export function checkPosition(after: number, { end }: Known): void {
  if (after > end) throw new Problem("invalid", { detail: `There is no position ${after} yet` });
}

export function knownLive(live: Execution): Known {
  const { output } = live;
  return {
    get row() {
      return live.record();
    },
    live,
    get end() {
      return output.end;
    },
    kept: () => output.end,
    pieces: (stream) => output.pieces(stream),
    read: (after, most) => output.read(after, most),
    more: () => output.closed ? undefined : output.changed(),
  };
}

function knownPast(row: Recorded, store: Service["store"]): Known {
  const last = store.lastOutput(row.id);
  // Of a lost one, and of one whose output had no room or went to make some, the end is known from the row alone.
  const whole = last?.type === "state" && state(last)["state"] === row.state;
  const position = whole ? last.after : LAST_POSITION;
  return {
    row,
    end: position,
    kept: () => HELD_OF_PAST,
    pieces: (stream) => {
      const parts: Uint8Array[] = [];
      for (const { type, bytes } of store.output(row.id)) if (type === stream) parts.push(bytes);
      return parts;
    },
    read: (after, most) => {
      const found: Event[] = [];
      // Nothing of it is held for a client that does not read.
      for (const piece of store.output(row.id, { after, most })) {
        const event = eventOf(piece, most);
        if (!event) return found;
        found.push(event);
        most -= EVENT_BYTES + (event.type === "state" ? 0 : event.bytes.length);
        if (event.id < piece.after || most <= 0) return found;
      }
      if (!whole && after < position) {
        found.push({ id: position, type: "state", state: end(row) });
      }
      return found;
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

function state({ bytes }: KeptPiece): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** Of a piece at most so many bytes; undefined when that is less than its next character. */
function eventOf(piece: KeptPiece, most: number): Event | undefined {
  const { start, after, type, bytes } = piece;
  if (type === "state") return { id: after, type, state: state(piece) };
  let to = Math.min(bytes.length, most);
  if (start + to < after) to -= unfinished(bytes.subarray(0, to));
  return to === 0 ? undefined : { id: start + to, type: type as StreamName, bytes: bytes.subarray(0, to) };
}

function end({ state, reason, detail, exit_code, signal, truncated }: Recorded): Record<string, unknown> {
  return { state, reason, detail, exit_code, signal, truncated: truncated === 1 };
}
