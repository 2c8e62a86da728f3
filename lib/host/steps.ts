/**
 * The steps of building a sandbox, each as a few system calls of a shim program, so that they can be tried for real
 * one after another. The kernel refuses most of them to a process with threads, as ours is.
 */

import { AT, CLONE, E, MNT_DETACH, MOUNT_ATTR, MS, O, PR, SECCOMP, STATFS } from "../../ffi/constants.ts";
import type { Arch } from "../../ffi/syscalls.ts";
import { fork } from "../shim/kit.ts";
import { type Label, Program } from "../shim/program.ts";

/** A step that was refused, and the kernel's answer. */
export interface Failure {
  step: string;
  /** Name of the errno, or what else went wrong. */
  errno: string;
}

export const STEPS = [
  "user-namespace",
  "id-map",
  "mount-namespace",
  "net-namespace",
  "ipc-namespace",
  "uts-namespace",
  "cgroup-namespace",
  "pid-namespace",
  "private-mounts",
  "tmpfs",
  "bind",
  "read-only",
  "overlay",
  "proc",
  "pivot-root",
  "seccomp",
] as const;
export type StepId = typeof STEPS[number];

/** Directory that the trial covers with a tmpfs of its own, in its own mount namespace. */
const AREA = "/tmp";
const ALLOW_ALL = [0x06, 0x7fff0000] as const; // BPF_RET | BPF_K, SECCOMP_RET_ALLOW

interface Builder {
  p: Program;
  uid: number;
  gid: number;
  fail: Label;
}

const UNSHARE: Partial<Record<StepId, number>> = {
  "user-namespace": CLONE.NEWUSER,
  "mount-namespace": CLONE.NEWNS,
  "net-namespace": CLONE.NEWNET,
  "ipc-namespace": CLONE.NEWIPC,
  "uts-namespace": CLONE.NEWUTS,
  "cgroup-namespace": CLONE.NEWCGROUP,
  "pid-namespace": CLONE.NEWPID,
};

/**
 * A program that takes the steps in order. At the first refusal it writes the step's id to stdout and exits with the
 * errno; otherwise it exits 0.
 */
export function stepProgram(
  arch: Arch,
  steps: readonly StepId[],
  ids: { uid: number; gid: number },
): Program {
  const p = new Program(arch);
  const refused: { id: StepId; fail: Label }[] = [];
  for (const id of steps) {
    const fail = p.label(`${id} refused`);
    refused.push({ id, fail });
    addStep(id, { p, ...ids, fail });
  }
  p.exit(0);
  const errno = p.slot();
  for (const { id, fail } of refused) {
    p.place(fail);
    // Taken first: a failing write would overwrite it.
    p.sub(errno, 0, p.errno);
    p.sys("write", [1, id, id.length], { fail: "ignore" });
    p.exit(errno);
  }
  return p;
}

function addStep(id: StepId, builder: Builder): void {
  const { p, fail } = builder;
  const mount = (source: string, target: string, type: string, flags: number, data: string | 0 = 0) =>
    p.sys("mount", [source, target, type, flags, data], { fail });
  const flags = UNSHARE[id];
  if (flags !== undefined) p.sys("unshare", [flags], { fail });
  switch (id) {
    case "id-map":
      return addMaps(builder);
    case "pid-namespace":
      return addFirstProcess(p, fail);
    case "private-mounts":
      return mount("none", "/", "none", MS.REC | MS.PRIVATE);
    case "tmpfs":
      mount("tmpfs", AREA, "tmpfs", MS.NOSUID | MS.NODEV, "mode=0755,size=1m");
      for (const name of ["usr", "proc", "old", "lower", "upper", "work", "merged"]) {
        p.sys("mkdirat", [AT.FDCWD, `${AREA}/${name}`, 0o755], { fail });
      }
      return;
    case "bind":
      return mount("/usr", `${AREA}/usr`, "none", MS.BIND | MS.REC);
    case "read-only":
      // struct mount_attr: attr_set, attr_clr, propagation, userns_fd
      return addReadOnly(builder);
    case "overlay":
      return mount(
        "overlay",
        `${AREA}/merged`,
        "overlay",
        0,
        `lowerdir=${AREA}/lower,upperdir=${AREA}/upper,workdir=${AREA}/work,userxattr`,
      );
    case "proc":
      return mount("proc", `${AREA}/proc`, "proc", MS.NOSUID | MS.NODEV | MS.NOEXEC);
    case "pivot-root":
      p.sys("pivot_root", [AREA, `${AREA}/old`], { fail });
      p.sys("chdir", ["/"], { fail });
      return p.sys("umount2", ["/old", MNT_DETACH], { fail });
    case "seccomp": {
      p.sys("prctl", [PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0], { fail });
      const [code, value] = ALLOW_ALL;
      const filter = p.words(BigInt(code) | BigInt(value) << 32n);
      return p.sys("seccomp", [SECCOMP.SET_MODE_FILTER, 0, p.words(1, filter)], { fail });
    }
  }
}

/** By one call, or where the kernel lacks that by a remount, which has to repeat the flags that are there. */
function addReadOnly({ p, fail }: Builder): void {
  const path = `${AREA}/usr`, absent = p.label("no mount_setattr"), done = p.label();
  p.sys("mount_setattr", [AT.FDCWD, path, AT.RECURSIVE, p.words(MOUNT_ATTR.RDONLY, 0, 0, 0), 32], {
    fail: absent,
  });
  p.goto(done);
  p.place(absent);
  p.when([p.errno, "!=", E.NOSYS], fail);
  const fd = p.slot(), flags = p.slot(), stat = p.buffer(STATFS.SIZE);
  p.sys("openat", [AT.FDCWD, path, O.PATH | O.CLOEXEC, 0], { into: fd, fail });
  p.sys("fstatfs", [fd, stat], { fail });
  p.and(flags, stat.cell(STATFS.FLAGS), STATFS.SAME & ~MS.RDONLY);
  p.add(flags, flags, MS.REMOUNT | MS.BIND | MS.RDONLY);
  p.sys("mount", [0, path, 0, flags, 0], { fail });
  p.sys("close", [fd]);
  p.place(done);
}

/** Shows our own ids inside. A process without the right to set groups must first give up setgroups(2). */
function addMaps({ p, uid, gid, fail }: Builder): void {
  const files = [["setgroups", "deny"], ["uid_map", `${uid} ${uid} 1`], [
    "gid_map",
    `${gid} ${gid} 1`,
  ]] as const;
  for (const [file, text] of files) {
    const fd = p.slot();
    p.sys("openat", [AT.FDCWD, `/proc/self/${file}`, O.WRONLY | O.CLOEXEC, 0], { into: fd, fail });
    p.sys("write", [fd, text, text.length], { fail });
    p.sys("close", [fd], { fail });
  }
}

/** The first child after unshare(CLONE_NEWPID) is pid 1 there and goes on; the parent passes its status on. */
function addFirstProcess(p: Program, fail: Label): void {
  const pid = p.slot(), status = p.slot();
  const child = p.label("child");
  const word = p.buffer(8);
  fork(p, pid, child, { say: "start the first process of the pid namespace" });
  p.sys("wait4", [pid, word, 0, 0], { fail });
  p.field(status, word, 32);
  p.shr(status, status, 8);
  p.exit(status);
  p.place(child);
}
