/**
 * The file system as bytes-safe strings, through libc: Deno's own calls refuse names that are not UTF-8. Only what
 * planning needs; nothing here follows a path on behalf of the sandbox (that is done inside, by descriptor).
 */
import { AT, R_OK, S, STATX, STATX_FIELD, STATX_SIZE } from "../../ffi/constants.ts";
import { lastErrno, libc } from "../../ffi/libc.ts";
import { cString, decodeOs } from "./bytes.ts";

const PATH_MAX = 4096;

export type FileType = "file" | "directory" | "symlink" | "other";

/** What planning asks of a file system; tests give it a made-up one. */
export interface FileSystem {
  /** Type of what a path names, a final symlink not followed; undefined when nothing is there or it cannot be seen. */
  lstat(path: string): FileType | undefined;
  /** As {@link lstat}, symlinks followed. */
  stat(path: string): FileType | undefined;
  /** realpath(3): absolute, without symlinks. A number is the errno of the failure. */
  realpath(path: string): string | number;
  /** Target of a symlink; undefined when it is none. */
  readlink(path: string): string | undefined;
  readable(path: string): boolean;
  /**
   * The first directory on the way to an absolute path that root could not search by permission alone; undefined when
   * there is none, or the caller is not root. In a user namespace root has no power over the files of others.
   */
  closedToRoot(path: string): string | undefined;
}

function statx(path: string, flags: number): FileType | undefined {
  const buffer = new Uint8Array(STATX_SIZE);
  if (libc().statx(AT.FDCWD, cString(path), flags | AT.NO_AUTOMOUNT, STATX.TYPE, buffer) < 0) {
    return undefined;
  }
  switch (new DataView(buffer.buffer).getUint16(STATX_FIELD.mode, true) & S.IFMT) {
    case S.IFREG:
      return "file";
    case S.IFDIR:
      return "directory";
    case S.IFLNK:
      return "symlink";
    default:
      return "other";
  }
}

/** Whether the mode bits let uid 0, gid 0 search a directory; undefined when it cannot be seen. */
function rootMaySearch(path: string): boolean | undefined {
  const buffer = new Uint8Array(STATX_SIZE);
  if (libc().statx(AT.FDCWD, cString(path), AT.NO_AUTOMOUNT, STATX.BASIC, buffer) < 0) return undefined;
  const view = new DataView(buffer.buffer);
  const mode = view.getUint16(STATX_FIELD.mode, true);
  if (view.getUint32(STATX_FIELD.uid, true) === 0) return true; // its owner, and there with all capabilities
  return (mode & (view.getUint32(STATX_FIELD.gid, true) === 0 ? 0o010 : 0o001)) !== 0;
}

function untilNul(buffer: Uint8Array): string {
  return decodeOs(buffer.subarray(0, buffer.indexOf(0)));
}

/** The machine's own file system. */
export const hostFs: FileSystem = {
  lstat: (path) => statx(path, AT.SYMLINK_NOFOLLOW),
  stat: (path) => statx(path, 0),
  realpath(path) {
    const buffer = new Uint8Array(PATH_MAX + 1);
    return libc().realpath(cString(path), buffer) === null ? lastErrno() : untilNul(buffer);
  },
  readlink(path) {
    const buffer = new Uint8Array(PATH_MAX);
    const length = Number(libc().readlink(cString(path), buffer, BigInt(PATH_MAX)));
    return length < 0 ? undefined : decodeOs(buffer.subarray(0, length));
  },
  readable: (path) => libc().access(cString(path), R_OK) === 0,
  closedToRoot(path) {
    if (Deno.uid() !== 0) return undefined;
    for (let slash = path.indexOf("/", 1); slash > 0; slash = path.indexOf("/", slash + 1)) {
      const directory = path.slice(0, slash);
      if (rootMaySearch(directory) === false) return directory;
    }
    return undefined;
  },
};

/** The working directory, or undefined when it has been deleted or lies outside our root. realpath(3) asks getcwd(3). */
export function currentDirectory(): string | undefined {
  const path = hostFs.realpath(".");
  return typeof path === "string" ? path : undefined;
}

/** The text of a file; nothing when it is not there or cannot be read. */
export function textOf(path: string): string {
  try {
    return decodeOs(Deno.readFileSync(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return "";
    throw error;
  }
}
