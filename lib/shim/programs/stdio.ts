/**
 * Descriptors the target gets. 0–2 and what was asked to be kept; a directory or an O_PATH descriptor among them would be
 * a way out and is refused. A regular file could be reopened for writing through /proc/self/fd, so a pump copies
 * between it and a pipe; the same pump counts output where it is limited.
 */
import {
  AT,
  E,
  F,
  FD_CLOEXEC,
  O,
  POLL,
  S,
  SIGSET,
  STATX,
  STATX_FIELD,
  STATX_SIZE,
} from "../../../ffi/constants.ts";
import { EXIT } from "../../errors.ts";
import { fork, ifPolled, pipe, pipeSlots, tell } from "../kit.ts";
import type { Address, Argument, Label, Program, Slot } from "../program.ts";
import type { SandboxPlan, Shared } from "./sandbox.ts";

/** Status of a pump that met the output limit. */
export const PUMP_LIMIT = 1;

const CHUNK = 65536;
const LAST = 0xffffffff;

export interface Pumps {
  /** Pids to wait for when all inside has ended; waiting for one that was not needed fails with ECHILD. */
  pids: Slot[];
  /** The pump of stdout and stderr, when output is limited. */
  output?: Slot;
}

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

/** Closes what the caller leaked to us; checks what is to be kept. */
export function closeAllBut(p: Program, plan: SandboxPlan): void {
  const kept = new Set(plan.keepFds);
  if (plan.result && "fd" in plan.result.to) kept.add(plan.result.to.fd);
  for (const { listenFd } of plan.relay?.forwards ?? []) kept.add(listenFd);
  let from = 3;
  for (const fd of [...kept].filter((n) => n > 2).sort((a, b) => a - b)) {
    if (fd > from) p.sys("close_range", [from, fd - 1, 0]);
    from = fd + 1;
  }
  p.sys("close_range", [from, LAST, 0]);
  for (const fd of [0, 1, 2]) refuseDirectory(p, fd);
  for (const fd of plan.keepFds) {
    p.sys("fcntl", [fd, F.GETFD], { say: `keep descriptor ${fd}` });
    refuseDirectory(p, fd);
  }
  if (plan.result && "fd" in plan.result.to) {
    const { fd } = plan.result.to;
    p.sys("fcntl", [fd, F.SETFD, FD_CLOEXEC], { say: `use descriptor ${fd} for the result` });
  }
}

/** struct statx of a descriptor. */
function statDescriptor(p: Program, fd: Argument, into: Address): void {
  p.sys("statx", [fd, "", AT.EMPTY_PATH, STATX.TYPE | STATX.INO, into], { say: `look at descriptor ${fd}` });
}

function refuseDirectory(p: Program, fd: number): void {
  const stat = p.buffer(STATX_SIZE), type = p.slot(), flags = p.slot();
  const refuse = p.label("refuse"), fine = p.label();
  statDescriptor(p, fd, stat);
  p.field(type, stat.plus(STATX_FIELD.mode), 16);
  p.and(type, type, S.IFMT);
  p.when([type, "==", S.IFDIR], refuse);
  p.sys("fcntl", [fd, F.GETFL], { into: flags });
  p.and(flags, flags, O.PATH);
  p.when([flags, "==", 0], fine);
  p.place(refuse);
  tell(p, `descriptor ${fd} is a directory or a path: it would be a way out of the sandbox`);
  p.exit(EXIT.cordon);
  p.place(fine);
}

/** Puts pipes in the place of regular files on 0–2, and of all output where it is limited. */
export function prepareStdio(s: Shared): Pumps {
  const { p, plan } = s;
  const input = p.slot(-1), output = p.slot(-1);
  const limited = plan.outputBytes !== undefined;
  if (plan.rawStdio && !limited) return { pids: [] };
  if (!plan.rawStdio) pumpInput(p, input);
  pumpOutput(s, output);
  return limited ? { pids: [input, output], output } : { pids: [input, output] };
}

function ifRegular(p: Program, stat: Address, then: () => void): void {
  const type = p.slot();
  p.field(type, stat.plus(STATX_FIELD.mode), 16);
  p.and(type, type, S.IFMT);
  const yes = p.label(), no = p.label();
  p.when([type, "==", S.IFREG], yes);
  p.when([type, "!=", S.IFBLK], no);
  p.place(yes);
  then();
  p.place(no);
}

function pumpInput(p: Program, pid: Slot): void {
  const stat = p.buffer(STATX_SIZE), ends = pipeSlots(p), child = p.label("input pump");
  statDescriptor(p, 0, stat);
  ifRegular(p, stat, () => {
    pipe(p, ends, "make a pipe for stdin");
    fork(p, pid, child, { say: "start the pump of stdin" });
    p.sys("dup3", [ends.read, 0, 0]);
    p.sys("close", [ends.read]);
    p.sys("close", [ends.write]);
    const parent = p.label();
    p.goto(parent);
    p.place(child);
    p.sys("dup3", [ends.write, 1, 0]);
    p.sys("close_range", [2, LAST, 0]);
    const buffer = p.buffer(CHUNK), n = p.slot(), done = p.label("done");
    p.loop(() => {
      p.sys("read", [0, buffer, CHUNK], { into: n, fail: done });
      p.when([n, "==", 0], done);
      writeAll(p, { fd: 1, from: buffer, count: n, broken: done });
    });
    p.place(done);
    p.exit(0);
    p.place(parent);
  });
}

