/** Bodies of requests as they lie in the input: counted or chunked (RFC 9112 7.1). */
import type { Head } from "./head.ts";
import type { Input } from "./input.ts";

/** Of a line with the size of a chunk, extensions included. */
const MOST_SIZE_LINE = 256;
/** Of all trailer lines together; they are dropped. */
const MOST_TRAILERS = 8192;
/** Handed on at once. */
const MOST_PIECE = 64 * 1024;

const CR = 13, LF = 10;

/** A body that breaks its framing: what follows cannot be read as a request. */
export class Malformed extends Error {
  override readonly name = "Malformed";
}

/** Takes one body from the input. */
export class Body {
  readonly #input: Input;
  /** Of the chunk, or of the whole body. */
  #left: number;
  #state: "data" | "size" | "end of chunk" | "trailers" | "done";
  readonly #chunked: boolean;
  #trailers = 0;
  /** Bytes taken so far. */
  received = 0;

  constructor(input: Input, framing: Head["body"]) {
    this.#input = input;
    this.#chunked = framing === "chunked";
    this.#left = framing === "chunked" ? 0 : framing;
    this.#state = this.#chunked ? "size" : this.#left > 0 ? "data" : "done";
  }

  /** Everything was taken. */
  get done(): boolean {
    return this.#state === "done";
  }

  /** The whole body is in the input already, and its length is told. */
  get here(): boolean {
    return !this.#chunked && this.#left <= this.#input.length;
  }

  /**
   * The next bytes that are there.
   *
   * @returns undefined when nothing is there: the body is {@link done}, or more must come
   * @throws {Malformed}
   */
  next(): Uint8Array<ArrayBuffer> | undefined {
    while (this.#state !== "done" && this.#input.length > 0) {
      if (this.#state === "data") {
        const piece = this.#input.take(Math.min(this.#left, MOST_PIECE));
        this.#left -= piece.length;
        this.received += piece.length;
        if (this.#left === 0) this.#state = this.#chunked ? "end of chunk" : "done";
        return piece;
      }
      const line = this.#line();
      if (line === undefined) return undefined;
      this.#take(line);
    }
    return undefined;
  }

  #take(line: string): void {
    if (this.#state === "size") {
      // deno-lint-ignore no-control-regex
      const size = /^([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?$/.exec(line)?.[1];
      if (size === undefined) throw new Malformed("a chunk does not begin with its size");
      this.#left = parseInt(size, 16);
      this.#state = this.#left === 0 ? "trailers" : "data";
    } else if (this.#state === "end of chunk") {
      if (line !== "") throw new Malformed("a chunk is longer than its size");
      this.#state = "size";
    } else {
      this.#trailers += line.length + 2;
      if (this.#trailers > MOST_TRAILERS) throw new Malformed("the trailer is too long");
      if (line === "") this.#state = "done";
    }
  }

  #line(): string | undefined {
    const bytes = this.#input.view();
    const most = this.#state === "size" ? MOST_SIZE_LINE : this.#state === "trailers" ? MOST_TRAILERS : 2;
    const lf = bytes.indexOf(LF);
    if (lf < 0 ? bytes.length >= most : lf >= most) {
      throw new Malformed("a line of the chunked body is too long");
    }
    if (lf < 0) return undefined;
    if (bytes[lf - 1] !== CR) throw new Malformed("a line ends without a carriage return");
    return String.fromCharCode(...this.#input.take(lf + 1).subarray(0, lf - 1));
  }
}
