/**
 * Carries the files of one working directory over to the next. Nothing runs in either: names may be looked at first and
 * used afterwards. Kept are contents with their holes, permissions, times, symbolic links as they are and hard links
 * within; FIFOs, sockets, names that are not UTF-8 and what lies too deep are left behind.
 */
import { E, O, openFlags } from "../../../ffi/constants.ts";
import { errnoText } from "../../../ffi/errno.ts";
import { lastErrno, libc } from "../../../ffi/libc.ts";
import { CordonError, reasonOf } from "../../errors.ts";
import { cString } from "../../host/bytes.ts";

/** lseek(2) */
const SEEK_SET = 0, SEEK_END = 2, SEEK_DATA = 3, SEEK_HOLE = 4;
const BUFFER_BYTES = 1 << 20;
/** Of a path, below what the kernel takes with the way to the directory before it (PATH_MAX, path_resolution(7)). */
const LONGEST_PATH = 4000;
/** Others are served after so much work. */
const TURN_MS = 10;

const OWNER_READS = 0o400, OWNER_ALL = 0o700, PERMISSIONS = 0o1777;

/** @param to an empty directory. @throws CordonError */
export async function copyTree(from: string, to: string): Promise<void> {
  try {
    // What the top itself may, and who may enter it, stays as it was made.
    permissions(Deno.statSync(from), from, OWNER_ALL);
    await new Copy().contents(from, to);
  } catch (cause) {
    if (cause instanceof CordonError) throw cause;
    throw new CordonError("Cannot carry the files of the session over", { why: reasonOf(cause), cause });
  }
}

class Copy {
  /** Where the first name of a file with several went, by its inode. */
  readonly #linked = new Map<number, string>();
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #since = performance.now();

  async contents(from: string, to: string): Promise<void> {
    const names = [...Deno.readDirSync(from)].map(({ name }) => name);
    for (const name of names) {
      await this.#entry(`${from}/${name}`, `${to}/${name}`);
      await this.#turn();
    }
  }

  async #entry(from: string, to: string): Promise<void> {
    if (cString(from).length > LONGEST_PATH || cString(to).length > LONGEST_PATH) return;
    const info = look(from);
    if (info?.isSymlink) return copyLink(from, to);
    if (info?.isDirectory) {
      // The command may have shut itself out.
      const mode = permissions(info, from, OWNER_ALL);
      Deno.mkdirSync(to, { mode: OWNER_ALL });
      await this.contents(from, to);
      Deno.chmodSync(to, mode);
      if (info.mtime) Deno.utimeSync(to, info.mtime, info.mtime);
      return;
    }
    if (!info?.isFile) return;
    const { ino, nlink, mtime } = info;
    const first = ino === null ? undefined : this.#linked.get(ino);
    if (first !== undefined) return Deno.linkSync(first, to);
    if (ino !== null && (nlink ?? 1) > 1) this.#linked.set(ino, to);
    const mode = permissions(info, from, OWNER_READS);
    await this.#data(from, to);
    Deno.chmodSync(to, mode);
    if (mtime) Deno.utimeSync(to, mtime, mtime);
  }

  async #data(from: string, to: string): Promise<void> {
    const { NOFOLLOW } = openFlags(Deno.build.arch);
    const source = opened(from, O.RDONLY | O.CLOEXEC | NOFOLLOW);
    try {
      const target = opened(to, O.WRONLY | O.CREAT | O.EXCL | O.CLOEXEC | NOFOLLOW);
      try {
        for (let at = seek(source, 0n, SEEK_DATA); at !== undefined; at = seek(source, at, SEEK_DATA)) {
          const hole = seek(source, at, SEEK_HOLE)!;
          seek(source, at, SEEK_SET);
          seek(target, at, SEEK_SET);
          while (at < hole) {
            const left = hole - at;
            at += BigInt(this.#piece(source, target, left < BUFFER_BYTES ? Number(left) : BUFFER_BYTES));
            await this.#turn();
          }
        }
        if (libc().ftruncate(target, seek(source, 0n, SEEK_END)!) !== 0) {
          throw new CordonError("Cannot write a file of the session", { why: errnoText(lastErrno()) });
        }
      } finally {
        libc().close(target);
      }
    } finally {
      libc().close(source);
    }
  }

  #piece(source: number, target: number, most: number): number {
    const got = Number(libc().read(source, this.#buffer, BigInt(most)));
    if (got <= 0) throw new CordonError("Cannot read a file of the session", { why: errnoText(lastErrno()) });
    for (let at = 0; at < got;) {
      const piece = this.#buffer.subarray(at, got);
      const put = Number(libc().write(target, piece, BigInt(piece.length)));
      if (put <= 0) {
        throw new CordonError("Cannot write a file of the session", { why: errnoText(lastErrno()) });
      }
      at += put;
    }
    return got;
  }

  async #turn(): Promise<void> {
    if (performance.now() - this.#since < TURN_MS) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#since = performance.now();
  }
}

/** Permission bits; makes what is at `path` readable to us. */
function permissions({ mode }: Deno.FileInfo, path: string, needed: number): number {
  const bits = (mode ?? 0) & PERMISSIONS;
  if ((bits & needed) !== needed) Deno.chmodSync(path, bits | needed);
  return bits;
}

function copyLink(from: string, to: string): void {
  let target: string;
  try {
    target = Deno.readLinkSync(from);
  } catch (error) {
    // It is not UTF-8.
    if (error instanceof Deno.errors.InvalidData) return;
    throw error;
  }
  Deno.symlinkSync(target, to);
}

function look(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    // A name that is not UTF-8 was read as another.
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function opened(path: string, flags: number): number {
  const fd = libc().open(cString(path), flags, 0o600);
  if (fd < 0) throw new CordonError("Cannot open a file of the session", { why: errnoText(lastErrno()) });
  return fd;
}

/** Undefined behind the last data (ENXIO). Positions of sparse files are larger than a number can tell apart. */
function seek(fd: number, at: bigint, whence: number): bigint | undefined {
  const found = libc().lseek(fd, at, whence);
  if (found >= 0n) return found;
  const errno = lastErrno();
  if (errno === -E.NXIO) return undefined;
  throw new CordonError("Cannot look for data in a file of the session", { why: errnoText(errno) });
}
