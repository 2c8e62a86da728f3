/** One execution, from its admission to its end, and how it is told. */
import type { Result } from "../engine/engine.ts";
import type { DockerVerdict, NamespacesVerdict } from "./policy/verdict.ts";
import type { Work } from "./files/work.ts";
import { newId } from "./ids.ts";
import { Interaction, type Interactive } from "./interaction.ts";
import { Output } from "./output.ts";
import type { Recorded, State } from "./recorded.ts";

/** What an engine is asked to do. */
export type Job = (NamespacesVerdict | DockerVerdict) & {
  /** All that stdin gives; nothing when absent. */
  stdin?: Uint8Array;
  /** A program and its arguments, which run without a shell. */
  argv?: string[];
  /** Its own directory to work in, with what goes into it and comes out; absent when it has none. */
  work?: Work;
  /** Instead of stdin. */
  interactive?: Interactive;
};

/** What is known when it is admitted. */
export interface Admitted {
  tenant: string;
  requestId: string;
  via: "execute" | "v1";
  job: Job;
  /** As it was asked, for the record. */
  args: string;
  command: string;
  /** What a shell is given. */
  script: string;
  /** Idempotency-Key and what was asked under it, hashed. */
  key?: { name: string; asked: string };
}

/** Characters of what is told of a sandbox that could not be made. */
const MOST_DETAIL = 4096;

/** `client`: who waited for it went away. `asked`: somebody asked for it. `shutdown`: the server ended. */
export type CancelReason = "client" | "asked" | "shutdown";

export class Execution {
  readonly id: string = newId();
  readonly created: number = Date.now();
  readonly output: Output;
  /** Absent when it takes nothing while it runs. */
  readonly interaction?: Interaction;
  readonly #ended = Promise.withResolvers<void>();
  readonly #abort = new AbortController();
  state: State = "queued";
  started?: number;
  finished?: number;
  /** Absent until it ended, and of one that was cancelled before it began. */
  result?: Result;
  cancelled?: CancelReason;
  /** Why it could not be run; the client has it on stderr. */
  failure?: string;

  constructor(readonly admitted: Admitted) {
    this.output = new Output(admitted.job.limits.outputBytes);
    this.output.state({ state: "queued" });
    if (admitted.job.interactive) this.interaction = new Interaction(admitted.job.interactive);
  }

  /** Ends what runs. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Resolves when it ended, however, and that was recorded if it can be. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get over(): boolean {
    return this.finished !== undefined;
  }

  begin(now: number): void {
    this.state = "running";
    this.started = now;
    this.output.state({ state: "running" });
  }

  /** Asks for its end; what it comes to is told by {@link end}. */
  abort(reason: CancelReason): void {
    this.cancelled ??= reason;
    this.#abort.abort();
  }

  /** Nobody is told before {@link tell}. */
  end(now: number, how: { result?: Result; failure?: string } = {}): void {
    Object.assign(this, how);
    // Somebody who asked for its end too late has not ended it.
    const cancelled = this.cancelled !== undefined && (!this.result || this.result.reason === "aborted");
    this.state = cancelled ? "cancelled" : "finished";
    this.finished = now;
    if (this.failure !== undefined && !cancelled) this.output.remark(`cordon: ${this.failure}\n`);
    const { reason, exitCode, signal, detail } = this.#outcome();
    this.output.close({
      state: this.state,
      reason,
      detail,
      exit_code: exitCode,
      signal,
      truncated: this.output.truncated,
    });
  }

  /** Tells those who wait, and those who follow it, that it has ended. */
  tell(): void {
    this.output.reveal();
    this.#ended.resolve();
  }

  /** What it is remembered by. */
  record(): Recorded {
    const { admitted, output, result } = this;
    const { tenant, via, requestId, args, command, job, key } = admitted;
    const { reason, exitCode, signal, detail } = this.#outcome();
    return {
      id: this.id,
      tenant,
      via,
      request_id: requestId,
      state: this.state,
      reason,
      detail,
      engine: job.engine,
      image: job.engine === "docker" ? job.image : "host",
      args,
      command,
      session: job.work?.session?.id ?? null,
      created: this.created,
      started: this.started ?? null,
      ended: this.finished ?? null,
      exit_code: exitCode,
      signal,
      wall_ms: result?.wallMs ?? null,
      user_ms: result?.userMs ?? null,
      system_ms: result?.systemMs ?? null,
      max_rss: result?.maxRssBytes ?? null,
      stdout_bytes: output.received.stdout,
      stderr_bytes: output.received.stderr,
      truncated: output.truncated ? 1 : 0,
      limits: JSON.stringify({ ...job.limits, dropped: job.dropped }),
      key: key?.name ?? null,
      asked: key?.asked ?? null,
    };
  }

  #outcome(): Pick<Recorded, "reason" | "signal" | "detail"> & { exitCode: number | null } {
    const none = { exitCode: null, signal: null, detail: null };
    if (this.state === "cancelled") return { ...none, reason: this.cancelled ?? null };
    if (this.failure !== undefined) return { ...none, reason: "cordon", detail: this.failure };
    const { reason = null, exitCode = null, signal = null } = this.result ?? {};
    return { reason, exitCode, signal, detail: reason === "cordon" ? this.#said() : null };
  }

  /** What a sandbox that could not be made said, beside which nothing can have been printed. */
  #said(): string | null {
    const { output } = this;
    const pieces = output.pieces(this.interaction?.terminal ? "stdout" : "stderr");
    const text = pieces.map((piece) => new TextDecoder().decode(piece)).join("").slice(0, MOST_DETAIL);
    return text.replace(/^cordon: /, "").replaceAll("\r\n", "\n").trimEnd() || null;
  }
}

/** One number for how it ended, as a shell has it: 128 + N after signal N; null when nothing ran to an end. */
export function statusOf(
  row: Pick<Recorded, "state" | "reason" | "exit_code" | "signal">,
): number | null {
  if (row.state !== "finished") return null;
  if (row.reason === "timeout") return 124;
  if (row.reason === "cordon") return 125;
  if (row.reason === "memory" || row.reason === "output") return 137;
  return row.exit_code ?? (row.signal === null ? null : 128 + row.signal);
}
