/** The keys by which a person leaves a container running: a sequence in what is typed. No I/O. */

import { refuse } from "../cli/values.ts";

/** ctrl-p, ctrl-q */
export const DEFAULT_DETACH_KEYS = Uint8Array.of(16, 17);

/** Keys between commas, each one character or `ctrl-` and one of a–z @ [ \ ] ^ _ */
export function parseDetachKeys(option: string, text: string): Uint8Array {
  return Uint8Array.from(
    text.split(",").map((key) => {
      if (/^[\x21-\x7e ]$/.test(key)) return key.charCodeAt(0);
      const control = /^ctrl-([a-zA-Z@[\\\]^_])$/.exec(key)?.[1];
      if (control === undefined) throw refuse(option, text, "keys such as ctrl-p,ctrl-q or a,b");
      return control.toUpperCase().charCodeAt(0) & 31;
    }),
  );
}

/**
 * Watches what is typed. A beginning of the sequence is held back until the next key tells what it was, so that the
 * engine, which looks for its own sequence, never sees one.
 */
export class DetachWatch {
  readonly #keys: Uint8Array;
  #held = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /** What may go on, and whether the sequence was completed: then nothing after it counts. */
  pass(typed: Uint8Array): { bytes: Uint8Array; detached: boolean } {
    const out: number[] = [];
    for (const byte of typed) {
      if (byte === this.#keys[this.#held]) {
        this.#held++;
        if (this.#held === this.#keys.length) return { bytes: Uint8Array.from(out), detached: true };
        continue;
      }
      out.push(...this.#keys.subarray(0, this.#held));
      this.#held = byte === this.#keys[0] ? 1 : 0;
      if (this.#held === 0) out.push(byte);
    }
    return { bytes: Uint8Array.from(out), detached: false };
  }
}
