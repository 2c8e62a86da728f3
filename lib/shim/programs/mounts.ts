/**
 * Carries out the steps that assemble the root, inside the new namespaces, and makes it the root. Every source is opened
 * again here without following symlinks and mounted by descriptor; every destination is looked up within the new root.
 */
import {
  AT,
  E,
  FSCONFIG,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MNT_DETACH,
  MOUNT_ATTR,
  MOVE_MOUNT,
  MS,
  O,
  OPEN_TREE,
  openFlags,
  RESOLVE,
} from "../../../ffi/constants.ts";
import type { Step } from "../../engine/namespaces/steps.ts";
import { isBelow } from "../../engine/namespaces/tree.ts";
import { encodeOs } from "../../host/bytes.ts";
import type { Address, Argument, Label, Program, Slot } from "../program.ts";
import { copyTree } from "./copy.ts";
import { consoleDevice, coverWithNull, reopenDevices } from "./devices.ts";

export interface MountOptions {
  /** Directory the root is assembled over; it is covered in the sandbox's namespace only. */
  assembleAt: string;
  /** Size of the root tmpfs. */
  tmpBytes: number;
  /** Path of cp(1) outside. */
  cp: string;
}

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
  /** Program that copies trees (`copy` mounts). */
  cp: string;
  /** Our own file systems, by where they are mounted: the root and what was mounted in it, innermost last. */
  own: { dest: string; fd: Slot }[];
}

/** Appends the operations that assemble the root and pivot into it. */
export function assembleRoot(p: Program, steps: Step[], options: MountOptions): void {
  const { assembleAt } = options;
  const how = (resolve: number) => p.words(O.PATH | O.CLOEXEC, 0, resolve);
  const a: Assembly = {
    p,
    root: p.slot(),
    base: p.slot(),
    assembleAt,
    sourceHow: how(RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS),
    destHow: how(RESOLVE.IN_ROOT),
    cp: options.cp,
    own: [],
  };
  const umask = p.slot();
  p.sys("umask", [0], { into: umask }); // what is made here has the modes it is made with
  p.sys("mount", ["none", "/", 0, MS.REC | MS.PRIVATE, 0], { say: "make mount propagation private" });

  p.set(p.suspectMachine, 0);
  // A source that contains the place of assembly is opened before that is covered.
  const early = new Map<Step, Slot>();
  for (const step of steps) {
    if ("source" in step && (step.do === "root" || step.do === "bind") && isBelow(assembleAt, step.source)) {
      early.set(step, cloneTree(a, step));
    }
  }
  const flags = O.PATH | openFlags(p.arch).DIRECTORY | O.CLOEXEC;
  p.sys("openat", [AT.FDCWD, assembleAt, flags, 0], { into: a.base, say: `open ${assembleAt}` });
  p.set(p.suspectMachine, 1);
  if (steps.some((s) => s.do === "overlay")) scratch(a, options.tmpBytes);
  const whole = steps.find((s) => s.do === "root");
  if (whole) p.set(a.root, early.get(whole) ?? cloneTree(a, whole));
  else {
    tmpfs(a, a.root, { bytes: options.tmpBytes, mode: 0o755 });
    a.own.push({ dest: "/", fd: a.root });
  }
  const onto = [a.root, "", a.base, "", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH];
  p.sys("move_mount", onto, { say: `mount the new root on ${assembleAt}` });

  const readOnlyAtEnd: { fd: Slot; dest: string }[] = [];
  const outer = outerPaths(steps);
  p.set(p.suspectMachine, 0);
  for (const step of steps) {
    const machine = step.do === "proc" || step.do === "devpts";
    if (machine) p.set(p.suspectMachine, 1);
    apply(a, step, { outer, early, readOnlyAtEnd });
    if (machine) p.set(p.suspectMachine, 0);
  }
  for (const { fd, dest } of readOnlyAtEnd) readOnly(a, fd, dest);
  reopenDevices(a);
  p.set(p.suspectMachine, 1);
  for (const { fd, dest } of a.own) if (dest !== "/") p.sys("close", [fd]);
  p.sys("umask", [umask]);

  p.sys("fchdir", [a.root], { say: "enter the new root" });
  p.sys("pivot_root", [".", "."], { say: "make it the root" });
  p.sys("umount2", [".", MNT_DETACH], { say: "detach the old root" });
  p.sys("chdir", ["/"]);
  // Held by init they would keep the host's file systems busy for as long as the sandbox lives.
  p.sys("close", [a.base]);
  p.sys("close", [a.root]);
}

/** Every path that something is made or mounted below. */
function outerPaths(steps: Step[]): Set<string> {
  const outer = new Set<string>();
  for (const step of steps) {
    const path = "dest" in step ? step.dest : "path" in step ? step.path : "";
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const above = path.slice(0, end);
      if (outer.has(above)) break;
      outer.add(above);
    }
  }
  return outer;
}

interface Pending {
  /** Paths that something is made or mounted below. */
  outer: Set<string>;
  early: Map<Step, Slot>;
  readOnlyAtEnd: { fd: Slot; dest: string }[];
}

