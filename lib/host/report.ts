/** The checks as text for a person. */

import type { Style } from "../cli/style.ts";
import { type CheckReport, isSound, type Status } from "./checks.ts";

const MARKS: Record<Status, { mark: string; color: "green" | "yellow" | "red" | "dim" }> = {
  ok: { mark: "ok", color: "green" },
  missing: { mark: "missing", color: "yellow" },
  failed: { mark: "FAILED", color: "red" },
  skipped: { mark: "skipped", color: "dim" },
};

/** One line a check, then the advice, necessary things first, then the verdict. */
export function renderChecks(reports: readonly CheckReport[], style: Style): string {
  const width = Math.max(...reports.map((report) => report.title.length));
  const lines = reports.map(({ status, title, detail }) => {
    const { mark, color } = MARKS[status];
    const line = `${style[color](mark.padEnd(8))} ${title.padEnd(width)}`;
    return detail ? `${line}  ${style.dim(detail)}` : line.trimEnd();
  });
  const advised = reports.filter((report) => report.advice);
  // The same cause often stops several steps; it is told once.
  const told = new Set<string>();
  for (const status of ["failed", "missing", "ok"] as const) {
    for (const report of advised.filter((each) => each.status === status)) {
      const { what, why, mend } = report.advice!;
      const key = `${why}\n${mend ?? what}`;
      if (told.has(key)) continue;
      told.add(key);
      lines.push("", style.bold(what), `  why: ${why}`);
      if (mend) lines.push("  mend:", ...mend.split("\n").map((line) => `    ${line}`));
    }
  }
  lines.push(
    "",
    isSound(reports) ? "cordon isolate works here" : style.red("cordon isolate cannot work here"),
  );
  return lines.join("\n") + "\n";
}
