/** Admits executions, lets them run in turn, and records them: before they begin, and how they ended. */
import type { Result } from "../engine/engine.ts";
import { CordonError } from "../errors.ts";
import type { Tenant } from "./config/types.ts";
import { type Admitted, type CancelReason, Execution } from "./execution.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { FairQueue, type QueueLimits } from "./queue.ts";
import { Bucket } from "./rate.ts";
import type { Store } from "./store.ts";
import { afterTurn } from "./turn.ts";

/** Runs a job to its end. Output goes to the execution; its signal ends it. */
export type Perform = (execution: Execution) => Promise<Result>;

/** Why nothing was admitted. */
export class Busy extends Error {
  constructor(
    readonly kind: "rate" | "tenant" | "capacity" | "draining" | "record",
    /** Whole seconds after which it is worth trying again. */
    readonly retryAfter: number,
  ) {
    super(kind);
  }
}

export interface ExecutorParts {
  perform: Perform;
  store: Store;
  metrics: Metrics;
  log: Log;
  limits: QueueLimits;
}

const DRAIN_RETRY_S = 10;
const RECORD_RETRY_S = 5;
const LONGEST_RETRY_S = 60;
/** Bytes that executions may bring along, as stdin and files, as long as they have not ended: of one tenant, of all. */
const MOST_BROUGHT = { tenant: 64 * 2 ** 20, all: 256 * 2 ** 20 };

