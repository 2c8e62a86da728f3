/** C strings of a program, equal ones once. */
import { encodeOs } from "../host/bytes.ts";

const utf8 = new TextEncoder();
// deno-lint-ignore no-control-regex
const NOT_ASCII = /[^\x00-\x7f]/;

export interface Text {
  offset: number;
  /** In bytes, without the NUL. */
  length: number;
}

/**
 * Strings are joined and encoded in one call at the end: a loop over their characters, or a call into the runtime for
 * each, would cost 1 ms at the start of a sandbox.
 */
export class Strings {
  #known = new Map<string, Text>();
  #joined = "";
  /** Strings that are not ASCII; in `#joined` there is room for them. */
  #others: { offset: number; bytes: Uint8Array }[] = [];

  add(text: string): Text {
    let known = this.#known.get(text);
    if (known) return known;
    const offset = this.#joined.length;
    if (NOT_ASCII.test(text)) {
      const bytes = encodeOs(text);
      this.#others.push({ offset, bytes });
      this.#joined += "\0".repeat(bytes.length + 1);
      known = { offset, length: bytes.length };
    } else {
      this.#joined += text + "\0";
      known = { offset, length: text.length };
    }
    this.#known.set(text, known);
    return known;
  }

  /** Bytes that {@link write} fills. */
  get size(): number {
    return this.#joined.length;
  }

  write(into: Uint8Array): void {
    utf8.encodeInto(this.#joined, into);
    for (const { offset, bytes } of this.#others) into.set(bytes, offset);
  }
}
