/** The file of `--cidfile`: claimed before there is a container, gone again when there never was one. */
import { CordonError } from "../lib/errors.ts";

export interface IdFile extends Disposable {
  write(id: string): void;
}

/** @throws CordonError when the file is there, or cannot be made */
export function claimIdFile(path: string | undefined): IdFile {
  if (path === undefined) return { write: () => {}, [Symbol.dispose]: () => {} };
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { write: true, createNew: true });
  } catch (cause) {
    const taken = cause instanceof Deno.errors.AlreadyExists;
    throw new CordonError(`Cannot make ${path}, the file of --cidfile`, {
      why: taken ? "It is there: another container may be running under it" : (cause as Error).message,
      cause,
    });
  }
  let written = false;
  return {
    write(id) {
      if (written) return;
      file.writeSync(new TextEncoder().encode(id));
      written = true;
    },
    [Symbol.dispose]() {
      file.close();
      if (!written) Deno.removeSync(path);
    },
  };
}
