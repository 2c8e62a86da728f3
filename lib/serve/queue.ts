/**
 * Who comes next: a bounded queue that is fair between tenants. Tenants with something waiting take turns, each for one
 * item, whatever the length of their queues; a tenant that has its share running is passed over. Of items with one thing
 * in common only one runs at a time, in their order; those that wait for it hold up nothing else.
 */
export interface QueueLimits {
  /** Running at once, of all tenants. */
  concurrency: number;
  /** Waiting, of all tenants. */
  length: number;
}

export type Place = "taken" | "tenant-full" | "full";

interface Line<Item> {
  waiting: Item[];
  running: number;
  concurrency: number;
}

export class FairQueue<Item> {
  /** In the order of their turns: the first one's is next. */
  readonly #lines = new Map<string, Line<Item>>();
  /** What the items that run share. */
  readonly #busy = new Set<unknown>();
  readonly #sharedBy: (item: Item) => unknown;
  #limits: QueueLimits;
  #running = 0;
  #waiting = 0;

  /** @param sharedBy what an item cannot share with another that runs; undefined for nothing */
  constructor(limits: QueueLimits, sharedBy: (item: Item) => unknown = () => undefined) {
    this.#limits = limits;
    this.#sharedBy = sharedBy;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting;
  }

  change(limits: QueueLimits): void {
    this.#limits = limits;
  }

  /** How many of a tenant's run and wait. */
  of(tenant: string): { running: number; waiting: number } {
    const line = this.#lines.get(tenant);
    return { running: line?.running ?? 0, waiting: line?.waiting.length ?? 0 };
  }

  /** Appends an item to its tenant's line, if there is room. `limits` are the tenant's own. */
  add(item: Item, tenant: string, limits: QueueLimits): Place {
    const { running, waiting } = this.of(tenant);
    // What can begin at once takes no room in the queue.
    const begins = running < limits.concurrency && this.#running < this.#limits.concurrency &&
      this.#mayRun(item) && !this.#lines.get(tenant)?.waiting.some((other) => this.#mayRun(other));
    if (!begins) {
      if (waiting >= limits.length) return "tenant-full";
      if (this.#waiting >= this.#limits.length) return "full";
    }
    let line = this.#lines.get(tenant);
    if (!line) this.#lines.set(tenant, line = { waiting: [], running: 0, concurrency: 0 });
    line.concurrency = limits.concurrency;
    line.waiting.push(item);
    this.#waiting++;
    return "taken";
  }

  /** Takes the next item that may run. Its place is held until {@link done}. */
  next(): Item | undefined {
    if (this.#running >= this.#limits.concurrency) return undefined;
    for (const [tenant, line] of this.#lines) {
      if (line.running >= line.concurrency) continue;
      const at = line.waiting.findIndex((item) => this.#mayRun(item));
      if (at < 0) continue;
      // To the end of the order: the others come first now.
      this.#lines.delete(tenant);
      this.#lines.set(tenant, line);
      line.running++;
      this.#running++;
      this.#waiting--;
      const [item] = line.waiting.splice(at, 1) as [Item];
      const shared = this.#sharedBy(item);
      if (shared !== undefined) this.#busy.add(shared);
      return item;
    }
    return undefined;
  }

  /** Takes an item out of its line; false when it does not wait there. */
  remove(item: Item, tenant: string): boolean {
    const line = this.#lines.get(tenant);
    const at = line?.waiting.indexOf(item) ?? -1;
    if (!line || at < 0) return false;
    line.waiting.splice(at, 1);
    this.#waiting--;
    this.#forget(tenant, line);
    return true;
  }

  done(item: Item, tenant: string): void {
    const line = this.#lines.get(tenant);
    if (!line || line.running === 0) throw new Error(`nothing of ${tenant} is running`);
    this.#busy.delete(this.#sharedBy(item));
    line.running--;
    this.#running--;
    this.#forget(tenant, line);
  }

  #mayRun(item: Item): boolean {
    return !this.#busy.has(this.#sharedBy(item));
  }

  #forget(tenant: string, line: Line<Item>): void {
    if (line.running === 0 && line.waiting.length === 0) this.#lines.delete(tenant);
  }
}
