/** What the pumps of input and of output share. */
import { E, POLL, PR, S, SIG, SIGSET } from "../../../ffi/constants.ts";
import { EXIT } from "../../errors.ts";
import type { Address, Label, Program, Slot } from "../program.ts";
import type { Shared } from "./sandbox.ts";
import { typeOf } from "./stdio.ts";

/** A pump dies with the monitor, also with one that died before it asked for that. */
export function dieWithMonitor(s: Shared): void {
  const { p } = s;
  const parent = p.slot();
  p.sys("prctl", [PR.SET_PDEATHSIG, SIG.KILL]);
  p.sys("getppid", [], { into: parent });
  p.if([parent, "!=", s.monitorPid], () => p.exit(EXIT.cordon));
}

/** Runs `then` for a regular file or a block device. */
export function ifRegular(p: Program, stat: Address, then: () => void): void {
  const type = p.slot(), yes = p.label(), no = p.label();
  typeOf(p, type, stat);
  p.when([type, "==", S.IFREG], yes);
  p.when([type, "!=", S.IFBLK], no);
  p.place(yes);
  then();
  p.place(no);
}

export interface Write {
  fd: number;
  from: Address;
  count: Slot;
  /** Where to go when nobody reads any more. */
  broken: Label;
}

/** Writes the whole, however long the reader takes. */
export function writeAll(p: Program, { fd, from, count, broken }: Write): void {
  const at = p.slot(), left = p.slot(), n = p.slot();
  p.set(at, from);
  p.set(left, count);
  p.loop((leave, again) => {
    p.when([left, "==", 0], leave);
    const failed = p.label("failed");
    p.sys("write", [fd, at, left], {
      into: n,
      fail: failed,
      say: fd === 1 ? "write to stdout" : "write to stderr",
    });
    p.add(at, at, n);
    p.sub(left, left, n);
    p.goto(again);
    p.place(failed);
    p.when([p.errno, "==", E.PIPE], broken);
    p.when([p.errno, "!=", E.AGAIN], p.abort);
    p.sys("ppoll", [p.words(BigInt(fd) | BigInt(POLL.OUT) << 32n), 1, 0, 0, SIGSET], { fail: "ignore" });
  });
}
