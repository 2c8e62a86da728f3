/** Names of files in a working directory, as clients give them. Pure. */

const LONGEST_PATH = 1024, LONGEST_NAME = 255, DEEPEST = 32;

/** Why a path is none below a directory; undefined when it is one. Only one way to write each is taken. */
export function pathFault(path: string): string | undefined {
  if (path.startsWith("/")) return "is not relative";
  if (path.includes("\0")) return "holds a NUL";
  if (!path.isWellFormed()) return "holds a lone surrogate";
  if (bytesOf(path) > LONGEST_PATH) return `is longer than ${LONGEST_PATH} bytes`;
  const names = path.split("/");
  if (names.length > DEEPEST) return `is deeper than ${DEEPEST}`;
  if (names.some((name) => name === "" || name === "." || name === "..")) {
    return "holds an empty name, . or ..";
  }
  return names.some((name) => bytesOf(name) > LONGEST_NAME)
    ? `holds a name longer than ${LONGEST_NAME} bytes`
    : undefined;
}

/** A path that is there twice, or is both a file and a directory; undefined when there is none. */
export function clash(paths: readonly string[]): string | undefined {
  const seen = new Set<string>();
  for (const path of paths) {
    if (seen.has(path)) return path;
    seen.add(path);
  }
  return paths.find((path) => {
    const names = path.split("/");
    return names.some((_, count) => count > 0 && seen.has(names.slice(0, count).join("/")));
  });
}

export function isPattern(name: string): boolean {
  return /[*?]/.test(name);
}

/** Whether a name fits: `*` is any run of characters and `?` any one; a leading dot must be written, as in sh(1). */
export function fits(name: string, pattern: string): boolean {
  if (name.startsWith(".") && !pattern.startsWith(".")) return false;
  // Not a regular expression: with many stars that takes time without end.
  let at = 0, star = -1, mark = 0;
  let from = 0;
  while (from < name.length) {
    if (at < pattern.length && pattern[at] === "*") {
      star = at++;
      mark = from;
    } else if (at < pattern.length && (pattern[at] === "?" || pattern[at] === name[from])) {
      at++;
      from++;
    } else if (star >= 0) {
      at = star + 1;
      from = ++mark;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
