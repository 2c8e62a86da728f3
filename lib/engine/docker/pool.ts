/**
 * Containers made ahead: each waits for one script on its stdin, runs it and is removed. Starting one takes a quarter of a
 * second, which nobody waits for then.
 */
import { EngineError } from "../../docker/errors.ts";
import type { ContainerConfig } from "../../docker/containers.ts";
import type { Result, Streams } from "../engine.ts";
import type { DockerClient } from "./client.ts";
import { abortedResult, follow } from "./follow.ts";
import { handover, waitingCommand } from "./handover.ts";
import { Popularity, type PopularityOptions } from "./popularity.ts";
import type { ContainerJob } from "./run.ts";
import { complete, end, type Started, startNew } from "./started.ts";

export interface ScriptJob extends ContainerJob {
  /** Run by `bash -lc` where the image has bash, else by `sh -c`. `config` must have no Cmd. */
  script: string;
}

export interface PoolOptions extends Partial<PopularityOptions> {
  /** Containers that may wait at any time, of all kinds together; 0 makes none ahead. */
  size: number;
  /** A waiting container older than this is replaced, so that a newer image of the same name comes into use. */
  maxAgeMs?: number;
  /** Milliseconds since any beginning. */
  now?: () => number;
  /** Told when one could not be made, which nobody waits for. */
  failed?: (error: unknown, image: string) => void;
}

/** Counts since the pool was made, and what stands ready. */
export interface PoolStats {
  ready: number;
  starting: number;
  /** Runs that found a container ready, and that did not. */
  warm: number;
  cold: number;
  /** Waiting containers that ended without having been used. */
  died: number;
  /** Why the last one could not be made; undefined when all could. */
  failure: unknown;
}

interface Waiting {
  started: Started;
  since: number;
}

interface Kind {
  key: string;
  config: ContainerConfig;
  ready: Waiting[];
  starting: number;
  /** After failures nothing is made ahead before this. */
  notBefore: number;
  failures: number;
}

/** New ones that are started at the same time; more would take the processors from what runs. */
const STARTING_AT_ONCE = 2;
/** How long after a use its place is filled again: the use has had its first output by then. */
const REFILL_MS = 100;
/** Fading and ageing are looked at this often. */
const TEND_MS = 15_000;
const MAX_AGE_MS = 15 * 60_000;
const LONGEST_PENALTY_MS = 5 * 60_000;
/** Removals that go on behind the answers; with more a run waits for its own. */
const REMOVING_AT_ONCE = 16;

export class WarmPool {
  readonly #client: DockerClient;
  readonly #options: Required<Pick<PoolOptions, "size" | "maxAgeMs" | "now">>;
  readonly #failed: PoolOptions["failed"];
  readonly #popularity: Popularity;
  readonly #kinds = new Map<string, Kind>();
  readonly #work = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  readonly #timers = new Set<number>();
  #failure: unknown;
  readonly #counts = { warm: 0, cold: 0, died: 0 };

  constructor(client: DockerClient, options: PoolOptions) {
    const { size, maxAgeMs = MAX_AGE_MS, now = () => performance.now(), failed, ...popularity } = options;
    this.#failed = failed;
    this.#client = client;
    this.#options = { size, maxAgeMs, now };
    this.#popularity = new Popularity(popularity);
    this.#later(TEND_MS);
  }

