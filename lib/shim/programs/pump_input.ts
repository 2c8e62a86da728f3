/** The pump of input: from a regular file on stdin into the pipe the target reads. */
import { E, F, IOCTL, SIG, SPLICE } from "../../../ffi/constants.ts";
import { closeRange, LAST } from "../descriptors.ts";
import { fork, keepOnly, pipe, pipeSlots, silently } from "../kit.ts";
import type { Program, Slot } from "../program.ts";
import { dieWithMonitor, ifRegular, writeAll } from "./pump_kit.ts";
import type { Shared } from "./sandbox.ts";
import { statDescriptor } from "./stdio.ts";

/** A write of this size to a pipe is whole or not at all: PIPE_BUF, pipe(7). */
const ATOMIC = 4096;
const CHUNK = 65536;
/** lseek(2). */
const SEEK_CUR = 1;

export interface InputPump {
  /** 0 when stdin is no regular file. */
  pid: Slot;
  /** That file, and the end of the pipe the target reads from. */
  file: Slot;
  unread: Slot;
}

/** Puts a pipe in the place of a regular file on 0. */
export function startInput(s: Shared): InputPump {
  const { p } = s;
  const pid = p.slot(), file = p.slot(-1), ends = pipeSlots(p), child = p.label("input pump");
  p.set(ends.read, -1);
  ifRegular(p, statDescriptor(p, 0), () => {
    pipe(p, ends, "make a pipe for stdin");
    p.sys("fcntl", [0, F.DUPFD_CLOEXEC, 3], { into: file, say: "keep stdin" });
    fork(p, pid, child, { say: "start the pump of stdin" });
    p.sys("dup3", [ends.read, 0, 0]);
    p.sys("close", [ends.write]);
    const parent = p.label();
    p.goto(parent);
    p.place(child);
    silently(p, () => inputPump(s, ends.write));
    p.place(parent);
  });
  return { pid, file, unread: ends.read };
}

/**
 * Moves the file into the pipe until its end; the monitor ends it otherwise. By splice(2), which moves the file's
 * offset by exactly what is in the pipe; for files that cannot be spliced by reading and writing.
 */
function inputPump(s: Shared, to: Slot): void {
  const { p } = s;
  dieWithMonitor(s);
  const n = p.slot(),
    other = p.label("by copying"),
    done = p.label("done"),
    silent = p.label(),
    ready = p.label();
  p.sys("dup3", [to, 1, 0]);
  p.when([s.complain, "<", 0], silent);
  p.sys("dup3", [s.complain, 2, 0]);
  p.goto(ready);
  p.place(silent);
  p.sys("close", [2]);
  p.place(ready);
  closeRange(p, 3, LAST);
  const end = p.label();
  keepOnly(p, end);
  p.loop(() => {
    p.sys("splice", [0, 0, 1, 0, CHUNK, SPLICE.MOVE], { into: n, fail: other });
    p.when([n, "==", 0], done);
  });
  p.place(other);
  p.when([p.errno, "!=", E.INVAL], p.abort);
  const buffer = p.buffer(ATOMIC);
  p.loop(() => {
    p.sys("read", [0, buffer, ATOMIC], { into: n, say: "read stdin" });
    p.when([n, "==", 0], done);
    writeAll(p, { fd: 1, from: buffer, count: n, broken: done });
  });
  p.place(done);
  p.exit(0);
  p.place(end);
}

/**
 * What the target did not read of a file is the next reader's, as it would be without us:
 * `while read line; do cordon isolate …; done <list`.
 */
export function endInput(p: Program, { pid, file, unread }: InputPump): void {
  p.if([pid, "!=", 0], () => {
    const bytes = p.buffer(8), back = p.slot();
    p.sys("kill", [pid, SIG.KILL], { fail: "ignore" });
    p.sys("wait4", [pid, 0, 0, 0], { fail: "ignore" });
    p.sys("ioctl", [unread, IOCTL.FIONREAD, bytes], { fail: "ignore" });
    p.field(back, bytes, 32);
    p.sub(back, 0, back);
    p.sys("lseek", [file, back, SEEK_CUR], { fail: "ignore" });
  });
}
