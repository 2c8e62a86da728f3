/** Opens a configuration file so that nobody but the caller decides what is read. */
import { AT, E, O, openFlags, S, STATX, STATX_FIELD, STATX_SIZE } from "../../ffi/constants.ts";
import { errnoText } from "../../ffi/errno.ts";
import { lastErrno, libc } from "../../ffi/libc.ts";
import { CordonError } from "../errors.ts";
import { cString } from "../host/bytes.ts";
import type { Place } from "./places.ts";

/** Far more than any configuration. */
const MOST_BYTES = 256 * 1024;
const OTHERS_WRITE = 0o022;

/** What was found at a place. `refused` says why a file that is there is not taken. */
export type Found = { bytes: Uint8Array } | { absent: true } | { refused: string };

export type ReadPlace = (place: Pick<Place, "path" | "trust">) => Found;

/**
 * Reads as the user `uid`. The file that was opened is the one that is looked at, and a FIFO does not hold us.
 *
 * @throws CordonError when it is there and cannot be read
 */
export function readerFor(uid: number): ReadPlace {
  return ({ path, trust }) => {
    // In a directory of somebody else's a link would choose among the caller's files.
    const noFollow = trust === "directory" ? openFlags(Deno.build.arch).NOFOLLOW : 0;
    const wait = trust === "named" ? 0 : O.NONBLOCK;
    const fd = libc().open(cString(path), O.RDONLY | O.CLOEXEC | wait | noFollow, 0);
    if (fd < 0) {
      const errno = lastErrno();
      if (errno === -E.NOENT || errno === -E.NOTDIR) return { absent: true };
      if (errno === -E.LOOP && trust === "directory") return { refused: "it is a symbolic link" };
      throw new CordonError(`Cannot read ${path}`, { why: errnoText(errno) });
    }
    try {
      const why = objection(fd, { uid, trust });
      return why === undefined ? { bytes: readAll(fd, path) } : { refused: why };
    } finally {
      libc().close(fd);
    }
  };
}

function objection(fd: number, { uid, trust }: { uid: number; trust: Place["trust"] }): string | undefined {
  if (trust === "named") return undefined;
  const buffer = new Uint8Array(STATX_SIZE);
  if (libc().statx(fd, cString(""), AT.EMPTY_PATH, STATX.BASIC, buffer) < 0) {
    return errnoText(lastErrno());
  }
  const view = new DataView(buffer.buffer);
  const mode = view.getUint16(STATX_FIELD.mode, true);
  const owner = view.getUint32(STATX_FIELD.uid, true);
  if ((mode & S.IFMT) !== S.IFREG) return "it is not a file";
  if (owner !== uid && !(trust === "home" && owner === 0)) return `it belongs to uid ${owner}, not to you`;
  return (mode & OTHERS_WRITE) === 0 ? undefined : "others than you can write it";
}

function readAll(fd: number, path: string): Uint8Array {
  const buffer = new Uint8Array(MOST_BYTES + 1);
  let at = 0;
  while (at < buffer.length) {
    const count = Number(libc().read(fd, buffer.subarray(at), BigInt(buffer.length - at)));
    if (count < 0) throw new CordonError(`Cannot read ${path}`, { why: errnoText(lastErrno()) });
    if (count === 0) return buffer.subarray(0, at);
    at += count;
  }
  throw new CordonError(`Cannot read ${path}`, { why: `It is longer than ${MOST_BYTES} bytes` });
}
