/**
 * `copy` mounts: cp(1) copies the tree into the sandbox's memory before the old root goes. For a directory it runs with
 * the new root as its root and a detached mount of the source: cp looks names up again between listing a directory and
 * opening what is in it, and whoever owns the tree may put a symlink there meanwhile. So none leads to the host's files.
 */
import { F, O } from "../../../ffi/constants.ts";
import { gather } from "../descriptors.ts";
import { fork } from "../kit.ts";
import { type Assembly, cloneTree, onOwnGround } from "./assembly.ts";

/** The descriptors of cp; its arguments name the first two. */
const FROM_FD = 3, TO_FD = 4, ROOT_FD = 5;

/** Runs cp from the opened source to the opened place; its failure (no space, unreadable files) is ours. */
export function copyTree(
  a: Assembly,
  step: { source: string; dest: string; type: "directory" | "file" },
): void {
  const { p } = a;
  const to = p.slot(), pid = p.slot(), status = p.slot();
  const child = p.label("cp"), parent = p.label();
  const directory = step.type === "directory";
  const from = directory ? cloneTree(a, { ...step, readOnly: true }) : p.slot();
  if (!directory) a.mounts.openSource(step.source, from);
  const flags = (directory ? O.PATH : O.WRONLY) | O.CLOEXEC;
  const { fd, name } = onOwnGround(a, step.dest);
  p.sys("openat", [fd, name, flags, 0], { into: to, say: `open ${step.dest}` });
  fork(p, pid, child, { say: "start cp" });
  p.sys("wait4", [pid, status.address, 0, 0], { say: "wait for cp" });
  p.goto(parent);

  p.place(child);
  // On old kernels our root is by now an empty one: a file's cp is found in the machine's.
  gather(p, [from, to, directory ? a.root : a.base], FROM_FD);
  for (const fd of [FROM_FD, TO_FD]) p.sys("fcntl", [fd, F.SETFD, 0]);
  if (directory || p.oldKernel) {
    p.sys("fchdir", [ROOT_FD], { say: "enter the root of cp" });
    p.sys("chroot", ["."], { say: "make it the root of cp" });
  }
  const preserve = directory ? "--preserve=mode,timestamps,links" : "--preserve=mode,timestamps";
  const args = directory
    ? [a.cp, "-RP", preserve, "--", `/proc/self/fd/${FROM_FD}/.`, `/proc/self/fd/${TO_FD}/`]
    : [a.cp, "-L", preserve, "--", `/proc/self/fd/${FROM_FD}`, `/proc/self/fd/${TO_FD}`];
  p.sys("execve", [a.cp, p.vector(args), p.vector(["LC_ALL=C", "PATH=/usr/bin:/bin"])], {
    say: `run ${a.cp}`,
  });

  p.place(parent);
  p.if([status, "!=", 0], () => {
    const text = `cordon: Copy ${step.source}: cp failed, see above\n`;
    p.sys("write", [2, text, new TextEncoder().encode(text).length], { fail: "ignore" });
    p.exit(125);
  });
  if (directory) a.mounts.drop(from);
  else p.sys("close", [from]);
  p.sys("close", [to]);
}
