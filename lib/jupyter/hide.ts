/** `--hide`: which files of the working directory a pattern names. */
import { posix } from "node:path";
import { CordonError, reasonOf } from "../errors.ts";

/**
 * Names below `directory` that match any of the patterns (`*` and `?` within a name, `/` between names). A directory
 * that matches is hidden whole. Symlinks are names like others and are not followed.
 */
export function hiddenPaths(directory: string, patterns: readonly string[]): string[] {
  const found = new Set<string>();
  for (const pattern of patterns) {
    const steps = pattern.split("/").filter((step) => step !== "" && step !== ".");
    for (const path of matching(directory, "", steps)) found.add(path);
  }
  return [...found].sort();
}

function matching(directory: string, at: string, steps: string[]): string[] {
  const [step, ...rest] = steps;
  if (step === undefined) return at === "" ? [] : [at];
  const expression = nameExpression(step);
  const found: string[] = [];
  for (const entry of entriesOf(posix.join(directory, at))) {
    if (!expression.test(entry.name)) continue;
    const path = posix.join(at, entry.name);
    if (rest.length === 0) found.push(path);
    else if (entry.isDirectory) found.push(...matching(directory, path, rest));
  }
  return found;
}

function entriesOf(directory: string): Iterable<Deno.DirEntry> {
  try {
    return [...Deno.readDirSync(directory)];
  } catch (cause) {
    throw new CordonError(`Cannot look for what --hide names in ${directory}`, {
      why: reasonOf(cause),
      cause,
    });
  }
}

function nameExpression(pattern: string): RegExp {
  const text = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${text}$`, "s");
}
