/** A Unix socket at a path: a dead one is replaced, anything else is left alone. */
import { CordonError, reasonOf } from "../../errors.ts";

export interface SocketFile {
  mode: number;
  /** Whose it is to be; the caller's when absent. */
  owner?: { uid: number; gid: number } | undefined;
}

export interface UnixListener {
  listener: Deno.UnixListener;
  /** The name it was made under, which its connections keep. */
  bound: string;
  /** Removes the socket, unless it is another daemon's by now or cannot be removed. */
  remove(): void;
}

/**
 * Listens on `path`. The socket is made under another name and linked into place: it never stands there with other
 * permissions, and of two daemons that start at once only one gets the path.
 *
 * @throws {CordonError} when something else is there, or another daemon listens
 */
export async function listenUnix(path: string, { mode, owner }: SocketFile): Promise<UnixListener> {
  await clear(path, owner?.uid);
  const made = aside(path);
  let listener: Deno.UnixListener | undefined;
  try {
    listener = Deno.listen({ transport: "unix", path: made });
    Deno.chmodSync(made, mode);
    if (owner) Deno.chownSync(made, owner.uid, owner.gid);
    const { dev, ino } = Deno.lstatSync(made);
    Deno.linkSync(made, path);
    return { listener, bound: made, remove: () => removeIf(path, { dev, ino }) };
  } catch (cause) {
    listener?.close();
    if (cause instanceof Deno.errors.AlreadyExists) throw inUse(path);
    throw new CordonError(`Cannot listen on ${path}`, { why: reasonOf(cause), cause });
  } finally {
    if (listener) Deno.removeSync(made);
  }
}

/** Beside the path, so that it can be linked; short, for an address of a Unix socket has 107 bytes at most. */
function aside(path: string): string {
  const random = crypto.getRandomValues(new Uint8Array(5));
  return path.replace(/[^/]*$/, "") + "." + [...random].map((byte) => byte.toString(36)).join("");
}

async function clear(path: string, owner: number | undefined): Promise<void> {
  const found = lstat(path);
  if (!found) return;
  if (!found.isSocket) {
    throw new CordonError(`Cannot listen on ${path}`, { why: "a file that is no socket is there" });
  }
  if (found.uid !== Deno.uid() && found.uid !== owner) {
    throw new CordonError(`Cannot listen on ${path}`, { why: `a socket of user ${found.uid} is there` });
  }
  if (await answers(path)) throw inUse(path);
  // Another daemon may have put its socket there since: take away exactly what was probed.
  const taken = aside(path);
  Deno.renameSync(path, taken);
  const { dev, ino } = Deno.lstatSync(taken);
  if (dev !== found.dev || ino !== found.ino) {
    Deno.linkSync(taken, path);
    Deno.removeSync(taken);
    throw inUse(path);
  }
  Deno.removeSync(taken);
}

function inUse(path: string): CordonError {
  return new CordonError(`Cannot listen on ${path}`, { why: "another program listens there" });
}

async function answers(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound) return false;
    throw new CordonError(`Cannot listen on ${path}`, { why: reasonOf(error), cause: error });
  }
}

function removeIf(path: string, { dev, ino }: { dev: number; ino: number | null }): void {
  const found = lstat(path);
  if (!found || found.dev !== dev || found.ino !== ino) return;
  try {
    Deno.removeSync(path);
  } catch (error) {
    // Made by root for the user who runs now. The next start replaces it.
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
  }
}

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new CordonError(`Cannot listen on ${path}`, { why: reasonOf(error), cause: error });
  }
}
