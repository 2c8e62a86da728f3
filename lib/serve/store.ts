/**
 * The record: every execution, in SQLite. What is written in one turn of the event loop is one transaction. After the
 * death of this process nothing that was committed is lost; a power failure may take the last moments.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { CordonError, reasonOf } from "../errors.ts";
import { COLUMNS, type KeptPiece, type Recorded, type Usage } from "./recorded.ts";
import { migrate } from "./store-schema.ts";
import { afterTurn } from "./turn.ts";

export interface ListOptions {
  before?: string | undefined;
  state?: string | undefined;
  most: number;
  /** Of what was asked for (args and command) together; one has any number. */
  bytes?: number;
}

interface Write {
  statement: StatementSync;
  values: SQLInputValue[];
  /** When the database takes nothing: give up and say so, or try again later. */
  settle?: PromiseWithResolvers<void>;
}

const RETRY_MS = 1000;
/** Rows that are read at once of many that may be long. */
const BATCH = 16;
/** Pieces of output that wait for a database that takes nothing. What else waits is some rows for each that runs. */
const MOST_WAITING = 100_000;

export class Store {
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #insertOutput: StatementSync;
  readonly #others = new Map<string, StatementSync>();
  #pending: Write[] = [];
  #scheduled = false;
  #empty: PromiseWithResolvers<void> | undefined;
  #retry: number | undefined;
  /** Why the last transaction failed; undefined when it did not. */
  trouble: string | undefined;

