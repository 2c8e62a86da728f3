/** Writing and removing the files of the magics: never half, and never anybody else's. */
import { basename, dirname, join } from "node:path";
import { CordonError, reasonOf } from "../errors.ts";
import { isOurs } from "./magics.ts";

/** Whether a file is there: cordon's own, or somebody else's. */
export function ownerOf(path: string): "cordon" | "other" | undefined {
  try {
    return isOurs(Deno.readTextFileSync(path)) ? "cordon" : "other";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    return "other"; // a directory, or one that may not be read
  }
}

/** Writes a file beside its place and renames it into it, for everybody to read. */
export function writeModule(path: string, text: string): void {
  const beside = join(dirname(path), `.${basename(path)}-${crypto.randomUUID()}`);
  try {
    Deno.mkdirSync(dirname(path), { recursive: true });
    Deno.writeTextFileSync(beside, text, { createNew: true });
    Deno.chmodSync(beside, 0o644); // whatever the umask
    Deno.renameSync(beside, path);
  } catch (cause) {
    removeIfThere(beside);
    const denied = cause instanceof Deno.errors.PermissionDenied;
    throw new CordonError(`Cannot write ${path}`, {
      why: denied ? `This user may not write in ${dirname(path)}` : reasonOf(cause),
      ...(denied && { hint: "cordon magics install --user" }),
      cause,
    });
  }
}

/** Removes a directory when nothing is left in it. */
export function removeEmpty(directory: string): void {
  if (isEmpty(directory)) Deno.removeSync(directory);
}

/** Removes a file of cordon's, what Python compiled of it, and a directory of compiled files that it leaves empty. */
export function removeModule(path: string): void {
  const cache = join(dirname(path), "__pycache__");
  try {
    Deno.removeSync(path);
    for (const name of namesIn(cache) ?? []) {
      if (name.startsWith(`${basename(path, ".py")}.`) && name.endsWith(".pyc")) {
        Deno.removeSync(join(cache, name));
      }
    }
    removeEmpty(cache);
  } catch (cause) {
    throw new CordonError(`Cannot remove ${path}`, { why: reasonOf(cause), cause });
  }
}

function namesIn(directory: string): string[] | undefined {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function isEmpty(directory: string): boolean {
  return namesIn(directory)?.length === 0;
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
  }
}
