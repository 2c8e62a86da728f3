/** Where a key stands in a TOML text, for messages: the reader of TOML tells no places. Pure. */

/**
 * The line of a key, or of the nearest table above it that is written out; undefined when nothing of it is. Keys with
 * dots in quotes are not found: then the message has the key alone.
 */
export function lineOf(text: string, key: readonly string[]): number | undefined {
  let table: string[] = [];
  let best: { line: number; length: number } | undefined;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    const header = /^\[\[?([^\]]+)\]\]?/.exec(line)?.[1];
    if (header !== undefined) table = parts(header);
    const name = header === undefined
      ? /^([A-Za-z0-9_."'-]+(?:\s*\.\s*[A-Za-z0-9_"'-]+)*)\s*=/.exec(line)?.[1]
      : "";
    if (name === undefined) continue;
    const here = name === "" ? table : [...table, ...parts(name)];
    const fits = here.length > 0 && here.length <= key.length && here.every((part, at) => part === key[at]);
    if (fits && here.length > (best?.length ?? 0)) best = { line: index + 1, length: here.length };
  }
  return best?.line;
}

function parts(dotted: string): string[] {
  return dotted.split(".").map((part) => part.trim().replace(/^(["'])(.*)\1$/, "$2"));
}
