/** What is typed or piped to an execution, kept until the server has it: a cut loses nothing and doubles nothing. */
import type { Attachment } from "../lib/api/attach.ts";
import { CordonError } from "../lib/errors.ts";

/** So much is read ahead of the command. A server waits, with everything else, when it holds 256 KiB. */
const MOST_AHEAD = 128 * 1024;

export class Typed {
  /** What the command was not yet given, by its position in all of the execution's input. */
  readonly #kept: { at: number; bytes: Uint8Array }[] = [];
  /** The position after what was read. */
  #end: number | undefined;
  #taken = 0;
  #ended = false;
  #changed = Promise.withResolvers<void>();

  /**
   * Reads stdin as the command takes it. Resolves at its end, which the command is told unless `endless`; rejects when it
   * cannot be read.
   */
  async read(stdin: ReadableStream<Uint8Array>, { endless }: { endless: boolean }): Promise<void> {
    const reader = stdin.getReader();
    for (;;) {
      while (this.#end === undefined || this.#end - this.#taken >= MOST_AHEAD) await this.#changed.promise;
      const { done, value } = await reader.read();
      if (done) break;
      if (value.length > 0) this.#kept.push({ at: this.#end, bytes: value });
      this.#end += value.length;
      this.#wake();
    }
    this.#ended = !endless;
    this.#wake();
  }

  /** The command was given so much. */
  taken(bytes: number): void {
    // A server that says more than it was given must not have us read on without bound.
    this.#taken = Math.max(this.#taken, Math.min(bytes, this.#end ?? bytes));
    for (let [first] = this.#kept; first && first.at + first.bytes.length <= bytes; [first] = this.#kept) {
      this.#kept.shift();
    }
    this.#wake();
  }

  /**
   * Sends what is there and what comes, to the end of either.
   *
   * @param had what the server has of all input, and whether it has its end
   * @throws CordonError when that does not go with what was sent before
   */
  async feed(to: Attachment, had: { bytes: number; ended: boolean }): Promise<void> {
    this.#end ??= this.#taken = had.bytes;
    let at = had.bytes;
    const first = this.#kept[0]?.at ?? this.#end;
    if (at > this.#end || at < first || had.ended && (at < this.#end || !this.#ended)) {
      throw new CordonError("Cannot go on with the input", {
        why: "Somebody else has written to it in the meantime",
      });
    }
    this.#wake();
    for (let over = had.ended; !over;) {
      const piece = this.#kept.find((piece) => at < piece.at + piece.bytes.length);
      if (piece) {
        const rest = piece.bytes.subarray(at - piece.at);
        if (!await to.input(rest)) return;
        at += rest.length;
      } else if (this.#ended) {
        over = true;
        await to.eof();
      } else {
        let gone = false;
        await Promise.race([this.#changed.promise, to.over.then(() => gone = true)]);
        if (gone) return;
      }
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
