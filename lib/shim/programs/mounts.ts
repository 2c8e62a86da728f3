/**
 * Carries out the steps that assemble the root, inside the new namespaces, and makes it the root. Every source is opened
 * again here without following symlinks and mounted by descriptor; every destination is looked up within the new root.
 */
import { MNT_DETACH, MOUNT_ATTR, MS } from "../../../ffi/constants.ts";
import type { Step } from "../../engine/namespaces/steps.ts";
import { isBelow } from "../../engine/namespaces/tree.ts";
import type { HostMount } from "../../host/mounts.ts";
import { descriptorPath } from "../kit.ts";
import type { Program, Slot } from "../program.ts";
import {
  type Assembly,
  attach,
  bindMount,
  cloneTree,
  makeFile,
  onOwnGround,
  placeText,
  readOnly,
  sealCopy,
  tmpfs,
} from "./assembly.ts";
import { copyTree } from "./copy.ts";
import { consoleDevice, reopenDevices } from "./devices.ts";
import { type MountCalls, NewMountCalls } from "./mount_calls.ts";
import { OldMountCalls } from "./mount_calls_old.ts";
import { makeScratch, overlay } from "./overlay.ts";
import { proc } from "./proc.ts";

export interface MountOptions {
  /** Directory the root is assembled over; it is covered in the sandbox's namespace only. */
  assembleAt: string;
  /** Size of the root tmpfs. */
  tmpBytes: number;
  /** Path of cp(1) outside. */
  cp: string;
  /** The mounts of this machine, where the kernel is an old one. */
  hostMounts?: HostMount[];
}

/** Appends the operations that assemble the root and pivot into it. */
export function assembleRoot(p: Program, steps: Step[], options: MountOptions): void {
  const { assembleAt } = options;
  const shared: Omit<Assembly, "mounts"> = {
    p,
    root: p.slot(),
    base: p.slot(),
    assembleAt,
    pathOf: descriptorPath(p),
    scratch: p.slot(),
    cp: options.cp,
    own: [],
  };
  const a: Assembly = Object.assign(shared, { mounts: mountCalls(shared as Assembly, options) });
  const umask = p.slot(), start = p.label();
  p.goto(start);
  a.pathOf.define();
  p.place(start);
  p.sys("umask", [0], { into: umask }); // what is made here has the modes it is made with
  p.sys("mount", ["none", "/", 0, MS.REC | MS.PRIVATE, 0], { say: "make mount propagation private" });

  p.set(p.suspectMachine, 0);
  // A source that contains the place of assembly is opened before that is covered.
  const early = new Map<Step, Slot>();
  for (const step of steps) {
    if (p.oldKernel) break; // where sources stay in sight
    if ("source" in step && (step.do === "root" || step.do === "bind") && isBelow(assembleAt, step.source)) {
      early.set(step, cloneTree(a, step));
    }
  }
  a.mounts.begin();
  p.set(p.suspectMachine, 1);
  const overlays = steps.some((s) => s.do === "overlay");
  if (overlays) makeScratch(a, options.tmpBytes);
  const whole = steps.find((s) => s.do === "root");
  if (whole) p.set(a.root, early.get(whole) ?? cloneTree(a, whole));
  else {
    tmpfs(a, a.root, { bytes: options.tmpBytes, mode: 0o755 });
    a.own.push({ dest: "/", fd: a.root });
  }
  a.mounts.placeRoot();

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
  a.mounts.finish();
  for (const { fd, dest } of a.own) if (dest !== "/") p.sys("close", [fd]);
  p.sys("umask", [umask]);

  p.sys("fchdir", [a.root], { say: "enter the new root" });
  p.sys("pivot_root", [".", "."], { say: "make it the root" });
  p.sys("umount2", [".", MNT_DETACH], { say: "detach the old root" });
  p.sys("chdir", ["/"]);
  // Held by init they would keep the host's file systems busy for as long as the sandbox lives.
  for (const fd of [a.base, a.root]) p.sys("close", [fd]);
  if (overlays) p.sys("close", [a.scratch]);
}

function mountCalls(a: Assembly, { hostMounts }: MountOptions): MountCalls {
  return a.p.oldKernel ? new OldMountCalls(a, hostMounts ?? []) : new NewMountCalls(a);
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
      a.mounts.make(fd, { type: "devpts", options, attributes: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NOEXEC });
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
