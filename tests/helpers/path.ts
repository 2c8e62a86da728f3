/** A search path with chosen programs on it, to show what a machine that has only those can do. */
import { tmp } from "./run.ts";

/** What POSIX systems have: a shell, the core utilities, tar and gzip. */
export const ESSENTIAL =
  ("sh tar gzip awk cat chmod cp cut date dirname env find grep head id ln ls mkdir mktemp mv printf readlink rm " +
    "rmdir sed sha256sum sleep sort tail touch tr uname").split(" ");

/** The file behind `name` on the caller's path; `undefined` when there is none. */
export function which(name: string): string | undefined {
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    try {
      if (directory && Deno.statSync(`${directory}/${name}`).isFile) return `${directory}/${name}`;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)) {
        throw error;
      }
    }
  }
  return undefined;
}

/** A directory of links to `names`; those this machine lacks are an error. */
export function pathOf(names: readonly string[]): string {
  const directory = tmp();
  for (const name of names) {
    const found = which(name);
    if (!found) throw new Error(`${name} is not on PATH`);
    Deno.symlinkSync(found, `${directory}/${name}`);
  }
  return directory;
}
