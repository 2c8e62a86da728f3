/**
 * A terminal for a sandbox whose caller has none to give, but pipes: the session takes one end of it, and two pumps copy
 * between the other end and the pipes on 0 and 1.
 */
import { IOCTL, SIG } from "../../../ffi/constants.ts";
import { closeRange, gather, LAST } from "../descriptors.ts";
import { fork, keepOnly, silently } from "../kit.ts";
import type { Argument, Program, Slot } from "../program.ts";
import { dieWithMonitor } from "./pump_kit.ts";
import type { Shared } from "./sandbox.ts";

const CHUNK = 16384;

export interface PtyPumps {
  input: Slot;
  output: Slot;
}

/** Starts the pumps and takes the terminal. We are the first of a session, and hold nothing yet but what we were given. */
export function takePty(s: Shared, { master, slave }: { master: number; slave: number }): PtyPumps {
  const { p } = s;
  const pumps = { input: p.slot(), output: p.slot() };
  const input = p.label("pump of input"), output = p.label("pump of output"), taken = p.label();
  fork(p, pumps.input, input, { say: "start the pump of the terminal's input" });
  fork(p, pumps.output, output, { say: "start the pump of the terminal's output" });
  p.sys("ioctl", [slave, IOCTL.TIOCSCTTY, 0], { say: "take the terminal" });
  for (const fd of [0, 1, 2]) p.sys("dup3", [slave, fd, 0]);
  p.goto(taken);
  silently(p, () => {
    p.place(input);
    pump(s, 0, master);
    p.place(output);
    pump(s, master, 1);
  });
  p.place(taken);
  return pumps;
}

/** Copies until one side has ended. What is read from a terminal that nobody holds any more is an error: EIO, pty(7). */
function pump(s: Shared, from: Argument, to: Argument): void {
  const { p } = s;
  const buffer = p.buffer(CHUNK), count = p.slot(), at = p.slot(), n = p.slot();
  const end = p.label("end of the pump"), code = p.label();
  dieWithMonitor(s);
  gather(p, [from, to], 0);
  keepOnly(p, code);
  p.loop((_, again) => {
    p.sys("read", [0, buffer, CHUNK], { into: count, fail: end });
    p.when([count, "==", 0], end);
    p.set(at, buffer);
    p.loop(() => {
      p.sys("write", [1, at, count], { into: n, fail: end });
      p.add(at, at, n);
      p.sub(count, count, n);
      p.when([count, "==", 0], again);
    });
  });
  p.place(end);
  p.exit(0);
  p.place(code);
}

/** Lets the terminal go, and waits until all that appeared on it has arrived. */
export function leavePty(p: Program, { input, output }: PtyPumps): void {
  const gone = p.label();
  closeRange(p, 0, LAST);
  p.sys("wait4", [output, 0, 0, 0], { fail: "ignore" });
  p.sys("kill", [input, SIG.KILL], { fail: "ignore" });
  p.sys("wait4", [input, 0, 0, 0], { fail: gone });
  p.place(gone);
}
