/** How executions are told under /v1. Pure. */
import { statusOf } from "./execution.ts";
import type { ExecutionLimits } from "./policy/verdict.ts";
import type { ExecutionBody } from "./schemas-v1.ts";
import type { Recorded } from "./recorded.ts";

export function told(row: Recorded): ExecutionBody {
  const { dropped, ...limits } = JSON.parse(row.limits) as ExecutionLimits & { dropped: string[] };
  const { wallSeconds, outputBytes, tmpBytes, memoryBytes, cpus, pids } = limits;
  return {
    id: row.id,
    state: row.state,
    reason: row.reason,
    detail: row.detail,
    exit_code: row.exit_code,
    signal: row.signal,
    status: statusOf(row),
    engine: row.engine as ExecutionBody["engine"],
    image: row.image,
    args: row.args,
    command: row.via === "v1" ? JSON.parse(row.command) : row.command,
    session: row.session,
    created: time(row.created),
    started: row.started === null ? null : time(row.started),
    ended: row.ended === null ? null : time(row.ended),
    wall_ms: row.wall_ms,
    user_ms: row.user_ms,
    system_ms: row.system_ms,
    max_rss_bytes: row.max_rss,
    limits: {
      time: wallSeconds,
      output: outputBytes,
      tmp: tmpBytes,
      ...(memoryBytes !== undefined && { memory: memoryBytes }),
      ...(cpus !== undefined && { cpus }),
      ...(pids !== undefined && { pids }),
    },
    not_enforced: dropped,
    stdout_bytes: row.stdout_bytes,
    stderr_bytes: row.stderr_bytes,
    truncated: row.truncated === 1,
  };
}

function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
