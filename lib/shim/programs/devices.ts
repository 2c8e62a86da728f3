/**
 * Device nodes that come from the host: the terminal at /dev/console, and what stands on descriptors 0–2. Their mounts
 * are read-only, which does not hinder reading and writing a device and keeps its owner, mode and times: root mapped to
 * itself owns the machine's /dev/null, and an ordinary user the terminal.
 */
import {
  AT,
  F,
  IOCTL,
  MOUNT_ATTR,
  O,
  openFlags,
  S,
  STATX,
  STATX_FIELD,
  STATX_SIZE,
} from "../../../ffi/constants.ts";
import type { Address, Argument, Label, Program, Slot } from "../program.ts";
import { type Assembly, onOwnGround } from "./assembly.ts";

const TERMIOS_SIZE = 64;

/** The terminal on stdin, by the name it has outside; without one /dev/null. */
export function consoleDevice(a: Assembly, dest: string): void {
  const { p } = a;
  const none = p.label("no terminal"), end = p.label();
  p.sys("ioctl", [0, IOCTL.TCGETS, p.buffer(TERMIOS_SIZE)], { fail: none });
  const tree = takeDevice(a, 0, none);
  const { fd, name } = onOwnGround(a, dest);
  a.mounts.put(tree, { fd, name }, { say: `mount ${dest}` });
  p.sys("close", [tree]);
  p.goto(end);
  p.place(none);
  coverWithNull(a, fd, name, `mount ${dest}`);
  p.place(end);
}

/** Mounts the sandbox's /dev/null, which is read-only as a mount, over something. */
export function coverWithNull(a: Assembly, directory: Argument, path: string, say: string): void {
  const { p } = a;
  const tree = p.slot();
  a.mounts.takeOne(onOwnGround(a, "/dev/null"), tree, { say });
  a.mounts.put(tree, { fd: directory, name: path }, { say });
  p.sys("close", [tree]);
}

/**
 * Opens character devices on descriptors 0–2 again, through the sandbox's own read-only mounts: through the descriptor as
 * it was handed down, fchmod(2) would change the host's node. One that cannot be opened again is left as it is: it is
 * then somebody else's, or the host no longer shows it.
 */
export function reopenDevices(a: Assembly): void {
  const { p } = a;
  const type = p.slot(), flags = p.slot(), opened = p.slot();
  const before = p.buffer(STATX_SIZE), after = p.buffer(STATX_SIZE);
  for (const fd of [0, 1, 2]) {
    const found = p.label("opened again"), done = p.label();
    look(p, fd, before);
    p.field(type, before.plus(STATX_FIELD.mode), 16);
    p.and(type, type, S.IFMT);
    p.when([type, "!=", S.IFCHR], done);
    p.sys("fcntl", [fd, F.GETFL], { into: flags });
    p.and(flags, flags, O.WRONLY | O.RDWR | O.APPEND | O.NONBLOCK);
    p.add(flags, flags, O.NOCTTY | O.CLOEXEC);
    // By a name that is there inside, where it can be: that is what /proc/self/fd shows.
    for (const device of ["/dev/null", "/dev/console"]) {
      const next = p.label(), here = p.label(), place = onOwnGround(a, device);
      // Looked at before it is opened: what the caller has mounted at /dev may hold a pipe of that name, or a link.
      const [how, wanted] = [AT.SYMLINK_NOFOLLOW, STATX.TYPE | STATX.INO];
      p.sys("statx", [place.fd, place.name, how, wanted, after], { fail: next });
      ifSameFile(p, [before, after], here);
      p.goto(next);
      p.place(here);
      p.add(opened, flags, openFlags(p.arch).NOFOLLOW);
      p.sys("openat", [place.fd, place.name, opened, 0], { into: opened, fail: next });
      look(p, opened, after);
      ifSameFile(p, [before, after], found);
      p.sys("close", [opened]);
      p.place(next);
    }
    const closeTree = p.label(), closeOpened = p.label(), same = p.label();
    const tree = takeDevice(a, fd, done);
    a.pathOf.call(tree);
    p.sys("openat", [AT.FDCWD, a.pathOf.path, flags, 0], { into: opened, fail: closeTree });
    look(p, opened, after);
    ifSameFile(p, [before, after], same);
    p.goto(closeOpened);
    p.place(same);
    p.sys("dup3", [opened, fd, 0]);
    p.place(closeOpened);
    p.sys("close", [opened]);
    p.place(closeTree);
    a.mounts.drop(tree);
    p.goto(done);
    p.place(found);
    p.sys("dup3", [opened, fd, 0]);
    p.sys("close", [opened]);
    p.place(done);
  }
}

/** The node that a descriptor is open on, as a detached read-only mount; else goes to `none`. */
function takeDevice(a: Assembly, fd: number, none: Label): Slot {
  const { p } = a;
  const name = p.buffer(256), tree = p.slot();
  p.sys("readlinkat", [AT.FDCWD, `/proc/self/fd/${fd}`, name, 255], { fail: none });
  // Its name is one from the machine's root, which on old kernels is ours no more.
  const at = p.oldKernel ? { fd: a.base, name: name.plus(1) } : { fd: AT.FDCWD, name };
  a.mounts.takeOne(at, tree, { fail: none });
  a.mounts.restrict(tree, {
    attributes: MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOSUID,
    recursive: false,
    say: `make the mount of descriptor ${fd} read-only`,
  });
  return tree;
}

function look(p: Program, fd: Argument, into: Address): void {
  p.sys("statx", [fd, "", AT.EMPTY_PATH, STATX.TYPE | STATX.INO, into], { say: "look at a descriptor" });
}

/** Goes to `same` when both describe one file. */
function ifSameFile(p: Program, [x, y]: readonly [Address, Address], same: Label): void {
  const differ = p.label();
  p.when([x.cell(STATX_FIELD.ino), "!=", y.cell(STATX_FIELD.ino)], differ);
  p.when([x.cell(STATX_FIELD.devMajor), "==", y.cell(STATX_FIELD.devMajor)], same);
  p.place(differ);
}
