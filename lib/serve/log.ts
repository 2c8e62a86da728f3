/** Structured logs: one JSON object a line, on stderr. No command, no argument, no token ever goes in. */

export type Level = "info" | "warn" | "error";

export type Log = (level: Level, event: string, fields?: Record<string, unknown>) => void;

/** @param write takes whole lines */
export function jsonLog(write: (line: string) => void, now: () => Date = () => new Date()): Log {
  return (level, event, fields = {}) => {
    write(JSON.stringify({ time: now().toISOString(), level, event, ...fields }) + "\n");
  };
}
