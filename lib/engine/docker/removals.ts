/** Containers that have to go. An engine that hangs or is gone is asked again until it has removed them. */
import { removeContainer } from "../../docker/containers.ts";
import { EngineError } from "../../docker/errors.ts";
import type { Engine } from "../../docker/system.ts";

export interface RemovalTiming {
  /** How long whoever asks for a removal waits for it, in milliseconds; it goes on afterwards. */
  patienceMs: number;
  /** How long one request may take. */
  attemptMs: number;
  /** Pauses between requests grow from the first to the second. */
  pauseMs: readonly [number, number];
  /** How long a container is looked for that may still come about: its creation was asked for and not answered. */
  appearMs: number;
}

const TIMING: RemovalTiming = {
  patienceMs: 3000,
  attemptMs: 20_000,
  pauseMs: [200, 10_000],
  appearMs: 60_000,
};

export class Removals {
  readonly #engine: Engine;
  readonly #timing: RemovalTiming;
  readonly #work = new Set<Promise<void>>();
  readonly #closed = new AbortController();

  constructor(engine: Engine, timing: Partial<RemovalTiming> = {}) {
    this.#engine = engine;
    this.#timing = { ...TIMING, ...timing };
  }

  /** Removals that are not done yet. */
  get pending(): number {
    return this.#work.size;
  }

  /**
   * Removes a container, by id or name, running or not. Resolves when that is done, and after a few seconds also when
   * it is not; then it goes on in the background.
   */
  async remove(container: string, options: { mayAppear?: boolean } = {}): Promise<void> {
    await this.#wait(
      this.follow(this.#untilGone(container, options.mayAppear ?? false)),
      this.#timing.patienceMs,
    );
  }

  /** Counts work that ends in a removal among what {@link settled} waits for. */
  follow(work: Promise<void>): Promise<void> {
    const done = work.finally(() => this.#work.delete(done));
    // Whoever waits sees a failure; one that nobody waits for must not end the daemon.
    done.catch(() => undefined);
    this.#work.add(done);
    return done;
  }

  /** Waits until nothing is pending, at most `ms`; says how many removals are. */
  async settled(ms: number): Promise<number> {
    const end = performance.now() + ms;
    while (this.#work.size > 0 && performance.now() < end) {
      await this.#wait(Promise.allSettled(this.#work), end - performance.now());
    }
    return this.#work.size;
  }

  /** Gives up what is not done; the next start's sweep finds it. */
  async close(): Promise<void> {
    this.#closed.abort(new EngineError("The daemon ends"));
    await Promise.allSettled(this.#work);
  }

  async #untilGone(container: string, mayAppear: boolean): Promise<void> {
    const { appearMs, pauseMs: [first, longest] } = this.#timing;
    const lookUntil = performance.now() + (mayAppear ? appearMs : 0);
    for (let pause = first; !this.#closed.signal.aborted; pause = Math.min(pause * 2, longest)) {
      const found = await this.#attempt(container);
      if (found === true || found === false && performance.now() >= lookUntil) return;
      await this.#wait(new Promise<never>(() => {}), pause);
    }
  }

  /** Whether there was one to remove; undefined when the engine has not said so. */
  async #attempt(container: string): Promise<boolean | undefined> {
    const limit = new AbortController();
    const late = () => limit.abort(new EngineError("The engine does not answer"));
    const timer = setTimeout(late, this.#timing.attemptMs);
    try {
      const signal = AbortSignal.any([limit.signal, this.#closed.signal]);
      return await removeContainer(this.#engine, container, { force: true, signal });
    } catch (error) {
      // Whatever the engine says, the container has to go: it is asked again, ever more rarely.
      if (error instanceof EngineError) return undefined;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Until it settles, `ms` have passed or removals are given up. */
  async #wait(promise: Promise<unknown>, ms: number): Promise<void> {
    const { signal } = this.#closed;
    if (signal.aborted) return;
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const stop = () => resolve();
    const timer = setTimeout(stop, ms);
    signal.addEventListener("abort", stop, { once: true });
    try {
      await Promise.race([promise, over]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
  }
}
