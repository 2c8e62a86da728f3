/** What is worth having ready: use counts that fade, and the places that follow from them. No I/O, no clock of its own. */

export interface PopularityOptions {
  /** Milliseconds in which a use counts half. */
  halfLifeMs: number;
  /** Fewer uses than this make nothing ready: what is run once is not run again. */
  enter: number;
  /** Below this what is ready goes. */
  stay: number;
  /** Kinds that are remembered. */
  most: number;
}

const OPTIONS: PopularityOptions = { halfLifeMs: 10 * 60_000, enter: 1.5, stay: 0.5, most: 1000 };
/** What has a place keeps it against what is hardly more popular. */
const INCUMBENT = 1.5;

export class Popularity {
  readonly #options: PopularityOptions;
  readonly #scores = new Map<string, { score: number; at: number }>();
  /** Places that are wanted whether they are used or not. */
  readonly #kept = new Map<string, number>();

  constructor(options: Partial<PopularityOptions> = {}) {
    this.#options = { ...OPTIONS, ...options };
  }

  /** Counts one use at `now` (ms). */
  use(key: string, now: number): void {
    this.#scores.set(key, { score: this.#used(key, now) + 1, at: now });
    if (this.#scores.size > this.#options.most) this.#forget(now);
  }

  /** As popular as `places` take, from now on and always. */
  keep(key: string, places: number): void {
    this.#kept.set(key, places);
  }

  keeps(key: string): boolean {
    return this.#kept.has(key);
  }

  keepNothing(): void {
    this.#kept.clear();
  }

  score(key: string, now: number): number {
    return Math.max(this.#used(key, now), (this.#kept.get(key) ?? 0) * this.#options.enter);
  }

  /**
   * How many of `places` each kind gets: one after another to the one with the highest score for each place it has
   * (D'Hondt). Kinds with none are absent. `held` are the places as they are.
   */
  places(places: number, held: ReadonlyMap<string, number>, now: number): Map<string, number> {
    const { enter, stay } = this.#options;
    const given = new Map<string, number>();
    const keys = new Set([...this.#scores.keys(), ...this.#kept.keys()]);
    const claim = (key: string) => {
      const next = (given.get(key) ?? 0) + 1;
      const holds = (held.get(key) ?? 0) >= next;
      const share = this.score(key, now) / next;
      return share >= (holds ? stay : enter) ? share * (holds ? INCUMBENT : 1) : 0;
    };
    for (let left = places; left > 0; left--) {
      let best: { key: string; claim: number } | undefined;
      for (const key of keys) {
        const value = claim(key);
        if (value > (best?.claim ?? 0)) best = { key, claim: value };
      }
      if (!best) break;
      given.set(best.key, (given.get(best.key) ?? 0) + 1);
    }
    return given;
  }

  #used(key: string, now: number): number {
    const entry = this.#scores.get(key);
    return entry === undefined ? 0 : entry.score * 2 ** ((entry.at - now) / this.#options.halfLifeMs);
  }

  /** Drops the less popular half. */
  #forget(now: number): void {
    const byScore = [...this.#scores.keys()].sort((a, b) => this.score(a, now) - this.score(b, now));
    for (const key of byScore.slice(0, byScore.length >> 1)) this.#scores.delete(key);
  }
}
