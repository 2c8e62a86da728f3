/**
 * Files that clients bring and results that they come back for: on disk in a private directory, each under an id that
 * nobody guesses, for a time. The rows say which there are: at a start what has no row goes, and so do rows without a file.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { CordonError, reasonOf } from "../../errors.ts";
import type { FileLimits } from "../config/types.ts";
import { newSecretId } from "../ids.ts";
import type { ResultFile } from "./work.ts";
import { writeAll } from "../../host/pieces.ts";

export interface StoredFile {
  id: string;
  tenant: string;
  name: string;
  /** Bytes. */
  size: number;
  /** Milliseconds since 1970. */
  created: number;
  expires: number;
  /** Whose result it is. */
  execution: string | null;
}

/** A tenant has no room for it, or it is longer than it may be. The message is for the client. */
export class TooMuch extends Error {}

/** The rows are as a dead process left them; the version is for those who come after. */
const TABLES = `
  PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS files (
    id        TEXT PRIMARY KEY,
    tenant    TEXT NOT NULL,
    name      TEXT NOT NULL,
    size      INTEGER NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    execution TEXT
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS files_of_tenant ON files (tenant, created);
  CREATE TABLE IF NOT EXISTS results (
    execution TEXT NOT NULL,
    position  INTEGER NOT NULL,
    path      TEXT NOT NULL,
    size      INTEGER,
    file      TEXT,
    problem   TEXT,
    created   INTEGER NOT NULL,
    PRIMARY KEY (execution, position)
  ) WITHOUT ROWID;
  PRAGMA user_version = 1;`;

export interface NewFile {
  tenant: string;
  limits: FileLimits;
  name: string;
  execution?: string;
  source: AsyncIterable<Uint8Array>;
}

export class FileStore {
  readonly #directory: string;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** What is being written now, by tenant. */
  readonly #coming = new Map<string, { bytes: number; files: number }>();

  /** @param state directory of the daemon, private to it. @throws CordonError */
  constructor(state: string) {
    this.#directory = `${state}/files`;
    try {
      Deno.mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      Deno.chmodSync(this.#directory, 0o700);
      this.#db = new DatabaseSync(`${state}/files.db`);
      this.#db.exec(TABLES);
      this.#recover();
    } catch (cause) {
      throw new CordonError(`Cannot use the stored files in ${state}`, { why: reasonOf(cause), cause });
    }
  }

  /**
   * Streams it to the disk.
   *
   * @throws TooMuch; what the source throws; CordonError when it cannot be written. Nothing of it is left then.
   */
  async add({ tenant, limits, name, execution, source }: NewFile): Promise<StoredFile> {
    const coming = this.#coming.get(tenant) ?? { bytes: 0, files: 0 };
    this.#coming.set(tenant, coming);
    const kept = this.#used(tenant);
    if (kept.files + coming.files >= limits.most) throw new TooMuch(`There are at most ${limits.most} files`);
    const id = newSecretId();
    const path = `${this.#directory}/${id}`;
    let size = 0;
    coming.files++;
    try {
      using file = await createFile(path);
      for await (const chunk of source) {
        size += chunk.length;
        coming.bytes += chunk.length;
        if (this.#used(tenant).bytes + coming.bytes > limits.storeBytes) {
          throw new TooMuch(`Stored files have at most ${limits.storeBytes} bytes together`);
        }
        await keep(file, chunk);
      }
      const created = Date.now();
      const row = { id, tenant, name, size, created, expires: created + limits.ttlSeconds * 1000 };
      this.#keep(
        "INSERT INTO files (id, tenant, name, size, created, expires, execution) VALUES (?, ?, ?, ?, ?, ?, ?)",
        ...[id, tenant, name, size, created, row.expires, execution ?? null],
      );
      return { ...row, execution: execution ?? null };
    } catch (error) {
      removeFile(path);
      throw error;
    } finally {
      coming.files--;
      coming.bytes -= size;
    }
  }

