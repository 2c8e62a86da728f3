/**
 * Sessions: working directories that stay between commands. Each command has a sandbox of its own; the files of the one
 * before are carried over to it. They are in memory and held by this process alone, so that nothing is left of them when
 * it ends, however it does.
 */
import type { Box } from "../../engine/docker/box.ts";
import type { Result } from "../../engine/engine.ts";
import { CordonError } from "../../errors.ts";
import type { SessionLimits } from "../config/types.ts";
import type { Execution } from "../execution.ts";
import { newSecretId } from "../ids.ts";
import type { WorkDirectory } from "../files/directory.ts";
import type { CreateSession } from "../schemas-sessions.ts";
import { copyTree } from "./copy.ts";

/** setTimeout takes no more; what is longer comes at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** A tenant has as many as it may. */
export class TooManySessions extends Error {}

export class Session {
  readonly id: string = newSecretId();
  readonly created: number = Date.now();
  /** When the last command ended. */
  used: number = this.created;
  readonly idleSeconds: number;
  readonly #running = new Set<Execution>();
  readonly #gone: (session: Session) => void;
  #directory: WorkDirectory | undefined;
  #box: Box | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  constructor(
    readonly tenant: string,
    readonly asked: CreateSession,
    { idleSeconds, gone }: { idleSeconds: number; gone: (session: Session) => void },
  ) {
    this.idleSeconds = idleSeconds;
    this.#gone = gone;
    this.#wait();
  }

  /** Commands that run or wait. */
  get busy(): number {
    return this.#running.size;
  }

  /** An execution that was admitted: the session stays until it has ended. */
  attach(execution: Execution): void {
    clearTimeout(this.#timer);
    this.#running.add(execution);
    execution.ended.then(() => {
      this.#running.delete(execution);
      this.used = Date.now();
      if (this.#running.size === 0) this.#wait();
    });
  }

  /** Runs one command. The queue lets no other of this session run meanwhile. */
  async run(command: () => Promise<Result>): Promise<Result> {
    if (this.#over) throw new CordonError("The session has ended");
    return await command();
  }

  /** Puts what the commands before left into a fresh directory. */
  async fill(directory: WorkDirectory): Promise<void> {
    if (this.#directory) await copyTree(this.#directory.path, directory.path);
  }

  /** Takes over the directory as a command left it. */
  keep(directory: WorkDirectory): void {
    this.#directory?.[Symbol.dispose]();
    this.#directory = this.#over ? undefined : directory;
    if (this.#over) directory[Symbol.dispose]();
  }

  /** The container of a session that has one. */
  async box(make: () => Promise<Box>): Promise<Box> {
    const box = this.#box ??= await make();
    return box;
  }

  /** Ends it and its commands, by `cancel`. Resolves when nothing is left of it. */
  async end(cancel: (execution: Execution) => void): Promise<void> {
    clearTimeout(this.#timer);
    this.#over = true;
    this.#gone(this);
    const running = [...this.#running];
    for (const execution of running) cancel(execution);
    await Promise.all(running.map(({ ended }) => ended));
    this.#directory?.[Symbol.dispose]();
    this.#directory = undefined;
    await this.#box?.end();
    this.#box = undefined;
  }

  #wait(left = this.idleSeconds * 1000): void {
    if (this.#over) return;
    const now = Math.min(left, LONGEST_MS);
    this.#timer = setTimeout(() => left > now ? this.#wait(left - now) : this.end(() => {}), now);
    Deno.unrefTimer(this.#timer as unknown as number);
  }
}

export class Sessions {
  readonly #all = new Map<string, Session>();

  /** @throws TooManySessions */
  create(tenant: string, asked: CreateSession, { most, idleSeconds }: SessionLimits): Session {
    if (this.list(tenant).length >= most) throw new TooManySessions(`There are at most ${most} sessions`);
    const session = new Session(tenant, asked, {
      idleSeconds: asked.idle_seconds ?? idleSeconds,
      gone: ({ id }) => this.#all.delete(id),
    });
    this.#all.set(session.id, session);
    return session;
  }

  /** Undefined when this tenant has none of this id. */
  get(id: string, tenant: string): Session | undefined {
    const session = this.#all.get(id);
    return session?.tenant === tenant ? session : undefined;
  }

  /** Newest first. */
  list(tenant: string): Session[] {
    return [...this.#all.values()].filter((session) => session.tenant === tenant).reverse();
  }

  /** Ends all; nothing runs in them any more. */
  async close(): Promise<void> {
    await Promise.all([...this.#all.values()].map((session) => session.end(() => {})));
  }
}
