/** The pump of output: from the pipes the target writes to stdout and stderr, counted where they are limited. */
import { F, O, POLL, SIG, SIGSET, STATX_FIELD, W } from "../../../ffi/constants.ts";
import { EXIT } from "../../errors.ts";
import { closeRange, LAST } from "../descriptors.ts";
import { fork, ifPolled, keepOnly, pipe, pipeSlots, pollWord, silently } from "../kit.ts";
import type { Address, Label, Program, Slot } from "../program.ts";
import { dieWithMonitor, ifRegular, writeAll } from "./pump_kit.ts";
import { REASON } from "./result.ts";
import { END_ALL, type Shared } from "./sandbox.ts";
import { statDescriptor } from "./stdio.ts";

/** Status of a pump that met the output limit. */
const MET_LIMIT = 1;
const CHUNK = 65536;

export interface OutputPump {
  /** 0 when there is none, and when its end was seen. */
  pid: Slot;
  /** Its wait(2) status. */
  status: Slot;
}

/** Puts pipes in the place of regular files on 1 and 2, and of all output where it is limited. */
export function startOutput(s: Shared): OutputPump {
  const { p, plan } = s;
  const pid = p.slot(), wanted = [p.slot(), p.slot()] as const;
  const ends = [pipeSlots(p), pipeSlots(p)] as const;
  const child = p.label("output pump"), ready = p.label(), any = p.slot();
  const stats = [statDescriptor(p, 1), statDescriptor(p, 2)] as const;
  for (const i of [0, 1] as const) {
    if (plan.outputBytes !== undefined) p.set(wanted[i], 1);
    else ifRegular(p, stats[i], () => p.set(wanted[i], 1));
    p.set(ends[i].read, -1);
    p.set(ends[i].write, -1);
  }
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
  silently(p, () => {
    dieWithMonitor(s);
    // Whoever reads stdout waits for the end that the target gives. Stderr stays, for the pump's own words.
    p.if([wanted[0], "==", 0], () => p.sys("close", [1]));
    outputPump(p, { reads: [ends[0].read, ends[1].read], limit: plan.outputBytes });
  });
  p.place(ready);
  return { pid, status: p.slot() };
}

/** Goes on when both descriptors name one file (`2>&1`), else to `apart`: order between the two is kept where it can be. */
function sameFileElse(p: Program, [a, b]: readonly [Address, Address], apart: Label): void {
  for (const offset of [STATX_FIELD.ino, STATX_FIELD.devMajor]) {
    p.when([a.cell(offset), "!=", b.cell(offset)], apart);
  }
}

interface Output {
  /** Ends of the target's pipes; -1 for a stream that is not pumped. */
  reads: readonly [Slot, Slot];
  limit: number | undefined;
}

/** Copies from two pipes to stdout and stderr; at the limit it writes what still fits and ends. */
function outputPump(p: Program, { reads, limit }: Output): void {
  const polled = p.words(0xffffffff, 0xffffffff);
  const buffer = p.buffer(CHUNK), n = p.slot(), total = p.slot(), left = p.slot(), open = p.slot();
  // Everything else goes. The first pipe moves to 0, which no pump of output reads.
  const second = p.slot(), above = p.slot(), alone = p.label("alone"), closed = p.label(), first = p.label();
  p.sys("close", [0]);
  p.when([reads[0], "<", 0], first);
  p.sys("dup3", [reads[0], 0, O.CLOEXEC], { say: "keep stdout's pipe" });
  p.place(first);
  p.when([reads[1], "<", 0], alone);
  p.sub(second, reads[1], 1);
  p.add(above, reads[1], 1);
  p.if([second, ">=", 3], () => closeRange(p, 3, second));
  closeRange(p, above, LAST);
  p.goto(closed);
  p.place(alone);
  closeRange(p, 3, LAST);
  p.place(closed);
  p.if([reads[0], ">=", 0], () => {
    p.set(reads[0], 0);
    p.add(open, open, 1);
    pollWord(p, polled.cell(0), reads[0]);
  });
  p.if([reads[1], ">=", 0], () => {
    p.add(open, open, 1);
    pollWord(p, polled.cell(8), reads[1]);
  });

  const quit = p.label("quit"), end = p.label();
  keepOnly(p, end);
  p.loop((_, again) => {
    p.when([open, "==", 0], quit);
    p.sys("ppoll", [polled, 2, 0, 0, SIGSET], { fail: again });
    for (const i of [0, 1] as const) {
      const some = p.label(), none = p.label(), ended = p.label("ended"), copy = p.label("copy");
      ifPolled(p, polled.plus(8 * i), POLL.IN | POLL.HUP, some);
      p.goto(none);
      p.place(some);
      p.sys("read", [reads[i], buffer, CHUNK], { into: n, fail: again });
      p.when([n, "==", 0], ended);
      if (limit !== undefined) {
        p.sub(left, limit, total);
        p.when([left, ">=", n], copy);
        const over = p.label("over");
        writeAll(p, { fd: i + 1, from: buffer, count: left, broken: over });
        p.place(over);
        p.exit(MET_LIMIT);
      }
      p.place(copy);
      p.add(total, total, n);
      writeAll(p, { fd: i + 1, from: buffer, count: n, broken: ended });
      p.goto(none);
      // The target closed it, or its reader went away: either side learns of the other's end, for this stream alone.
      p.place(ended);
      p.set(polled.cell(8 * i), 0xffffffff);
      p.sys("close", [reads[i]]);
      p.sys("close", [i + 1]);
      p.sub(open, open, 1);
      p.place(none);
    }
  });
  p.place(quit);
  p.exit(0);
  p.place(end);
}