  /** Undefined when this tenant has none of this id, or its time is over. */
  get(id: string, tenant: string, now: number = Date.now()): StoredFile | undefined {
    return this.#all("SELECT * FROM files WHERE id = ? AND tenant = ? AND expires > ?", id, tenant, now)[0];
  }

  /** For reading. Undefined as {@link get} has it. */
  async open(id: string, tenant: string): Promise<{ row: StoredFile; file: Deno.FsFile } | undefined> {
    const row = this.get(id, tenant);
    if (!row) return undefined;
    try {
      return { row, file: await Deno.open(`${this.#directory}/${id}`, { read: true }) };
    } catch (error) {
      // It was removed in this moment.
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /** Newest first. */
  list(tenant: string, now: number = Date.now()): StoredFile[] {
    return this.#all(
      "SELECT * FROM files WHERE tenant = ? AND expires > ? ORDER BY created DESC",
      tenant,
      now,
    );
  }

  /** False when there is none. */
  remove(id: string, tenant: string): boolean {
    if (!this.get(id, tenant)) return false;
    this.#run("DELETE FROM files WHERE id = ?", id);
    removeFile(`${this.#directory}/${id}`);
    return true;
  }

  /** @throws CordonError when they cannot be written */
  keepResults(execution: string, results: readonly ResultFile[]): void {
    results.forEach(({ path, size, file, problem }, position) =>
      this.#keep(
        "INSERT INTO results (execution, position, path, size, file, problem, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
        ...[
          execution,
          position,
          path,
          size,
          file,
          problem,
          Date.now(),
        ],
      )
    );
  }

  results(execution: string): ResultFile[] {
    const sql = "SELECT path, size, file, problem FROM results WHERE execution = ? ORDER BY position";
    return this.#prepared(sql).all(execution).map((row) => ({ ...row })) as unknown as ResultFile[];
  }

  /** Removes what has had its time, and results of executions that are forgotten. */
  sweep({ now, resultsBefore }: { now: number; resultsBefore: number }): void {
    for (const { id } of this.#all("SELECT * FROM files WHERE expires <= ?", now)) {
      this.#run("DELETE FROM files WHERE id = ?", id);
      removeFile(`${this.#directory}/${id}`);
    }
    this.#run("DELETE FROM results WHERE created < ?", resultsBefore);
  }

  close(): void {
    this.#db.close();
  }

  #used(tenant: string): { bytes: number; files: number } {
    const sql = "SELECT coalesce(sum(size), 0) AS bytes, count(*) AS files FROM files WHERE tenant = ?";
    return this.#prepared(sql).get(tenant) as { bytes: number; files: number };
  }

  #recover(): void {
    const rows = new Set(this.#all("SELECT * FROM files").map(({ id }) => id));
    for (const { name } of Deno.readDirSync(this.#directory)) {
      if (!rows.delete(name)) Deno.removeSync(`${this.#directory}/${name}`, { recursive: true });
    }
    for (const id of rows) this.#run("DELETE FROM files WHERE id = ?", id);
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, statement = this.#db.prepare(sql));
    return statement;
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#prepared(sql).run(...values);
  }

  /** @throws CordonError */
  #keep(sql: string, ...values: SQLInputValue[]): void {
    try {
      this.#run(sql, ...values);
    } catch (cause) {
      throw new CordonError("Cannot store a file", { why: reasonOf(cause), cause });
    }
  }

  #all(sql: string, ...values: SQLInputValue[]): StoredFile[] {
    return this.#prepared(sql).all(...values) as unknown as StoredFile[];
  }
}

/** @throws CordonError */
async function createFile(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  } catch (cause) {
    throw new CordonError("Cannot store a file", { why: reasonOf(cause), cause });
  }
}

/** @throws CordonError */
async function keep(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  try {
    await writeAll(file, bytes);
  } catch (cause) {
    throw new CordonError("Cannot store a file", { why: reasonOf(cause), cause });
  }
}

function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
