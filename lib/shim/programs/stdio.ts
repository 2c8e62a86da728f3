/**
 * Descriptors the target gets. 0–2 and what was asked to be kept; a directory or an O_PATH descriptor among them would be
 * a way out and is refused. Regular files go through the pumps of `pumps.ts`.
 */
import { AT, F, O, S, STATX, STATX_FIELD, STATX_SIZE } from "../../../ffi/constants.ts";
import { closeRange, LAST } from "../descriptors.ts";
import { refuse } from "../kit.ts";
import type { Address, Argument, Program, Slot } from "../program.ts";
import type { SandboxPlan } from "./sandbox.ts";

/** A closed descriptor 0–2 becomes /dev/null: the next file opened must not take its number. */
export function openMissing(p: Program): void {
  for (const fd of [0, 1, 2]) {
    const missing = p.label("missing"), open = p.label();
    p.sys("fcntl", [fd, F.GETFD], { fail: missing });
    p.goto(open);
    p.place(missing);
    p.sys("openat", [AT.FDCWD, "/dev/null", O.RDWR, 0], { say: "open /dev/null" });
    p.place(open);
  }
}

/** Closes what the caller leaked to us. */
export function closeAllBut(p: Program, plan: SandboxPlan): void {
  const kept = new Set(plan.keepFds);
  if (plan.result && "fd" in plan.result.to) kept.add(plan.result.to.fd);
  for (const { listenFd } of plan.relay?.forwards ?? []) kept.add(listenFd);
  let from = 3;
  for (const fd of [...kept].filter((n) => n > 2).sort((a, b) => a - b)) {
    if (fd > from) closeRange(p, from, fd - 1);
    from = fd + 1;
  }
  closeRange(p, from, LAST);
}

/** Refuses descriptors that lead out of the sandbox, and names that are not open. */
export function checkDescriptors(p: Program, plan: SandboxPlan): void {
  for (const fd of plan.keepFds) p.sys("fcntl", [fd, F.GETFD], { say: `keep descriptor ${fd}` });
  for (const fd of [0, 1, 2, ...plan.keepFds]) refuseDirectory(p, fd);
}

function refuseDirectory(p: Program, fd: number): void {
  const type = p.slot(), flags = p.slot();
  const out = p.label("leads out"), fine = p.label();
  typeOf(p, type, statDescriptor(p, fd));
  p.when([type, "==", S.IFDIR], out);
  p.sys("fcntl", [fd, F.GETFL], { into: flags });
  p.and(flags, flags, O.PATH);
  p.when([flags, "==", 0], fine);
  p.place(out);
  refuse(p, `Descriptor ${fd} is a directory or a path: it would be a way out of the sandbox`);
  p.place(fine);
}

/**
 * Stderr for the monitor's own words later. Not when it is a pipe or a socket: somebody may be waiting for its end, which
 * is the target's to give.
 */
export function keepForComplaints(p: Program, always = false): Slot {
  const fd = p.slot(-1), type = p.slot(), none = p.label("somebody reads it");
  if (!always) {
    typeOf(p, type, statDescriptor(p, 2));
    p.when([type, "==", S.IFIFO], none);
    p.when([type, "==", S.IFSOCK], none);
  }
  p.sys("fcntl", [2, F.DUPFD_CLOEXEC, 3], { into: fd, say: "keep stderr" });
  p.place(none);
  return fd;
}

/** struct statx of a descriptor. */
export function statDescriptor(p: Program, fd: Argument): Address {
  const into = p.buffer(STATX_SIZE);
  p.sys("statx", [fd, "", AT.EMPTY_PATH, STATX.TYPE | STATX.INO, into], { say: `look at descriptor ${fd}` });
  return into;
}

/** The S_IFMT bits. */
export function typeOf(p: Program, into: Slot, stat: Address): void {
  p.field(into, stat.plus(STATX_FIELD.mode), 16);
  p.and(into, into, S.IFMT);
}
