/** Output on its way to stdout and stderr: a reader that pauses must not keep a connection from being heard. */
import { writeAll } from "../lib/host/pieces.ts";

/** So much waits here; more waits with the server. */
const MOST_WAITING = 64 * 2 ** 20;

export class Shown {
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;

  /** Rejects when somebody who read has gone; never settles otherwise. */
  readonly failed: Promise<never>;
  readonly #fail: (error: unknown) => void;

  constructor() {
    const { promise, reject } = Promise.withResolvers<never>();
    this.failed = promise;
    this.#fail = reject;
    promise.catch(() => undefined);
  }

  /** Resolves when there is room for more. */
  async show(stream: "stdout" | "stderr", bytes: Uint8Array): Promise<void> {
    this.#waiting += bytes.length;
    this.#turn = this.#turn.then(async () => {
      await writeAll(Deno[stream], bytes);
      this.#waiting -= bytes.length;
    });
    this.#turn.catch(this.#fail);
    if (this.#waiting > MOST_WAITING) await this.#turn;
  }

  /** Resolves when all of it is out. @throws Deno.errors.BrokenPipe when nobody reads any more */
  async out(): Promise<void> {
    await this.#turn;
  }
}