  /** @param path of the database, or `:memory:` */
  constructor(path: string) {
    try {
      this.#db = new DatabaseSync(path);
      // Exclusive: a second server would take this one's executions for lost. No other process can read it meanwhile.
      this.#db.exec(
        "PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; " +
          "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 16777216",
      );
      migrate(this.#db);
    } catch (cause) {
      const locked = /locked/.test(reasonOf(cause));
      throw new CordonError(`Cannot open the record ${path}`, {
        why: locked ? "Another cordon serve uses it" : reasonOf(cause),
        ...(locked && { hint: "cordon serve --state DIR   # another directory for each server" }),
        cause,
      });
    }
    const places = COLUMNS.map(() => "?").join(", ");
    this.#insert = this.#db.prepare(`INSERT INTO executions (${COLUMNS.join(", ")}) VALUES (${places})`);
    this.#update = this.#db.prepare(
      `UPDATE executions SET ${COLUMNS.slice(1).map((name) => `${name} = ?`).join(", ")} WHERE id = ?`,
    );
    this.#insertOutput = this.#db.prepare("INSERT INTO output (id, after, type, bytes) VALUES (?, ?, ?, ?)");
  }

  /** Resolves when it is written; rejects when it cannot be, and then it never is. */
  insert(row: Recorded): Promise<void> {
    const settle = Promise.withResolvers<void>();
    this.#write({ statement: this.#insert, values: COLUMNS.map((name) => row[name]), settle });
    return settle.promise;
  }

  /** Is tried again until it succeeds. */
  update(row: Recorded): void {
    const [, ...others] = COLUMNS;
    this.#write({ statement: this.#update, values: [...others.map((name) => row[name]), row.id] });
  }

  /** False when too much waits already: then it is not kept. */
  keep(id: string, { after, type, bytes }: Omit<KeptPiece, "start">): boolean {
    if (this.#pending.length >= MOST_WAITING) return false;
    this.#write({ statement: this.#insertOutput, values: [id, after, type, bytes] });
    return true;
  }

  /** Resolves when all that was given to it until now is written. */
  written(): Promise<void> {
    if (this.#pending.length === 0) return Promise.resolve();
    return (this.#empty ??= Promise.withResolvers<void>()).promise;
  }

  get(id: string, tenant: string): Recorded | undefined {
    return this.#row("SELECT * FROM executions WHERE id = ? AND tenant = ?", id, tenant);
  }

  byKey(key: string, tenant: string): Recorded | undefined {
    return this.#row("SELECT * FROM executions WHERE key = ? AND tenant = ?", key, tenant);
  }

  /** Newest first, those before an id; `more` says whether there are further ones. */
  list(tenant: string, { before = "~", state, most, bytes = Infinity }: ListOptions): {
    rows: Recorded[];
    more: boolean;
  } {
    // Few are unfinished of the very many there may be. Said like this, they are not looked for among all.
    const unfinished = state === "queued" || state === "running";
    const [from, and] = unfinished
      ? ["executions INDEXED BY executions_unfinished", "AND state IN ('queued', 'running')"]
      : ["executions", ""];
    const sql =
      `SELECT * FROM ${from} WHERE tenant = ? AND id < ? ${and} AND state LIKE ? ORDER BY id DESC LIMIT ?`;
    const rows: Recorded[] = [];
    for (let size = 0;;) {
      const found = this.#prepared(sql).all(tenant, before, state ?? "%", BATCH) as unknown as Recorded[];
      for (const row of found) {
        size += row.args.length + row.command.length;
        // One that has more than all may have is a page of its own.
        if (rows.length === most || (size > bytes && rows.length > 0)) return { rows, more: true };
        rows.push(row);
      }
      if (found.length < BATCH) return { rows, more: false };
      before = found.at(-1)!.id;
    }
  }

  /** Of a tenant's last executions, `most` at most; `since` is when the first of them was created. */
  usage(tenant: string, most: number): Usage {
    const row = this.#row(
      "SELECT min(created) AS since, count(*) AS executions, coalesce(sum(wall_ms), 0) AS wall_ms, " +
        "coalesce(sum(coalesce(user_ms, 0) + coalesce(system_ms, 0)), 0) AS cpu_ms, " +
        "coalesce(sum(coalesce(stdout_bytes, 0) + coalesce(stderr_bytes, 0)), 0) AS output_bytes " +
        "FROM (SELECT created, wall_ms, user_ms, system_ms, stdout_bytes, stderr_bytes " +
        "FROM executions WHERE tenant = ? ORDER BY id DESC LIMIT ?)",
      tenant,
      most,
    );
    return { ...row } as unknown as Usage;
  }

  /**
   * What is kept behind a position, `most` bytes of each piece. To be read on from as far as it is wanted, without a
   * wait in between.
   */
  output(id: string, { after = 0, most = 2 ** 31 - 1 } = {}): Iterable<KeptPiece> {
    const sql = "SELECT max(?, after - length(bytes)) AS start, after, type, " +
      "CASE type WHEN 'state' THEN bytes ELSE substr(bytes, 1 + max(0, ? - after + length(bytes)), ?) END AS bytes " +
      "FROM output WHERE id = ? AND after > ? ORDER BY after";
    // Several may be read at once, which one statement cannot.
    const rows = this.#db.prepare(sql).iterate(after, after, most, id, after);
    return rows as unknown as Iterable<KeptPiece>;
  }

  /** The last of what is kept. */
  lastOutput(id: string): KeptPiece | undefined {
    const sql = "SELECT after - length(bytes) AS start, after, type, bytes FROM output WHERE id = ? " +
      "ORDER BY after DESC LIMIT 1";
    return this.#prepared(sql).get(id) as unknown as KeptPiece | undefined;
  }

  /** Marks what a dead server left unfinished as lost, once; gives their ids. */
  loseUnfinished(now: number): string[] {
    const rows = this.#db.prepare(
      "UPDATE executions SET state = 'lost', ended = ? WHERE state IN ('queued', 'running') RETURNING id",
    ).all(now) as { id: string }[];
    return rows.map(({ id }) => id);
  }

  /** Forgets what ended before a time, and the oldest output beyond `outputBytes`. Gives how many were forgotten. */
  prune({ endedBefore, outputBytes }: { endedBefore: number; outputBytes: number }): number {
    const { changes } = this.#prepared("DELETE FROM executions WHERE ended < ?").run(endedBefore);
    const sized = this.#prepared(
      "SELECT id, sum(length(bytes)) AS size FROM output GROUP BY id ORDER BY id DESC",
    );
    let total = 0;
    for (const { id, size } of sized.all() as { id: string; size: number }[]) {
      total += size;
      if (total > outputBytes) this.#prepared("DELETE FROM output WHERE id = ?").run(id);
    }
    this.#db.exec("PRAGMA incremental_vacuum");
    return Number(changes);
  }

  /** The size of the file it may grow to, in pages of SQLite's; at least what it has. */
  limitPages(most: number): void {
    this.#db.exec(`PRAGMA max_page_count = ${most}`);
  }

  /** Writes what waits. Says how many writes could not be made. */
  close(): number {
    this.#commit();
    clearTimeout(this.#retry);
    this.trouble = undefined;
    const left = this.#pending.length;
    this.#pending = [];
    this.#db.close();
    return left;
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#others.get(sql);
    if (!statement) this.#others.set(sql, statement = this.#db.prepare(sql));
    return statement;
  }

  #row(sql: string, ...values: SQLInputValue[]): Recorded | undefined {
    return this.#prepared(sql).get(...values) as unknown as Recorded | undefined;
  }

  #write(write: Write): void {
    this.#pending.push(write);
    if (this.#scheduled) return;
    this.#scheduled = true;
    afterTurn(() => this.#commit());
  }

  #commit(): void {
    this.#scheduled = false;
    clearTimeout(this.#retry);
    const writes = this.#pending;
    this.#pending = [];
    if (writes.length === 0 && this.trouble === undefined) return;
    try {
      this.#db.exec("BEGIN");
      for (const { statement, values } of writes) statement.run(...values);
      // Nobody writes while there is trouble: whether it is over is to be tried.
      if (writes.length === 0) this.#db.exec(touch(this.#db));
      this.#db.exec("COMMIT");
      this.trouble = undefined;
    } catch (error) {
      return this.#failed(writes, error);
    }
    for (const { settle } of writes) settle?.resolve();
    this.#wakeWriters();
  }

  /** One write after the other: what can never be written must not keep the rest from it. */
  #failed(writes: Write[], error: unknown): void {
    try {
      this.#db.exec("ROLLBACK");
    } catch {
      // SQLite has rolled back already after some errors (a full disk), and says that there is no transaction.
    }
    let trouble = writes.length > 0 ? undefined : reasonOf(error);
    const again: Write[] = [];
    for (const write of writes) {
      let cause: unknown;
      // Where one found no room the others need not look, of which there may be very many.
      if (trouble === undefined) {
        try {
          write.statement.run(...write.values);
          write.settle?.resolve();
          continue;
        } catch (error) {
          cause = error;
          if (!isConstraint(error)) trouble = reasonOf(error);
        }
      }
      if (!isConstraint(cause) && !write.settle) again.push(write);
      const why = trouble ?? reasonOf(cause);
      write.settle?.reject(new CordonError("The record cannot be written", { why, cause }));
    }
    this.trouble = trouble;
    this.#pending = [...again, ...this.#pending];
    if (trouble !== undefined) this.#retry = setTimeout(() => this.#commit(), RETRY_MS);
    if (this.#pending.length === 0) this.#wakeWriters();
  }

  #wakeWriters(): void {
    this.#empty?.resolve();
    this.#empty = undefined;
  }
}

/** SQLITE_CONSTRAINT, of whatever kind: it will be no other the next time. */
function isConstraint(error: unknown): boolean {
  const { errcode } = (error ?? {}) as { errcode?: number };
  return errcode !== undefined && (errcode & 0xff) === 19;
}

/** A write that changes nothing. */
function touch(db: DatabaseSync): string {
  const { user_version } = db.prepare("PRAGMA user_version").get() as { user_version: number };
  return `PRAGMA user_version = ${user_version}`;
}
