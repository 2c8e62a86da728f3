/** Which descriptors a process keeps: pieces of programs that close the others. */
import { AT, DIRENT, F, O, openFlags } from "../../ffi/constants.ts";
import type { Argument, Program, Slot } from "./program.ts";

/** The last descriptor there can be, for {@link closeRange}. */
export const LAST = 0xffffffff;

/** Closes the descriptors from `first` to `last`. An old kernel without close_range(2) closes them one by one. */
export function closeRange(p: Program, first: Argument, last: Argument): void {
  if (!p.oldKernel) return p.sys("close_range", [first, last, 0]);
  if (last === LAST) return closeListed(p, first, listDescriptors(p));
  const fd = p.slot();
  p.set(fd, first);
  p.loop((done) => {
    p.when([last, "<", fd], done);
    p.sys("close", [fd], { fail: "ignore" });
    p.add(fd, fd, 1);
  });
}

/** Opens the list of our open descriptors, proc_pid_fd(5), for {@link gather} where /proc will be another. */
export function listDescriptors(p: Program): Slot {
  const list = p.slot();
  p.sys("openat", [AT.FDCWD, "/proc/self/fd", O.CLOEXEC | openFlags(p.arch).DIRECTORY, 0], {
    into: list,
    say: "list the open descriptors",
  });
  return list;
}

/** Closes what is listed from `first` on, and the list. */
function closeListed(p: Program, first: Argument, list: Slot): void {
  const size = 4096, zero = 0x30;
  const entries = p.buffer(size + 8); // a byte is read as the first of eight
  const at = p.slot(), end = p.slot(), name = p.slot(), byte = p.slot(), fd = p.slot(), t = p.slot();
  p.loop((done) => {
    p.sys("getdents64", [list, entries, size], { into: end, say: "list the open descriptors" });
    p.when([end, "==", 0], done);
    p.set(at, entries);
    p.add(end, end, entries);
    p.loop((read) => {
      const next = p.label("next");
      p.when([at, ">=", end], read);
      p.set(fd, 0);
      p.add(name, at, DIRENT.NAME);
      p.loop((whole) => {
        p.load(byte, name);
        p.and(byte, byte, 0xff);
        p.when([byte, "==", 0], whole);
        p.when([byte, "<", zero], next); // . and ..
        p.shl(t, fd, 3);
        p.shl(fd, fd, 1);
        p.add(fd, fd, t);
        p.add(fd, fd, byte);
        p.sub(fd, fd, zero);
        p.add(name, name, 1);
      });
      p.when([fd, "<", first], next);
      p.when([fd, "==", list], next);
      p.sys("close", [fd], { fail: "ignore" });
      p.place(next);
      p.add(t, at, DIRENT.LENGTH);
      p.load(t, t);
      p.and(t, t, 0xffff);
      p.add(at, at, t);
    });
  });
  p.sys("close", [list]);
}

/**
 * Leaves these descriptors, close-on-exec, at `first` and the numbers behind it, and closes all others from there on. By
 * way of numbers above, so that whatever they are none takes the place of another.
 */
export function gather(p: Program, fds: Argument[], first: number, list?: Slot): void {
  const end = first + fds.length, copies = fds.map(() => p.slot());
  const keep = (fd: Argument, into: Slot) =>
    p.sys("fcntl", [fd, F.DUPFD_CLOEXEC, end], { into, say: "keep a descriptor" });
  fds.forEach((fd, i) => keep(fd, copies[i]!));
  if (list) keep(list, list);
  closeRange(p, first, end - 1);
  copies.forEach((fd, i) => p.sys("dup3", [fd, first + i, O.CLOEXEC]));
  if (list) closeListed(p, end, list);
  else closeRange(p, end, LAST);
}
