/** Figures and executions in words for people. */

export function seconds(ms) {
  return ms === null || ms === undefined
    ? ""
    : ms < 10_000
    ? `${(ms / 1000).toFixed(2)} s`
    : duration(ms / 1000);
}

export function duration(s) {
  if (s < 120) return `${Number(s.toFixed(1))} s`;
  return s < 7200 ? `${Number((s / 60).toFixed(1))} min` : `${Number((s / 3600).toFixed(1))} h`;
}

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024;
  return `${bytes >= 10 || unit === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

export const clock = (time) => time === null ? "" : new Date(time).toLocaleTimeString();

export function commandOf({ command }) {
  const text = typeof command === "string" ? command : command.join(" ");
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

/** How it ended, for people. */
export function outcome({ state, reason, detail, exit_code, signal, limits }) {
  switch (reason) {
    case "exited":
      return exit_code === 0 ? "done" : `exit code ${exit_code}`;
    case "signaled":
      return `ended by signal ${signal}`;
    case "timeout":
      return limits ? `time limit of ${duration(limits.time)}` : "time limit";
    case "memory":
      return "memory limit";
    case "asked":
      return "cancelled";
    case "client":
      return "its client went away";
    case "shutdown":
      return "the server was shut down";
    case "cordon":
      return `it could not be run${detail ? `: ${detail.slice(0, 300)}` : ""}`;
    default:
      return state;
  }
}
