/** Signals of `cordon run`: before the command runs they end the run, afterwards they are the command's. */

/** With their numbers, which are the same on x86_64 and aarch64. Stopping and continuing stay ours. */
const PASSED: Partial<Record<Deno.Signal, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGALRM: 14,
  SIGTERM: 15,
};
const ENDING: readonly Deno.Signal[] = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"];
/** A first process without a handler ignores what asks it to end; whoever asks this often means it. */
const PATIENCE = 3;

/** How often it is looked whether the parent is still there, in milliseconds. */
const LOOK = 500;

/** Calls `gone` when this process has another parent than `parent`, once. */
function watchParent(parent: number | undefined, gone: () => void): Disposable {
  if (parent === undefined) return { [Symbol.dispose]: () => {} };
  const timer = setInterval(() => {
    if (Deno.ppid === parent) return;
    clearInterval(timer);
    gone();
  }, LOOK);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** A signal ended the run. */
export class Interrupted extends Error {
  readonly status: number;

  constructor(name: Deno.Signal) {
    super(`interrupted by ${name}`);
    this.status = 128 + (PASSED[name] ?? 0);
  }
}

/** While it lasts, a signal that asks us to end aborts instead of ending the process. */
export class Interruption implements Disposable {
  readonly #abort = new AbortController();
  readonly #handlers = ENDING.map((name) => [name, () => this.#abort.abort(new Interrupted(name))] as const);

  readonly #watch: Disposable;

  /** @param parent the process whose end counts as such a signal */
  constructor(parent: number | undefined) {
    for (const [name, handler] of this.#handlers) Deno.addSignalListener(name, handler);
    this.#watch = watchParent(parent, () => this.#abort.abort(new Interrupted("SIGHUP")));
  }

  /** Aborts with {@link Interrupted}. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    for (const [name, handler] of this.#handlers) Deno.removeSignalListener(name, handler);
  }
}

export class Signals implements Disposable {
  readonly #abort = new AbortController();
  readonly #handlers = new Map<Deno.Signal, () => void>();
  #pass: ((name: Deno.Signal) => void) | undefined;
  #asked = 0;

  readonly #watch: Disposable;

  /**
   * Without `proxy` nothing is caught: a signal ends cordon and leaves the command to itself. The end of the process
   * `parent` gives up the run.
   */
  constructor({ proxy, parent }: { proxy: boolean; parent: number | undefined }) {
    this.#watch = watchParent(parent, () => this.#abort.abort(new Interrupted("SIGHUP")));
    if (!proxy) return;
    for (const name of Object.keys(PASSED) as Deno.Signal[]) {
      const handler = () => this.#take(name);
      Deno.addSignalListener(name, handler);
      this.#handlers.set(name, handler);
    }
  }

  /** Aborts with {@link Interrupted} when the run is to be given up. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** From here on signals go there; without it they end the run again. */
  passTo(pass: ((name: Deno.Signal) => void) | undefined): void {
    this.#pass = pass;
  }

  get passing(): boolean {
    return this.#pass !== undefined;
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    for (const [name, handler] of this.#handlers) Deno.removeSignalListener(name, handler);
    this.#handlers.clear();
  }

  #take(name: Deno.Signal): void {
    const ending = ENDING.includes(name);
    if (ending) this.#asked++;
    if (ending && (!this.#pass || this.#asked >= PATIENCE)) return this.#abort.abort(new Interrupted(name));
    this.#pass?.(name);
  }
}
