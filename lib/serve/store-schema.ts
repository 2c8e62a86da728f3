/** The tables of the record, and the way from one version of them to the next. */
import type { DatabaseSync } from "node:sqlite";

/** Each entry leads from its index to the next version (`PRAGMA user_version`). Never change one that was released. */
const STEPS = [
  `CREATE TABLE executions (
    id           TEXT PRIMARY KEY,
    tenant       TEXT NOT NULL,
    -- The route it came by: execute or v1.
    via          TEXT NOT NULL,
    request_id   TEXT NOT NULL,
    -- queued, running, finished, cancelled, lost
    state        TEXT NOT NULL,
    reason       TEXT,
    engine       TEXT NOT NULL,
    image        TEXT NOT NULL,
    args         TEXT NOT NULL,
    command      TEXT NOT NULL,
    -- Milliseconds since 1970.
    created      INTEGER NOT NULL,
    started      INTEGER,
    ended        INTEGER,
    exit_code    INTEGER,
    signal       INTEGER,
    wall_ms      INTEGER,
    user_ms      INTEGER,
    system_ms    INTEGER,
    max_rss      INTEGER,
    stdout_bytes INTEGER,
    stderr_bytes INTEGER,
    truncated    INTEGER,
    -- JSON: limits that held, and those that could not.
    limits       TEXT NOT NULL,
    -- Idempotency-Key, and a hash of what was asked under it.
    key          TEXT,
    asked        TEXT
  ) WITHOUT ROWID;
  CREATE INDEX executions_of_tenant ON executions (tenant, id);
  CREATE INDEX executions_unfinished ON executions (state) WHERE state IN ('queued', 'running');
  CREATE UNIQUE INDEX executions_by_key ON executions (tenant, key) WHERE key IS NOT NULL;
  CREATE TABLE output (
    id    TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    -- The position after it, as in output.ts.
    after INTEGER NOT NULL,
    type  TEXT NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (id, after)
  ) WITHOUT ROWID;`,
  // What is to be forgotten is looked for often, among very many.
  "CREATE INDEX executions_by_end ON executions (ended) WHERE ended IS NOT NULL",
  // Why the server could not run it, for the client; the session it ran in.
  "ALTER TABLE executions ADD COLUMN detail TEXT; ALTER TABLE executions ADD COLUMN session TEXT",
  // What is counted lies behind commands, which may be long: of many rows it is read from here alone.
  `DROP INDEX executions_of_tenant;
  CREATE INDEX executions_of_tenant
    ON executions (tenant, id, state, created, wall_ms, user_ms, system_ms, stdout_bytes, stderr_bytes)`,
];

export function migrate(db: DatabaseSync): void {
  const { user_version } = db.prepare("PRAGMA user_version").get() as { user_version: number };
  if (user_version > STEPS.length) {
    throw new RangeError(`it was written by a newer version of cordon (${user_version} > ${STEPS.length})`);
  }
  STEPS.slice(user_version).forEach((step, index) => {
    db.exec(`BEGIN; ${step}; PRAGMA user_version = ${user_version + index + 1}; COMMIT`);
  });
}