export class Executor {
  readonly #parts: ExecutorParts;
  readonly #queue: FairQueue<Execution>;
  readonly #buckets = new Map<string, Bucket>();
  readonly #live = new Map<string, Execution>();
  readonly #byKey = new Map<string, Execution>();
  readonly #recorded = new WeakMap<Execution, Promise<void>>();
  #limits: QueueLimits;
  #draining = false;
  #idle: PromiseWithResolvers<void> | undefined;
  /** Milliseconds that an execution took lately. */
  #usual = 100;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    this.#limits = parts.limits;
    this.#queue = new FairQueue(parts.limits, ({ admitted }) => admitted.job.work?.session);
    parts.metrics.watchQueue(() => ({ running: this.#queue.running, waiting: this.#queue.waiting }));
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** What a tenant has running and waiting. */
  of(tenant: string): { running: number; waiting: number } {
    return this.#queue.of(tenant);
  }

  /** Other limits for what comes from now on. */
  change(limits: QueueLimits): void {
    this.#limits = limits;
    this.#queue.change(limits);
    this.#next();
  }

  /** @throws Busy */
  submit(tenant: Tenant, admitted: Omit<Admitted, "tenant">): Execution {
    if (this.#draining) throw new Busy("draining", DRAIN_RETRY_S);
    if (this.#parts.store.trouble !== undefined) throw new Busy("record", RECORD_RETRY_S);
    this.#takeRate(tenant);
    this.#checkBrought(tenant.name, brought(admitted));
    const execution = new Execution({ ...admitted, tenant: tenant.name });
    const place = this.#queue.add(execution, tenant.name, {
      concurrency: tenant.concurrency ?? this.#limits.concurrency,
      length: tenant.queue ?? this.#limits.length,
    });
    if (place === "tenant-full") throw new Busy("tenant", this.#patience());
    if (place === "full") throw new Busy("capacity", this.#patience());
    this.#live.set(execution.id, execution);
    const { key } = admitted;
    if (key) this.#byKey.set(`${tenant.name}\n${key.name}`, execution);
    const recorded = this.#parts.store.insert(execution.record());
    recorded.catch((error) => {
      // One whose turn has come already fails there.
      if (this.#queue.remove(execution, tenant.name)) this.#unrecorded(execution, error);
    });
    this.#recorded.set(execution, recorded);
    this.#next();
    return execution;
  }

  /** Resolves when the record has it: what a client was told of is never forgotten. One that it cannot take fails. */
  async recorded(execution: Execution): Promise<void> {
    try {
      await this.#recorded.get(execution);
    } catch {
      // Told as the execution's failure, by #unrecorded.
    }
  }

  /** One that has not ended yet, or only just. */
  get(id: string, tenant: string): Execution | undefined {
    const execution = this.#live.get(id);
    return execution?.admitted.tenant === tenant ? execution : undefined;
  }

  byKey(key: string, tenant: string): Execution | undefined {
    return this.#byKey.get(`${tenant}\n${key}`);
  }

  /** Ends it, running or not; nothing happens to one that ended. */
  cancel(execution: Execution, reason: CancelReason): void {
    if (execution.over) return;
    execution.abort(reason);
    if (this.#queue.remove(execution, execution.admitted.tenant)) this.#over(execution);
  }

  /** Takes nothing more; resolves when all that was admitted has ended and is recorded, if it can be. */
  drain(): Promise<void> {
    this.#draining = true;
    this.#idle ??= Promise.withResolvers<void>();
    this.#settle();
    return this.#idle.promise;
  }

  /** Ends all that waits and runs. */
  cancelAll(reason: CancelReason): void {
    for (const execution of [...this.#live.values()]) this.cancel(execution, reason);
  }

  #takeRate({ name, rate }: Tenant): void {
    if (!rate) return void this.#buckets.delete(name);
    const now = performance.now();
    let bucket = this.#buckets.get(name);
    if (!bucket) this.#buckets.set(name, bucket = new Bucket(rate, now));
    bucket.resize(rate);
    const seconds = bucket.take(now);
    if (seconds > 0) throw new Busy("rate", Math.ceil(seconds));
  }

  /** A queue has as many bytes as its places together. */
  #checkBrought(tenant: string, more: number): void {
    if (more === 0) return;
    let own = more, all = more;
    for (const { admitted } of this.#live.values()) {
      const bytes = brought(admitted);
      all += bytes;
      if (admitted.tenant === tenant) own += bytes;
    }
    if (own > MOST_BROUGHT.tenant) throw new Busy("tenant", this.#patience());
    if (all > MOST_BROUGHT.all) throw new Busy("capacity", this.#patience());
  }

  /** Whole seconds until a place is likely to be free. */
  #patience(): number {
    const ms = this.#usual * (this.#queue.waiting + 1) / this.#limits.concurrency;
    return Math.min(LONGEST_RETRY_S, Math.max(1, Math.ceil(ms / 1000)));
  }

  #next(): void {
    for (let next = this.#queue.next(); next; next = this.#queue.next()) this.#run(next);
  }

  async #run(execution: Execution): Promise<void> {
    const { perform, store, metrics, log } = this.#parts;
    const { tenant, job } = execution.admitted;
    try {
      // Nothing begins before it is written.
      await this.#recorded.get(execution);
    } catch (error) {
      this.#queue.done(execution, tenant);
      this.#unrecorded(execution, error);
      return this.#next();
    }
    execution.begin(Date.now());
    store.update(execution.record());
    metrics.waited(execution);
    try {
      const result = execution.signal.aborted ? undefined : await perform(execution);
      execution.end(Date.now(), { ...(result && { result }) });
    } catch (error) {
      const told = error instanceof CordonError;
      log("error", "failed", { execution: execution.id, engine: job.engine, error: String(error) });
      execution.end(Date.now(), { failure: told ? describe(error) : "the server failed" });
    }
    this.#usual += (execution.finished! - (execution.started ?? execution.created) - this.#usual) / 16;
    this.#queue.done(execution, tenant);
    this.#over(execution);
    this.#next();
  }

  /** It is in no record, so it must not run. */
  #unrecorded(execution: Execution, error: unknown): void {
    this.#parts.log("error", "unrecorded", { execution: execution.id, error: String(error) });
    execution.end(Date.now(), { failure: "it could not be recorded, and so was not begun" });
    execution.tell();
    this.#forget(execution);
  }

  /** Records an end. */
  #over(execution: Execution): void {
    if (!execution.over) execution.end(Date.now());
    const { store, metrics, log } = this.#parts;
    const row = execution.record();
    if (row.via === "v1" && !keepOutput(execution, store)) {
      log("error", "unrecorded", { execution: row.id, error: "there is no room for its output" });
    }
    store.update(row);
    // After the record's transaction of this turn: a server that is killed now has told nobody what it forgets.
    afterTurn(() => execution.tell());
    metrics.ended(row);
    log("info", "executed", {
      request_id: row.request_id,
      execution: row.id,
      tenant: row.tenant,
      engine: row.engine,
      state: row.state,
      reason: row.reason,
      exit_code: row.exit_code,
      wall_ms: row.wall_ms,
    });
    // Until it is written, the execution itself answers for it.
    store.written().then(() => this.#forget(execution));
    this.#settle();
  }

  #forget(execution: Execution): void {
    const { tenant, key } = execution.admitted;
    this.#live.delete(execution.id);
    if (key) this.#byKey.delete(`${tenant}\n${key.name}`);
    this.#settle();
  }

  /** Lets {@link drain} go on after the record's transaction of this turn, whether it succeeds or not. */
  #settle(): void {
    const idle = this.#idle;
    if (!idle || ![...this.#live.values()].every(({ over }) => over)) return;
    afterTurn(() => idle.resolve());
  }
}

function brought({ job: { stdin, work } }: Pick<Admitted, "job">): number {
  return (work?.files ?? []).reduce(
    (sum, { from }) => sum + ("bytes" in from ? from.bytes.length : 0),
    stdin?.length ?? 0,
  );
}

function describe(error: CordonError): string {
  return error.why === undefined ? error.message : `${error.message}: ${error.why}`;
}

/** Whether all of it will be kept. */
function keepOutput({ id, output }: Execution, store: Store): boolean {
  const encoder = new TextEncoder();
  return output.whole().every((event) => {
    const bytes = event.type === "state" ? encoder.encode(JSON.stringify(event.state)) : event.bytes;
    return store.keep(id, { after: event.id, type: event.type, bytes });
  });
}