  get stats(): PoolStats {
    const kinds = [...this.#kinds.values()];
    return {
      ready: kinds.reduce((sum, { ready }) => sum + ready.length, 0),
      starting: this.#starting(),
      ...this.#counts,
      failure: this.#failure,
    };
  }

  /**
   * Runs a script in a container of its own, made ahead if there is one of this very configuration, labels included.
   * Otherwise as {@link runContainer}, except that the container's removal may go on after the result.
   *
   * @throws as runContainer does
   */
  async run(job: ScriptJob, streams: Streams): Promise<Result> {
    if (streams.signal?.aborted) return abortedResult();
    const { script, wallSeconds } = job;
    const { config, key } = this.#use(job);
    const line = handover(script, { stdin: streams.stdin !== undefined, env: config.Env ?? [] });
    let started: Started;
    try {
      started = await this.#handed(config, { key, line, signal: streams.signal });
    } catch (error) {
      if (streams.signal?.aborted) return abortedResult();
      throw error;
    } finally {
      if (this.#options.size > 0) {
        this.#kind(key, config);
        this.#later(REFILL_MS);
      }
    }
    try {
      return await follow(this.#client, started, { streams, wallSeconds });
    } finally {
      const ending = end(this.#client, started);
      if (this.#client.removals.pending > REMOVING_AT_ONCE) await ending;
    }
  }

  /**
   * Counts as a use of the job's configuration, and has one ready before it resolves, as long as there are places.
   *
   * @throws EngineError when it cannot be made
   */
  async prepare(job: ContainerJob): Promise<void> {
    const { config, key } = this.#use(job);
    const kind = this.#kind(key, config);
    if (this.#options.size > 0 && kind.ready.length === 0) await this.#make(kind);
    this.#later(0);
  }

  /**
   * What is to stand ready from now on, used or not, and how many containers in all. Where that is more than there is
   * room for, use decides.
   */
  keep(jobs: readonly { job: ContainerJob; count: number }[], size: number): void {
    this.#options.size = size;
    this.#popularity.keepNothing();
    for (const { job, count } of jobs) {
      const { config, key } = this.#configOf(job);
      this.#kind(key, config);
      this.#popularity.keep(key, count);
    }
    this.#later(0);
  }

  /** Removes everything that waits and makes nothing any more. What runs goes on. */
  async close(): Promise<void> {
    this.#closed.abort(new EngineError("The pool is closed"));
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all(this.#work);
    await Promise.all([...this.#kinds.values()].flatMap((kind) => kind.ready.splice(0)).map(this.#drop));
    this.#kinds.clear();
  }

  #use(job: ContainerJob): { config: ContainerConfig; key: string } {
    const made = this.#configOf(job);
    this.#popularity.use(made.key, this.#options.now());
    return made;
  }

  #configOf({ image, config: wanted, labels = {} }: ContainerJob): { config: ContainerConfig; key: string } {
    const waiting = { ...wanted, Image: image, Cmd: waitingCommand() };
    const config = complete(this.#client, waiting, { stdin: true, labels });
    return { config, key: JSON.stringify(config) };
  }

  /** A container that has been told what to run. */
  async #handed(
    config: ContainerConfig,
    { key, line, signal }: { key: string; line: Uint8Array; signal: AbortSignal | undefined },
  ): Promise<Started> {
    for (let ready = this.#take(key); ready; ready = this.#take(key)) {
      if (await ready.attached.write(line)) {
        this.#counts.warm++;
        return ready;
      }
      this.#background(this.#drop({ started: ready }));
    }
    this.#counts.cold++;
    const started = await startNew(this.#client, config, signal);
    await started.attached.write(line);
    return started;
  }

  /** The oldest of its kind. */
  #take(key: string): Started | undefined {
    const kind = this.#kinds.get(key);
    const waiting = kind?.ready.shift();
    if (kind && waiting) kind.failures = 0;
    return waiting?.started;
  }

  #kind(key: string, config: ContainerConfig): Kind {
    let kind = this.#kinds.get(key);
    if (!kind) {
      kind = { key, config, ready: [], starting: 0, notBefore: -Infinity, failures: 0 };
      this.#kinds.set(key, kind);
    }
    return kind;
  }

  #later(ms: number): void {
    if (this.#closed.signal.aborted) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#tend();
      if (ms === TEND_MS) this.#later(TEND_MS);
    }, ms);
    Deno.unrefTimer(timer);
    this.#timers.add(timer);
  }

  /** Brings what stands ready to what ought to. */
  #tend(): void {
    const { now, size, maxAgeMs } = this.#options;
    const held = new Map(
      [...this.#kinds.values()].map((kind) => [kind.key, kind.ready.length + kind.starting]),
    );
    const places = this.#popularity.places(size, held, now());
    for (const [key, kind] of this.#kinds) {
      const wanted = places.get(key) ?? 0;
      const old = kind.ready.filter(({ since }) => now() - since > maxAgeMs);
      const surplus = kind.ready.slice(0, Math.max(0, kind.ready.length + kind.starting - wanted));
      for (const waiting of new Set([...old, ...surplus])) {
        kind.ready.splice(kind.ready.indexOf(waiting), 1);
        this.#background(this.#drop(waiting));
      }
      const empty = wanted === 0 && kind.ready.length + kind.starting === 0;
      if (empty && now() >= kind.notBefore && !this.#popularity.keeps(key)) this.#kinds.delete(key);
    }
    for (const [key, wanted] of places) {
      const kind = this.#kinds.get(key);
      if (!kind || now() < kind.notBefore) continue;
      while (kind.ready.length + kind.starting < wanted && this.#starting() < STARTING_AT_ONCE) {
        this.#background(this.#fill(kind));
      }
    }
  }

  async #fill(kind: Kind): Promise<void> {
    try {
      await this.#make(kind);
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      // Nobody waits for this one. Whoever runs the next of its kind has the same told.
      this.#failure = error;
      this.#failed?.(error, kind.config.Image);
      this.#penalty(kind);
    }
    this.#later(0);
  }

  async #make(kind: Kind): Promise<void> {
    kind.starting++;
    try {
      const started = await startNew(this.#client, kind.config, this.#closed.signal);
      const waiting = { started, since: this.#options.now() };
      kind.ready.push(waiting);
      const lost = () => this.#lost(kind, waiting);
      started.exited.then(lost, lost);
    } finally {
      kind.starting--;
    }
  }

  /** One that ended while it waited: taken out by somebody, or the engine has gone, or its image cannot wait. */
  #lost(kind: Kind, waiting: Waiting): void {
    const at = kind.ready.indexOf(waiting);
    if (at < 0) return;
    kind.ready.splice(at, 1);
    this.#counts.died++;
    this.#penalty(kind);
    this.#background(this.#drop(waiting));
  }

  #penalty(kind: Kind): void {
    const ms = Math.min(1000 * 2 ** kind.failures++, LONGEST_PENALTY_MS);
    kind.notBefore = this.#options.now() + ms;
    this.#later(ms + 1);
  }

  #drop = ({ started }: { started: Started }): Promise<void> => end(this.#client, started);

  #starting(): number {
    return [...this.#kinds.values()].reduce((sum, { starting }) => sum + starting, 0);
  }

  #background(work: Promise<void>): void {
    const done = work.finally(() => this.#work.delete(done));
    this.#work.add(done);
  }
}
