/**
 * What an execution printed and what became of it, in order, as far as it is kept. Readers come with a position and
 * take what lies after it, so that a slow one holds no memory and one that returns misses nothing.
 *
 * A position counts bytes and state changes from the beginning. Nothing is ever taken away from the front: what does
 * not fit any more is dropped when it comes.
 */
import { concat } from "../host/pieces.ts";

export type StreamName = "stdout" | "stderr";

export type Event =
  /** `id` is the position after it. */
  | { id: number; type: StreamName; bytes: Uint8Array }
  | { id: number; type: "state"; state: Record<string, unknown> };

interface Piece {
  start: number;
  type: StreamName;
  bytes: Uint8Array<ArrayBuffer>;
  length: number;
}

interface Mark {
  start: number;
  type: "state";
  length: 1;
  state: Record<string, unknown>;
}

/** What an event counts beside its bytes where there is a bound. */
export const EVENT_BYTES = 64;
const SMALLEST_PIECE = 64;
const LARGEST_PIECE = 64 * 1024;
/** Bytes of a character of UTF-8, at most. */
const LARGEST_CHARACTER = 4;
/** Each costs some 150 bytes beside its content; a program that alternates between the streams makes many. */
const MOST_PIECES = 32_768;

export class Output {
  readonly #entries: (Piece | Mark)[] = [];
  readonly #held: Record<StreamName, Uint8Array> = { stdout: new Uint8Array(), stderr: new Uint8Array() };
  #room: number;
  #end = 0;
  #waiting: PromiseWithResolvers<void> | undefined;
  /** The last state, until readers may have it. */
  #last: Mark | undefined;
  /** Bytes that came, kept or not. */
  readonly received: Record<StreamName, number> = { stdout: 0, stderr: 0 };
  truncated = false;
  /** Readers will find nothing more. */
  closed = false;

  /** @param room bytes of both streams together that are kept */
  constructor(room: number) {
    this.#room = room;
  }

  /** The position after all that is kept. */
  get end(): number {
    return this.#end;
  }

  write(stream: StreamName, chunk: Uint8Array): void {
    this.received[stream] += chunk.length;
    if (this.truncated) return;
    const held = this.#held[stream];
    const whole = held.length > 0 ? concat([held, chunk]) : chunk;
    // A reader must not meet half a character.
    const cut = whole.length - unfinished(whole);
    this.#held[stream] = whole.slice(cut);
    this.#keep(stream, whole.subarray(0, cut));
  }

  state(state: Record<string, unknown>): void {
    this.#entries.push({ start: this.#end, type: "state", length: 1, state });
    this.#end++;
    this.#wake();
  }

  /** Words of the server's own on stderr, for which there is always room. */
  remark(text: string): void {
    this.flush();
    const bytes = new TextEncoder().encode(text);
    this.received.stderr += bytes.length;
    this.#room += bytes.length;
    this.#keep("stderr", bytes);
  }

  /** Nothing is added after the last state. Readers do not see that before {@link reveal}. */
  close(state: Record<string, unknown>): void {
    this.flush();
    this.#last = { start: this.#end, type: "state", length: 1, state };
  }

  /** Lets readers have the last state. */
  reveal(): void {
    if (!this.#last) return;
    this.#entries.push(this.#last);
    this.#last = undefined;
    this.#end++;
    this.closed = true;
    this.#wake();
  }

  /** All of it, the last state too. */
  whole(): Event[] {
    const last = this.#last;
    return [...this.read(0), ...last ? [markEvent(last)] : []];
  }

  /** Keeps what was held back of a character that was never finished. */
  flush(): void {
    for (const stream of ["stdout", "stderr"] as const) {
      const held = this.#held[stream];
      this.#held[stream] = new Uint8Array();
      if (!this.truncated) this.#keep(stream, held);
    }
  }

  /** What lies after a position, at most `most` bytes of it, its events among them. The bytes are the reader's own. */
  read(after: number, most = Infinity): Event[] {
    const events: Event[] = [];
    for (let at = this.#find(after); at < this.#entries.length && most > 0; at++) {
      const entry = this.#entries[at]!;
      if (entry.type === "state") {
        events.push(markEvent(entry));
        most -= EVENT_BYTES;
        continue;
      }
      const from = Math.max(0, after - entry.start);
      let to = Math.min(entry.length, from + most);
      if (to < entry.length) to -= unfinished(entry.bytes.subarray(from, to));
      if (to <= from) break;
      most -= to - from + EVENT_BYTES;
      events.push({ id: entry.start + to, type: entry.type, bytes: entry.bytes.slice(from, to) });
      if (to < entry.length) break;
    }
    return events;
  }

  /** Resolves when something was added, or will not be any more. */
  changed(): Promise<void> {
    return (this.#waiting ??= Promise.withResolvers<void>()).promise;
  }

  /** What is kept of a stream now. */
  pieces(stream: StreamName): Uint8Array[] {
    return this.#entries.flatMap((entry) =>
      entry.type === stream ? [(entry as Piece).bytes.subarray(0, entry.length)] : []
    );
  }

  #keep(stream: StreamName, chunk: Uint8Array): void {
    if (chunk.length > this.#room) {
      this.truncated = true;
      chunk = chunk.subarray(0, this.#room);
      chunk = chunk.subarray(0, chunk.length - unfinished(chunk));
    }
    this.#room -= chunk.length;
    for (let rest = chunk; rest.length > 0;) {
      const piece = this.#pieceFor(stream);
      if (!piece) break;
      let part = rest.subarray(0, LARGEST_PIECE - piece.length);
      if (part.length < rest.length) part = part.subarray(0, part.length - unfinished(part));
      append(piece, part);
      this.#end += part.length;
      rest = rest.subarray(part.length);
    }
    if (chunk.length > 0 || this.truncated) this.#wake();
  }

  #pieceFor(stream: StreamName): Piece | undefined {
    const last = this.#entries.at(-1);
    if (last?.type === stream && last.length <= LARGEST_PIECE - LARGEST_CHARACTER) return last as Piece;
    if (this.#entries.length >= MOST_PIECES) {
      this.truncated = true;
      return undefined;
    }
    const piece: Piece = { start: this.#end, type: stream, bytes: new Uint8Array(0), length: 0 };
    this.#entries.push(piece);
    return piece;
  }

  #wake(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  /** Index of the first entry that ends after a position. */
  #find(after: number): number {
    let low = 0, high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { start, length } = this.#entries[middle]!;
      if (start + length <= after) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function markEvent({ start, state }: Mark): Event {
  return { id: start + 1, type: "state", state };
}

function append(piece: Piece, part: Uint8Array): void {
  const needed = piece.length + part.length;
  if (needed > piece.bytes.length) {
    const size = Math.min(LARGEST_PIECE, Math.max(needed, SMALLEST_PIECE, 2 * piece.length));
    const larger = new Uint8Array(size);
    larger.set(piece.bytes.subarray(0, piece.length));
    piece.bytes = larger;
  }
  piece.bytes.set(part, piece.length);
  piece.length = needed;
}

/** How many bytes at the end begin a character of UTF-8 without finishing it (RFC 3629). */
export function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
    return byte < 0xf8 && length > back ? back : 0;
  }
  return 0;
}