function apply(a: Assembly, step: Step, pending: Pending): void {
  const { p } = a;
  switch (step.do) {
    case "root":
      return;
    case "seal":
      pending.readOnlyAtEnd.push({ fd: a.root, dest: "/" });
      return;
    case "directory": {
      const { fd, name } = onOwnGround(a, step.path);
      p.sys("mkdirat", [fd, name, step.mode & 0o777], { say: `make directory ${step.path}` });
      if (step.mode & 0o7000) p.sys("fchmodat", [fd, name, step.mode]);
      return;
    }
    case "file":
      return makeFile(a, step.path, step.content);
    case "text":
      return placeText(a, step);
    case "symlink": {
      const { fd, name } = onOwnGround(a, step.path);
      p.sys("symlinkat", [step.target, fd, name], { say: `make symlink ${step.path}` });
      return;
    }
    case "bind":
      return bindMount(a, step, pending.early.get(step));
    case "tmpfs": {
      const fd = p.slot();
      tmpfs(a, fd, step);
      attach(a, fd, step);
      if (pending.outer.has(step.dest)) {
        a.own.push({ dest: step.dest, fd });
        // What is mounted inside later needs its mount points made first.
        if (step.readOnly) pending.readOnlyAtEnd.push({ fd, dest: step.dest });
        return;
      }
      if (step.readOnly) readOnly(a, fd, step.dest);
      p.sys("close", [fd]);
      return;
    }
    case "overlay":
      return overlay(a, step);
    case "copy":
      copyTree(a, step);
      if (step.readOnly) sealCopy(a, step.dest);
      return;
    case "devpts": {
      const fd = p.slot();
      const options: [string, string?][] = [["newinstance"], ["ptmxmode", "0666"], ["mode", "0620"]];
      fileSystem(a, fd, { type: "devpts", options, attributes: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NOEXEC });
      attach(a, fd, { dest: step.dest, own: true });
      p.sys("close", [fd]);
      return;
    }
    case "console":
      return consoleDevice(a, step.dest);
    case "proc":
      return proc(a, step);
  }
}

// ---------------------------------------------------------------------------------------------------- pieces