/** On SIGCHLD: a pump of output that has ended may have met its limit, and then the sandbox ends. */
export function watchOutput({ p, control }: Shared, { pid, status }: OutputPump, reason: Slot): void {
  const who = p.slot(), on = p.label();
  p.when([pid, "==", 0], on);
  p.sys("wait4", [pid, status.address, W.NOHANG, 0], { into: who, fail: on });
  p.when([who, "==", 0], on);
  p.set(pid, 0);
  p.when([status, "!=", MET_LIMIT << 8], on);
  p.set(reason, REASON.output);
  p.sys("write", [control.write, p.words(END_ALL), 8], { fail: "ignore" }); // init is ending: its report follows
  p.place(on);
}

interface Ending {
  reason: Slot;
  /** Descriptor of our signals (signalfd(2)) and room for one. */
  signals: Slot;
  info: Address;
  infoSize: number;
}

/**
 * Waits until everything written has arrived. Whoever reads it may be slow, or stuck: a signal that asks us to end is
 * obeyed, and after a time limit there is one second more.
 */
export function endOutput(p: Program, { pid, status }: OutputPump, ending: Ending): void {
  const { reason, signals, info, infoSize } = ending;
  const who = p.slot(), n = p.slot(), wait = p.slot(), signal = p.slot(), polled = p.words(0);
  const arrived = p.label("arrived"), stop = p.label("stop the pump"), gone = p.label();
  p.when([pid, "==", 0], arrived);
  pollWord(p, polled.cell(), signals);
  p.if([reason, "==", REASON.timeout], () => p.set(wait, p.words(1, 0)));
  p.loop((_, again) => {
    p.sys("wait4", [pid, status.address, W.NOHANG, 0], { into: who, fail: arrived });
    p.when([who, "!=", 0], arrived);
    p.sys("ppoll", [polled, 1, wait, 0, SIGSET], { into: n, fail: again });
    p.when([n, "==", 0], stop);
    p.sys("read", [signals, info, infoSize], { fail: again });
    p.field(signal, info, 32);
    for (const end of [SIG.HUP, SIG.INT, SIG.QUIT, SIG.TERM]) p.when([signal, "==", end], stop);
  });
  p.place(stop);
  p.sys("kill", [pid, SIG.KILL], { fail: "ignore" });
  p.sys("wait4", [pid, status.address, 0, 0], { fail: gone });
  p.place(gone);
  p.place(arrived);
  const on = p.label();
  p.when([reason, "!=", REASON.exited], on);
  p.if([status, "==", MET_LIMIT << 8], () => p.set(reason, REASON.output));
  // It has said why it could not write. What the target wrote is lost: that is no success.
  p.if([status, "==", EXIT.cordon << 8], () => p.set(reason, REASON.cordon));
  p.place(on);
}
