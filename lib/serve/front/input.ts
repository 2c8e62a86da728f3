/** What a client sends, buffered in as little memory as it needs. */

/** Of an idle connection: there may be thousands. */
const LEAST = 1024;
const MOST = 64 * 1024;

/** Reads from a connection. One read is under way at most, whoever waits for it. */
export class Input {
  readonly #conn: Deno.Conn;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(LEAST);
  #start = 0;
  #end = 0;
  #reading: Promise<boolean> | undefined;
  /** Nothing more will come: the client closed, in order (`end`) or not (`reset`). */
  ended: "end" | "reset" | undefined;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** Bytes that are here and not taken. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** Those bytes, until the next call of anything here. */
  view(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** Takes `most` bytes, or what is here. A copy. */
  take(most: number): Uint8Array<ArrayBuffer> {
    const taken = this.#buffer.slice(this.#start, Math.min(this.#end, this.#start + most));
    this.#start += taken.length;
    return taken;
  }

  /** Waits until something more is here; false when the client closed. */
  more(): Promise<boolean> {
    if (this.ended) return Promise.resolve(false);
    return this.#reading ??= this.#read();
  }

  async #read(): Promise<boolean> {
    this.#makeRoom();
    try {
      const count = await this.#conn.read(this.#buffer.subarray(this.#end));
      if (count === null) this.ended = "end";
      else this.#end += count;
    } catch {
      // Reset by the client, a failed TLS handshake, or closed by us meanwhile: nothing more comes in any case.
      this.ended = "reset";
    } finally {
      this.#reading = undefined;
    }
    return this.ended === undefined;
  }

  /** Before a read only: while one is under way, it holds a part of the buffer. */
  #makeRoom(): void {
    const held = this.length;
    const full = this.#end === this.#buffer.length;
    if (held === 0 && !full && this.#buffer.length > LEAST && this.#end <= LEAST) {
      this.#buffer = new Uint8Array(LEAST);
      this.#start = this.#end = 0;
    } else if (full && this.#buffer.length < MOST) {
      // It came as fast as the buffer could take it.
      const grown = new Uint8Array(Math.min(MOST, this.#buffer.length * 4));
      grown.set(this.view());
      this.#buffer = grown;
      this.#start = 0;
      this.#end = held;
    } else if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#start = 0;
      this.#end = held;
    }
  }
}
