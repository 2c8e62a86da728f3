/** Where cordon itself is: kernelspecs and the magics name it by its path. */
import { CordonError } from "../errors.ts";

/** The running executable, without symlinks. Throws when cordon runs from its sources. */
export function ownExecutable(): string {
  if (Deno.build.standalone) return Deno.execPath();
  throw new CordonError("Jupyter needs cordon as one executable", {
    why: `this is cordon's source, run by ${Deno.execPath()}`,
  });
}

/** Why this place is no good for an executable that must stay; undefined when nothing speaks against it. */
export function passingPlace(executable: string): string | undefined {
  if (/^\/(tmp|var\/tmp|dev\/shm|run)\//.test(executable)) return "files there do not outlive a restart";
  if (/\/\.cache\//.test(executable)) return "it is a cache, which may be emptied";
  return /\/build\/[^/]*$/.test(executable) ? "it is a build folder" : undefined;
}
