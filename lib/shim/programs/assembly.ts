/**
 * What the steps of assembling the root are made of: files and mounts of our own making, sources opened again without
 * following symlinks, destinations looked up within the new root.
 */
import { E, MOUNT_ATTR, O, openFlags } from "../../../ffi/constants.ts";
import type { Step } from "../../engine/namespaces/steps.ts";
import { isBelow } from "../../engine/namespaces/tree.ts";
import { encodeOs } from "../../host/bytes.ts";
import type { NumberPath } from "../kit.ts";
import type { Label, Program, Slot } from "../program.ts";
import type { MountCalls, Place } from "./mount_calls.ts";

const PAGE = 4096;
/** Inodes of a tmpfs: one for each page it may hold, and enough for mount points in a small one. */
const MIN_INODES = 1024;

/** What the single steps share. */
export interface Assembly {
  p: Program;
  mounts: MountCalls;
  /** The new root, and the directory of the host that it covers; on old kernels the host's root. */
  root: Slot;
  base: Slot;
  assembleAt: string;
  /** Makes the path of a descriptor. */
  pathOf: NumberPath;
  /** Where overlays keep what is changed. */
  scratch: Slot;
  /** Program that copies trees (`copy` mounts). */
  cp: string;
  /** Our own file systems, by where they are mounted: the root and what was mounted in it, innermost last. */
  own: { dest: string; fd: Slot }[];
}

/** Paths in the new root are relative to its descriptor. */
export function relative(path: string): string {
  return path === "/" ? "." : path.slice(1);
}

/**
 * How to reach a path of our own making: from the file system it is made in. From the root, the way there may lead
 * through a directory of somebody else's, where a symlink leads out of the new root.
 */
export function onOwnGround(a: Assembly, path: string): Place & { name: string } {
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
export function placeText(
  a: Assembly,
  { dest, place, content }: { dest: string; place?: string; content: string },
): void {
  const { p } = a;
  const tree = p.slot(), path = "/dev/.text";
  makeFile(a, path, content);
  const { fd, name } = onOwnGround(a, path);
  a.mounts.takeOne({ fd, name }, tree, { say: `take ${dest}` });
  readOnly(a, tree, dest);
  attach(a, tree, { dest, own: false, ...(place !== undefined && { place }) });
  p.sys("close", [tree]);
  p.sys("unlinkat", [fd, name, 0], { say: `take away ${path}` });
}

/** A detached copy of the mounts at a source. */
export function cloneTree(
  a: Assembly,
  { source, readOnly, devices = false }: { source: string; readOnly: boolean; devices?: boolean },
): Slot {
  const { p } = a;
  const fd = p.slot(), tree = p.slot();
  a.mounts.openSource(source, fd);
  const attributes = MOUNT_ATTR.NOSUID | (readOnly ? MOUNT_ATTR.RDONLY : 0) |
    (devices ? 0 : MOUNT_ATTR.NODEV);
  a.mounts.take(fd, tree, { source, attributes });
  p.sys("close", [fd]);
  return tree;
}

export function readOnly(a: Assembly, fd: Slot, dest: string): void {
  a.mounts.restrict(fd, { attributes: MOUNT_ATTR.RDONLY, recursive: false, say: `make ${dest} read-only` });
}

export function bindMount(a: Assembly, step: Step & { do: "bind" }, early: Slot | undefined): void {
  const { p } = a;
  if (step.optional && !early) {
    const gone = p.label("gone"), there = p.label("there"), probe = p.slot();
    a.mounts.openSource(step.source, probe, gone);
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
  { dest, own, place = dest, unlessGone = false }: {
    dest: string;
    own: boolean;
    place?: string;
    unlessGone?: boolean;
  },
): void {
  if (own) return a.mounts.put(tree, onOwnGround(a, dest), { say: `mount ${dest}` });
  // A name that goes between lookup and use makes the second fail the same way.
  if (unlessGone) maybe(a.p, (absent) => a.mounts.putInside(tree, place, absent));
  else a.mounts.putInside(tree, place);
}

export function tmpfs(a: Assembly, into: Slot, { bytes, mode }: { bytes: number; mode: number }): void {
  const options: [string, string][] = [
    ["size", String(bytes)],
    ["nr_inodes", String(Math.max(MIN_INODES, Math.ceil(bytes / PAGE)))],
    ["mode", mode.toString(8)],
  ];
  a.mounts.make(into, { type: "tmpfs", options, attributes: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV });
}

/** A copy becomes read-only by a mount of itself on itself. */
export function sealCopy(a: Assembly, dest: string): void {
  const { p } = a;
  const tree = p.slot();
  a.mounts.takeOne(onOwnGround(a, dest), tree);
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
