/**
 * What the steps of assembling the root are made of: files and mounts of our own making, sources opened again without
 * following symlinks, destinations looked up within the new root. open_tree(2), move_mount(2), fsopen(2), openat2(2).
 */
import {
  AT,
  E,
  FSCONFIG,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MOUNT_ATTR,
  MOVE_MOUNT,
  O,
  OPEN_TREE,
  openFlags,
} from "../../../ffi/constants.ts";
import type { Step } from "../../engine/namespaces/steps.ts";
import { isBelow } from "../../engine/namespaces/tree.ts";
import { encodeOs } from "../../host/bytes.ts";
import type { descriptorPath } from "../kit.ts";
import type { Address, Argument, Label, Program, Slot } from "../program.ts";

const TREE = AT.EMPTY_PATH | AT.RECURSIVE;
const PAGE = 4096;
/** Inodes of a tmpfs: one for each page it may hold, and enough for mount points in a small one. */
const MIN_INODES = 1024;
const MOUNT_ATTR_SIZE = 32;

/** What the single steps share. */
export interface Assembly {
  p: Program;
  /** The new root, and the directory of the host that it covers. */
  root: Slot;
  base: Slot;
  assembleAt: string;
  /** struct open_how for sources and for destinations. */
  sourceHow: Address;
  destHow: Address;
  /** Makes the path of a descriptor. */
  pathOf: ReturnType<typeof descriptorPath>;
  /** Where overlays keep what is changed. */
  scratch: Slot;
  /** Program that copies trees (`copy` mounts). */
  cp: string;
  /** Our own file systems, by where they are mounted: the root and what was mounted in it, innermost last. */
  own: { dest: string; fd: Slot }[];
}

/** Paths in the new root are relative to its descriptor. */
function relative(path: string): string {
  return path === "/" ? "." : path.slice(1);
}

/**
 * How to reach a path of our own making: from the file system it is made in. From the root, the way there may lead
 * through a directory of somebody else's, where a symlink leads out of the new root.
 */
export function onOwnGround(a: Assembly, path: string): { fd: Slot; name: string } {
  let best: Assembly["own"][number] | undefined;
  for (const ground of a.own) {
    if (isBelow(path, ground.dest) && ground.dest.length >= (best?.dest.length ?? 0)) best = ground;
  }
  if (!best) throw new Error(`${path} is not on ground of our own`);
  return { fd: best.fd, name: relative(best.dest === "/" ? path : path.slice(best.dest.length) || "/") };
}

export function makeFile(a: Assembly, path: string, content: string): void {
  const { p } = a;
  const fd = p.slot();
  const flags = O.WRONLY | O.CREAT | O.CLOEXEC | openFlags(p.arch).NOFOLLOW;
  const { fd: ground, name } = onOwnGround(a, path);
  p.sys("openat", [ground, name, flags, 0o644], { into: fd, say: `make ${path}` });
  if (content !== "") {
    p.sys("write", [fd, p.string(content), encodeOs(content).length], { say: `write ${path}` });
  }
  p.sys("close", [fd]);
}

/** A file of our own over one that stands there. It is made in /dev, which is always ours, and leaves no name there. */
export function placeText(a: Assembly, { dest, content }: { dest: string; content: string }): void {
  const { p } = a;
  const tree = p.slot(), path = "/dev/.text";
  makeFile(a, path, content);
  const { fd, name } = onOwnGround(a, path);
  p.sys("open_tree", [fd, name, OPEN_TREE.CLONE | OPEN_TREE.CLOEXEC], { into: tree, say: `take ${dest}` });
  readOnly(a, tree, dest);
  attach(a, tree, { dest, own: false });
  p.sys("close", [tree]);
  p.sys("unlinkat", [fd, name, 0], { say: `take away ${path}` });
}

/**
 * Opens a source without following any symlink: one that was swapped in since planning is an error. Failures go to
 * `fail` where it is given.
 */
export function openSource(a: Assembly, source: string, fd: Slot, fail?: Label): void {
  const [directory, path] = source !== a.assembleAt && isBelow(source, a.assembleAt) && a.assembleAt !== "/"
    ? [a.base, source.slice(a.assembleAt.length + 1)]
    : [AT.FDCWD, source];
  const say = `open ${source}`;
  a.p.sys("openat2", [directory, path, a.sourceHow, 24], fail ? { into: fd, fail } : { into: fd, say });
}

/** A detached copy of the mounts at a source. */
export function cloneTree(
  a: Assembly,
  step: { do: string; source: string; readOnly: boolean; devices?: boolean },
): Slot {
  const { p } = a;
  const fd = p.slot(), tree = p.slot();
  openSource(a, step.source, fd);
  p.sys("open_tree", [fd, "", OPEN_TREE.CLONE | OPEN_TREE.CLOEXEC | TREE], {
    into: tree,
    say: `take ${step.source}`,
  });
  p.sys("close", [fd]);
  const attributes = MOUNT_ATTR.NOSUID | (step.readOnly ? MOUNT_ATTR.RDONLY : 0) |
    (step.devices ? 0 : MOUNT_ATTR.NODEV);
  setAttributes(a, tree, { attributes, recursive: true, say: `set the mount flags of ${step.source}` });
  return tree;
}

