/** Figures of a benchmark as text. */

export interface Timing {
  name: string;
  /** Milliseconds of each round. */
  ms: number[];
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.round((sorted.length - 1) * q)] ?? NaN;
}

/** One row for each: median, half of the rounds lie between, the ratio to the first row, and what else there is to say. */
export function table(timings: readonly Timing[], more: readonly string[] = []): string {
  const first = median(timings[0]?.ms ?? []);
  const rows = timings.map(({ name, ms }, i) => [
    name,
    median(ms).toFixed(2),
    `${quantile(ms, 0.25).toFixed(2)}–${quantile(ms, 0.75).toFixed(2)}`,
    (median(ms) / first).toFixed(2),
    more[i] ?? "",
  ]);
  const all = [["", "median ms", "half within", "ratio", ""], ...rows];
  const widths = all[0]!.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
  return all.map((row) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("  ").trimEnd()
  ).join("\n") + "\n";
}
