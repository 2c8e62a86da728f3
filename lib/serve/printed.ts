/** Output within an answer in JSON. Much of it is told a piece at a time, so that it is not in memory four times over. */
import { Buffer } from "node:buffer";

export type Encoding = "text" | "base64";

/** What an execution printed on one of its streams, as a value of JSON: what is no UTF-8 becomes U+FFFD. */
export class Printed {
  readonly #pieces: readonly Uint8Array[];
  readonly #encoding: Encoding;
  readonly #remark: string;

  /** @param remark is told behind it */
  constructor(
    pieces: readonly Uint8Array[],
    { encoding, remark = "" }: { encoding: Encoding; remark?: string },
  ) {
    this.#pieces = pieces;
    this.#encoding = encoding;
    this.#remark = remark;
  }

  get length(): number {
    return this.#pieces.reduce((sum, { length }) => sum + length, 0);
  }

  toJSON(): string {
    return [...this.parts()].join("");
  }

  /** Its text. None of the parts ends in the middle of a character. */
  *parts(): Generator<string> {
    yield* this.#encoding === "text" ? decoded(this.#pieces) : inBase64(this.#pieces);
    if (this.#remark) yield this.#remark;
  }
}

function* decoded(pieces: Iterable<Uint8Array>): Generator<string> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  for (const piece of pieces) yield decoder.decode(piece, { stream: true });
  yield decoder.decode();
}

/** Base64 takes three bytes at a time (RFC 4648, section 4). */
function* inBase64(pieces: Iterable<Uint8Array>): Generator<string> {
  let rest = new Uint8Array();
  for (const piece of pieces) {
    const whole = Buffer.concat([rest, piece]);
    const cut = whole.length - whole.length % 3;
    yield whole.toString("base64", 0, cut);
    rest = new Uint8Array(whole.subarray(cut));
  }
  yield Buffer.from(rest).toString("base64");
}

/** An object as JSON, some of whose own values are {@link Printed}, in parts that are made as they are taken. */
export function* jsonParts(value: object): Generator<string> {
  let mark = "{";
  for (const [name, each] of Object.entries(value)) {
    if (each === undefined) continue;
    const head = `${mark}${JSON.stringify(name)}:`;
    mark = ",";
    if (!(each instanceof Printed)) {
      yield head + JSON.stringify(each);
      continue;
    }
    yield `${head}"`;
    for (const part of each.parts()) yield JSON.stringify(part).slice(1, -1);
    yield '"';
  }
  yield mark === "{" ? "{}" : "}";
}

const encoder = new TextEncoder();

/** Gives a stream the next part, or its end; says whether there was one. */
export function pullFrom(
  parts: Iterator<string>,
  controller: ReadableStreamDefaultController<Uint8Array>,
): boolean {
  for (let next = parts.next(); !next.done; next = parts.next()) {
    if (next.value === "") continue;
    controller.enqueue(encoder.encode(next.value));
    return true;
  }
  controller.close();
  return false;
}