export function setAttributes(
  a: Assembly,
  fd: Argument,
  { attributes, recursive, say }: { attributes: number; recursive: boolean; say: string },
): void {
  const flags = recursive ? TREE : AT.EMPTY_PATH;
  a.p.sys("mount_setattr", [fd, "", flags, a.p.words(attributes, 0, 0, 0), MOUNT_ATTR_SIZE], { say });
}

export function readOnly(a: Assembly, fd: Slot, dest: string): void {
  setAttributes(a, fd, { attributes: MOUNT_ATTR.RDONLY, recursive: false, say: `make ${dest} read-only` });
}

export function bindMount(a: Assembly, step: Step & { do: "bind" }, early: Slot | undefined): void {
  const { p } = a;
  if (step.optional && !early) {
    const gone = p.label("gone"), there = p.label("there"), probe = p.slot();
    openSource(a, step.source, probe, gone);
    p.sys("close", [probe]);
    p.goto(there);
    const after = p.label("after");
    p.place(gone);
    p.when([p.errno, "==", E.NOENT], after);
    p.place(there);
    const tree = cloneTree(a, step);
    attach(a, tree, step);
    p.sys("close", [tree]);
    p.place(after);
    return;
  }
  const tree = early ?? cloneTree(a, step);
  attach(a, tree, step);
  p.sys("close", [tree]);
}

/**
 * Attaches a detached mount. A mount point of our own making is reached by its path; any other is looked up so that
 * no symlink, `..` or magic link leads out of the new root.
 */
export function attach(
  a: Assembly,
  tree: Slot,
  { dest, own, unlessGone = false }: { dest: string; own: boolean; unlessGone?: boolean },
): void {
  const { p } = a;
  const say = `mount ${dest}`;
  if (own) {
    const { fd, name } = onOwnGround(a, dest);
    p.sys("move_mount", [tree, "", fd, name, MOVE_MOUNT.F_EMPTY_PATH], { say });
    return;
  }
  const at = p.slot();
  const find = (absent?: Label) => {
    const options = { into: at, say: `find mount point ${dest}`, ...(absent && { fail: absent }) };
    p.sys("openat2", [a.root, relative(dest), a.destHow, 24], options);
    p.sys("move_mount", [tree, "", at, "", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH], {
      say,
      ...(absent && { fail: absent }),
    });
    p.sys("close", [at]);
  };
  // A name that goes between the two calls makes the second fail the same way.
  if (unlessGone) maybe(p, find);
  else find();
}

interface FileSystemOptions {
  type: string;
  options: [string, (string | Address)?][];
  attributes: number;
}

/** A new detached file system (fsopen(2), fsconfig(2), fsmount(2)). */
export function fileSystem(a: Assembly, into: Slot, { type, options, attributes }: FileSystemOptions): void {
  const { p } = a;
  const context = p.slot();
  const say = `make a ${type}`;
  p.sys("fsopen", [type, FSOPEN_CLOEXEC], { into: context, say });
  for (const [key, value] of options) {
    const command = value === undefined ? FSCONFIG.SET_FLAG : FSCONFIG.SET_STRING;
    p.sys("fsconfig", [context, command, key, value ?? 0, 0], { say: `set ${key} of a ${type}` });
  }
  p.sys("fsconfig", [context, FSCONFIG.CMD_CREATE, 0, 0, 0], { say });
  p.sys("fsmount", [context, FSMOUNT_CLOEXEC, attributes], { into, say });
  p.sys("close", [context]);
}

export function tmpfs(a: Assembly, into: Slot, { bytes, mode }: { bytes: number; mode: number }): void {
  const options: [string, string][] = [
    ["size", String(bytes)],
    ["nr_inodes", String(Math.max(MIN_INODES, Math.ceil(bytes / PAGE)))],
    ["mode", mode.toString(8)],
  ];
  fileSystem(a, into, { type: "tmpfs", options, attributes: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV });
}

/** A copy becomes read-only by a mount of itself on itself. */
export function sealCopy(a: Assembly, dest: string): void {
  const { p } = a;
  const tree = p.slot();
  const { fd, name } = onOwnGround(a, dest);
  p.sys("open_tree", [fd, name, OPEN_TREE.CLONE | OPEN_TREE.CLOEXEC], { into: tree });
  readOnly(a, tree, dest);
  attach(a, tree, { dest, own: true });
  p.sys("close", [tree]);
}

/** Runs `body`; its `absent` label skips the rest when, and only when, the failure was ENOENT. */
export function maybe(p: Program, body: (absent: Label) => void): void {
  const absent = p.label("absent"), end = p.label();
  body(absent);
  p.goto(end);
  p.place(absent);
  p.when([p.errno, "!=", E.NOENT], p.abort);
  p.place(end);
}
