/** What the record says of an execution. */

export type State = "queued" | "running" | "finished" | "cancelled" | "lost";

/** A row of `executions`; see `store-schema.ts`. */
export interface Recorded {
  id: string;
  tenant: string;
  via: string;
  request_id: string;
  state: State;
  reason: string | null;
  detail: string | null;
  engine: string;
  image: string;
  args: string;
  command: string;
  session: string | null;
  created: number;
  started: number | null;
  ended: number | null;
  exit_code: number | null;
  signal: number | null;
  wall_ms: number | null;
  user_ms: number | null;
  system_ms: number | null;
  max_rss: number | null;
  stdout_bytes: number | null;
  stderr_bytes: number | null;
  truncated: 0 | 1 | null;
  limits: string;
  key: string | null;
  asked: string | null;
}

export const COLUMNS = [
  ...["id", "tenant", "via", "request_id", "state", "reason", "detail", "engine", "image"],
  ...[
    "args",
    "command",
    "session",
    "created",
    "started",
    "ended",
    "exit_code",
    "signal",
    "wall_ms",
    "user_ms",
    "system_ms",
    "max_rss",
  ],
  ...["stdout_bytes", "stderr_bytes", "truncated", "limits", "key", "asked"],
] as (keyof Recorded)[];

export interface Usage {
  since: number | null;
  executions: number;
  wall_ms: number;
  cpu_ms: number;
  output_bytes: number;
}

/** A piece of output as it is kept: `bytes` of a state are its JSON. */
export interface KeptPiece {
  /** The position before `bytes`; means nothing of a state. */
  start: number;
  after: number;
  type: string;
  bytes: Uint8Array;
}
