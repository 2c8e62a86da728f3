/** Number of single-letter insertions, deletions, replacements and swaps of neighbours between two words. */
export function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, at(i - 2, j - 2) + 1);
      }
      row.push(best);
    }
  }
  return at(a.length, b.length);
}

/** The known word that `typed` was probably meant to be, if one is near enough to be worth saying. */
export function nearest(typed: string, known: Iterable<string>): string | undefined {
  let found: string | undefined;
  // A third of the letters may be wrong, and three at most: beyond that a guess annoys.
  let limit = Math.min(3, Math.max(1, Math.floor(typed.length / 3)));
  for (const word of known) {
    const distance = editDistance(typed, word);
    if (distance <= limit && distance < Math.max(typed.length, word.length)) {
      if (found === undefined || distance < limit) found = word;
      limit = distance;
    }
  }
  return found;
}