/** Paths in the new root are relative to its descriptor. */
export function relative(path: string): string {
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

function makeFile(a: Assembly, path: string, content: string): void {
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
function placeText(a: Assembly, { dest, content }: { dest: string; content: string }): void {
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

function readOnly(a: Assembly, fd: Slot, dest: string): void {
  setAttributes(a, fd, { attributes: MOUNT_ATTR.RDONLY, recursive: false, say: `make ${dest} read-only` });
}

function bindMount(a: Assembly, step: Step & { do: "bind" }, early: Slot | undefined): void {
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
function attach(
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
  options: [string, string?][];
  attributes: number;
}

/** A new detached file system (fsopen(2), fsconfig(2), fsmount(2)). */
function fileSystem(a: Assembly, into: Slot, { type, options, attributes }: FileSystemOptions): void {
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

function tmpfs(a: Assembly, into: Slot, { bytes, mode }: { bytes: number; mode: number }): void {
  const options: [string, string][] = [
    ["size", String(bytes)],
    ["nr_inodes", String(Math.max(MIN_INODES, Math.ceil(bytes / PAGE)))],
    ["mode", mode.toString(8)],
  ];
  fileSystem(a, into, { type: "tmpfs", options, attributes: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV });
}

/** A copy becomes read-only by a mount of itself on itself. */
function sealCopy(a: Assembly, dest: string): void {
  const { p } = a;
  const tree = p.slot();
  const { fd, name } = onOwnGround(a, dest);
  p.sys("open_tree", [fd, name, OPEN_TREE.CLONE | OPEN_TREE.CLOEXEC], { into: tree });
  readOnly(a, tree, dest);
  attach(a, tree, { dest, own: true });
  p.sys("close", [tree]);
}

// ---------------------------------------------------------------------------------------------------- overlay

/** Fixed descriptors, so that overlay options can name them. */
const SCRATCH_FD = 200, LOWER_FD = 201;
const WHITEOUT_PROBE = "overlayfs (removing a directory that has lower files)";

/** A tmpfs below the new root, out of sight, that holds the upper directories of overlays. */
function scratch(a: Assembly, bytes: number): void {
  const { p } = a;
  const fd = p.slot();
  tmpfs(a, fd, { bytes, mode: 0o700 });
  const onto = [fd, "", a.base, "", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH];
  p.sys("move_mount", onto, { say: "mount the space for overlays" });
  p.sys("dup3", [fd, SCRATCH_FD, O.CLOEXEC]);
  p.sys("close", [fd]);
  probeOverlay(a);
}

function overlayAt(a: Assembly, name: string, lower: string, into: Slot, say: string): void {
  const { p } = a;
  for (const part of ["upper", "work"]) {
    p.sys("mkdirat", [SCRATCH_FD, `${name}-${part}`, 0o755], { say });
  }
  fileSystem(a, into, {
    type: "overlay",
    options: [
      ["userxattr"],
      ["lowerdir", lower],
      ["upperdir", `/proc/self/fd/${SCRATCH_FD}/${name}-upper`],
      ["workdir", `/proc/self/fd/${SCRATCH_FD}/${name}-work`],
    ],
    attributes: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV,
  });
}

/** Removes a file and a directory through a test overlay: kernels up to 6.1 fail it, and `rm -r` inside would too. */
function probeOverlay(a: Assembly): void {
  const { p } = a;
  const fd = p.slot(), file = p.slot();
  const say = WHITEOUT_PROBE;
  p.sys("mkdirat", [SCRATCH_FD, "probe", 0o755], { say });
  p.sys("mkdirat", [SCRATCH_FD, "probe/d", 0o755], { say });
  p.sys("openat", [SCRATCH_FD, "probe/d/f", O.WRONLY | O.CREAT | O.CLOEXEC, 0o644], { into: file, say });
  p.sys("close", [file]);
  overlayAt(a, "probe", `/proc/self/fd/${SCRATCH_FD}/probe`, fd, say);
  p.sys("unlinkat", [fd, "d/f", 0], { say });
  p.sys("unlinkat", [fd, "d", AT.REMOVEDIR], { say });
  p.sys("close", [fd]);
}

function overlay(a: Assembly, step: Step & { do: "overlay" }): void {
  const { p } = a;
  const source = p.slot(), fd = p.slot();
  openSource(a, step.source, source);
  p.sys("dup3", [source, LOWER_FD, O.CLOEXEC]);
  p.sys("close", [source]);
  overlayAt(
    a,
    `overlay${p.operations.length}`,
    `/proc/self/fd/${LOWER_FD}`,
    fd,
    `make an overlay over ${step.source}`,
  );
  attach(a, fd, step);
  p.sys("close", [fd]);
}

// ---------------------------------------------------------------------------------------------------- /proc

const PROC_READ_ONLY = ["sys", "irq", "bus", "fs", "sysrq-trigger"];
const PROC_COVERED = ["kcore", "keys", "timer_list", "latency_stats", "sched_debug"];
/** What root needs no capability for: it owns these files. */
const ROOT_READ_ONLY = ["acpi", "asound", "scsi", "dynamic_debug", "mtrr"];
const ROOT_COVERED = [
  "kmsg",
  "kpagecgroup",
  "kpagecount",
  "kpageflags",
  "pagetypeinfo",
  "slabinfo",
  "vmallocinfo",
];

/**
 * A proc of the new pid namespace. User namespaces are set to zero inside: a second lock behind the seccomp filter. What
 * could change the machine for a root that is mapped to itself becomes read-only or is covered.
 */
function proc(a: Assembly, step: Step & { do: "proc" }): void {
  const { p } = a;
  const fd = p.slot(), knob = p.slot();
  const attributes = MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC;
  fileSystem(a, fd, { type: "proc", options: [], attributes });
  attach(a, fd, { dest: step.dest, own: a.own[0]?.dest === "/" });
  if (step.nested) {
    p.sys("close", [fd]);
    return;
  }
  const limit = "sys/user/max_user_namespaces";
  p.sys("openat", [fd, limit, O.WRONLY | O.CLOEXEC, 0], { into: knob, say: `open /proc/${limit}` });
  p.sys("write", [knob, "0", 1], { say: `set /proc/${limit} to 0` });
  p.sys("close", [knob]);
  for (const name of step.root ? [...PROC_READ_ONLY, ...ROOT_READ_ONLY] : PROC_READ_ONLY) {
    maybe(p, (absent) => {
      const tree = p.slot();
      const flags = OPEN_TREE.CLONE | OPEN_TREE.CLOEXEC | AT.RECURSIVE;
      p.sys("open_tree", [fd, name, flags], { into: tree, fail: absent, say: `take /proc/${name}` });
      setAttributes(a, tree, {
        attributes: MOUNT_ATTR.RDONLY | attributes,
        recursive: true,
        say: `make /proc/${name} read-only`,
      });
      p.sys("move_mount", [tree, "", fd, name, MOVE_MOUNT.F_EMPTY_PATH], { say: `mount /proc/${name}` });
      p.sys("close", [tree]);
    });
  }
  for (const name of step.root ? [...PROC_COVERED, ...ROOT_COVERED] : PROC_COVERED) {
    maybe(p, (absent) => {
      const there = p.slot();
      p.sys("openat", [fd, name, O.PATH | O.CLOEXEC, 0], {
        into: there,
        fail: absent,
        say: `find /proc/${name}`,
      });
      p.sys("close", [there]);
      coverWithNull(a, fd, name, `cover /proc/${name}`);
    });
  }
  p.sys("close", [fd]);
}

/** Runs `body`; its `absent` label skips the rest when, and only when, the failure was ENOENT. */
function maybe(p: Program, body: (absent: ReturnType<Program["label"]>) => void): void {
  const absent = p.label("absent"), end = p.label();
  body(absent);
  p.goto(end);
  p.place(absent);
  p.when([p.errno, "!=", E.NOENT], p.abort);
  p.place(end);
}