function pumpOutput(s: Shared, pid: Slot): void {
  const { p, plan } = s;
  const stats = [p.buffer(STATX_SIZE), p.buffer(STATX_SIZE)] as const;
  const wanted = [p.slot(), p.slot()] as const;
  const ends = [pipeSlots(p), pipeSlots(p)] as const;
  const child = p.label("output pump"), ready = p.label();
  for (const i of [0, 1] as const) {
    statDescriptor(p, i + 1, stats[i]);
    if (plan.outputBytes !== undefined) p.set(wanted[i], 1);
    else ifRegular(p, stats[i], () => p.set(wanted[i], 1));
    p.set(ends[i].read, -1);
    p.set(ends[i].write, -1);
  }
  const any = p.slot();
  p.add(any, wanted[0], wanted[1]);
  p.when([any, "==", 0], ready);
  p.if([wanted[0], "!=", 0], () => pipe(p, ends[0], "make a pipe for stdout"));
  p.if([wanted[1], "!=", 0], () => {
    const apart = p.label("apart"), done = p.label();
    p.when([wanted[0], "==", 0], apart);
    sameFileElse(p, stats, apart);
    p.sys("fcntl", [ends[0].write, F.DUPFD_CLOEXEC, 3], { into: ends[1].write, say: "share the pipe" });
    p.goto(done);
    p.place(apart);
    pipe(p, ends[1], "make a pipe for stderr");
    p.place(done);
  });
  fork(p, pid, child, { say: "start the pump of output" });
  for (const i of [0, 1] as const) {
    p.if([wanted[i], "!=", 0], () => {
      p.sys("dup3", [ends[i].write, i + 1, 0]);
      p.sys("close", [ends[i].write]);
    });
    p.if([ends[i].read, ">=", 0], () => p.sys("close", [ends[i].read]));
  }
  p.goto(ready);
  p.place(child);
  outputPump(p, [ends[0].read, ends[1].read], plan.outputBytes);
  p.place(ready);
}

/** Goes on when both descriptors name one file (`2>&1`), else to `apart`: order between the two is kept where it can be. */
function sameFileElse(p: Program, [a, b]: readonly [Address, Address], apart: Label): void {
  const x = p.slot(), y = p.slot();
  for (const offset of [STATX_FIELD.ino, STATX_FIELD.devMajor]) {
    p.set(x, a.cell(offset));
    p.set(y, b.cell(offset));
    p.when([x, "!=", y], apart);
  }
}

const IN = [210, 211] as const;

/** Copies from two pipes to stdout and stderr; at the limit it writes what still fits and ends. */
function outputPump(p: Program, reads: [Slot, Slot], limit: number | undefined): void {
  const polled = p.words(BigInt(IN[0]) | BigInt(POLL.IN) << 32n, BigInt(IN[1]) | BigInt(POLL.IN) << 32n);
  const buffer = p.buffer(CHUNK), n = p.slot(), total = p.slot(), left = p.slot(), open = p.slot();
  const quit = p.label("quit");
  p.set(open, 0);
  for (const i of [0, 1] as const) {
    p.if(
      [reads[i], ">=", 0],
      () => {
        p.sys("dup3", [reads[i], IN[i], O.CLOEXEC], { say: "keep a pipe of the target" });
        p.add(open, open, 1);
      },
      () => p.set(polled.cell(8 * i), 0xffffffff),
    );
  }
  p.sys("close_range", [3, IN[0] - 1, 0]);
  p.sys("close_range", [IN[1] + 1, LAST, 0]);
  p.sys("close", [0], { fail: "ignore" });
  p.loop((_, again) => {
    p.when([open, "==", 0], quit);
    p.sys("ppoll", [polled, 2, 0, 0, SIGSET], { fail: again });
    for (const i of [0, 1] as const) {
      const some = p.label(), none = p.label(), ended = p.label(), copy = p.label();
      ifPolled(p, polled.plus(8 * i), POLL.IN | POLL.HUP, some);
      p.goto(none);
      p.place(some);
      p.sys("read", [IN[i], buffer, CHUNK], { into: n, fail: again });
      p.when([n, "==", 0], ended);
      if (limit !== undefined) {
        p.sub(left, limit, total);
        p.when([left, ">=", n], copy);
        writeAll(p, { fd: i + 1, from: buffer, count: left, broken: quit });
        p.exit(PUMP_LIMIT);
      }
      p.place(copy);
      p.add(total, total, n);
      writeAll(p, { fd: i + 1, from: buffer, count: n, broken: quit });
      p.goto(none);
      p.place(ended);
      p.set(polled.cell(8 * i), 0xffffffff);
      p.sub(open, open, 1);
      p.place(none);
    }
  });
  p.place(quit);
  p.exit(0);
}

interface Write {
  fd: number;
  from: Address;
  count: Slot;
  /** Where to go when nobody reads any more. */
  broken: Label;
}

function writeAll(p: Program, { fd, from, count, broken }: Write): void {
  const at = p.slot(), left = p.slot(), n = p.slot();
  p.set(at, from);
  p.set(left, count);
  p.loop((leave, again) => {
    p.when([left, "==", 0], leave);
    const failed = p.label("failed");
    p.sys("write", [fd, at, left], { into: n, fail: failed, say: "write what the target wrote" });
    p.add(at, at, n);
    p.sub(left, left, n);
    p.goto(again);
    p.place(failed);
    p.when([p.errno, "==", E.PIPE], broken);
    p.when([p.errno, "!=", E.AGAIN], p.abort);
    p.sys("ppoll", [p.words(BigInt(fd) | BigInt(POLL.OUT) << 32n), 1, 0, 0, SIGSET], { fail: "ignore" });
  });
}
