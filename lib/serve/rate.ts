/** Rates: a bucket that holds `count` and is filled again evenly within `seconds`. */
export interface BucketSize {
  count: number;
  seconds: number;
}

export class Bucket {
  #size: BucketSize;
  #filled: number;
  #at: number;

  /** @param now milliseconds of any clock that does not go back */
  constructor(size: BucketSize, now: number) {
    this.#size = size;
    this.#filled = size.count;
    this.#at = now;
  }

  /** Takes one and gives 0, or takes nothing and gives the seconds until there is one. */
  take(now: number): number {
    const { count, seconds } = this.#size;
    const perMs = count / seconds / 1000;
    this.#filled = Math.min(count, this.#filled + Math.max(0, now - this.#at) * perMs);
    this.#at = now;
    if (this.#filled < 1) return (1 - this.#filled) / perMs / 1000;
    this.#filled--;
    return 0;
  }

  /** Goes on with another size; what was taken stays taken. */
  resize(size: BucketSize): void {
    this.#filled = Math.max(0, this.#filled + size.count - this.#size.count);
    this.#size = size;
  }

  /** Nothing was taken lately, so that a new one would be the same. */
  full(now: number): boolean {
    const { count, seconds } = this.#size;
    return this.#filled + (now - this.#at) * count / seconds / 1000 >= count;
  }
}
