/** A bounded queue before a bounded number of executions. */
export class Queue {
  readonly #most: number;
  readonly #room: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number, room: number) {
    this.#most = most;
    this.#room = room;
  }

  /** No more can be taken. */
  get full(): boolean {
    return this.#running >= this.#most && this.#waiting.length >= this.#room;
  }

  /** Does `work` when its turn comes. Must not be called when {@link full}. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#most) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#running++;
    try {
      return await work();
    } finally {
      // The place goes to the next one directly, so that no newcomer overtakes.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}
