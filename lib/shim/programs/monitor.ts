/**
 * The monitor: the process the caller started. It enters no namespace and keeps the caller's credentials, process group
 * and terminal, so that to the caller it *is* the target: same pid, same signals, same status.
 */
import {
  AT,
  CLOCK_MONOTONIC,
  CLONE,
  IOCTL,
  POLL,
  PR,
  RLIMIT,
  SFD_CLOEXEC,
  SIG,
  SIG_BLOCK,
  SIG_UNBLOCK,
  SIGSET,
} from "../../../ffi/constants.ts";
import { EXIT } from "../../errors.ts";
import { closeRange } from "../descriptors.ts";
import { fork, ifPolled, keepOnly, pipe, pollWord, refuse, tell } from "../kit.ts";
import type { Label, Program, Slot } from "../program.ts";
import { findNames } from "./names.ts";
import { endInput } from "./pump_input.ts";
import { endOutput, watchOutput } from "./pump_output.ts";
import { startPumps } from "./pumps.ts";
import { ifOutOfMemory, prepareResult, REASON, settleReason, writeResult } from "./result.ts";
import { linkNetwork, serveOutbound } from "./outbound.ts";
import { startRelay } from "./relay.ts";
import { leavePty, takePty } from "./pty.ts";
import { REPORT, type Shared } from "./sandbox.ts";
import { checkDescriptors, closeAllBut, keepForComplaints, openMissing } from "./stdio.ts";
import { findTerminal, noteForeground, restoreTerminal, type Terminal } from "./terminal.ts";

const SIGINFO_SIZE = 128;

/** Appends the monitor's operations; they are the program's first. */
export function monitor(s: Shared): void {
  const { p, plan } = s;
  const startTime = p.buffer(16), initPid = p.slot(), info = p.buffer(SIGINFO_SIZE);
  const status = p.slot(), reason = p.slot(REASON.exited), word = p.slot(), signal = p.slot(), t = p.slot();
  const broken = p.label("set-up failed"), finish = p.label("finish");

  p.set(s.stack, p.errno); // before any call fails
  p.sys("rt_sigprocmask", [SIG_BLOCK, s.allSignals.address, s.callerMask.address, SIGSET]);
  p.sys("prctl", [PR.SET_NAME, "cordon-monitor"]);
  p.sys("getpid", [], { into: s.monitorPid });
  if (plan.onlyUid !== undefined) refuseOthers(s, plan.onlyUid);
  findNames(s);
  openMissing(p);
  if (plan.ownSession) p.sys("setsid", [], { say: "begin a session" });
  const pty = plan.pty && takePty(s, plan.pty);
  closeAllBut(p, plan);
  p.sys("clock_gettime", [CLOCK_MONOTONIC, startTime]);
  const result = prepareResult(p, plan);
  // From here on a failure is told in the result too.
  p.set(p.onAbort, broken);
  checkDescriptors(p, plan);
  const terminal = findTerminal(s);
  p.set(s.complain, keepForComplaints(p, plan.tellLimits));
  if (plan.clearGroups) p.sys("setgroups", [0, 0], { say: "leave the supplementary groups" });

  // All that can fail for want of descriptors comes before init, so that no target runs without it.
  const signals = p.slot(), polled = p.words(0, 0, 0xffffffff);
  p.sys("signalfd4", [-1, s.allSignals.address, SIGSET, SFD_CLOEXEC], {
    into: signals,
    say: "make a signal descriptor",
  });
  if (plan.endWithParent !== undefined) watchParent(p, plan.endWithParent, polled.cell(16));
  const pumps = startPumps(s);
  pipe(p, s.control, "make a pipe to init");
  pipe(p, s.report, "make a pipe from init");
  pollWord(p, polled.cell(0), signals);
  pollWord(p, polled.cell(8), s.report.read);

  const namespaces = CLONE.NEWUSER | CLONE.NEWNS | CLONE.NEWPID | CLONE.NEWIPC | CLONE.NEWUTS |
    (plan.ownNetwork ? CLONE.NEWNET : 0);
  const pidfd = p.buffer(8);
  if (plan.relay) {
    pipe(p, s.go, "make a pipe to the relay");
    pipe(p, s.entered, "make a pipe from the relay");
  }
  if (pumps.input) s.monitorOnly.push(pumps.input.file, pumps.input.unread);
  s.monitorOnly.push(signals, s.complain, s.control.write, s.report.read);
  linkNetwork(s);
  p.set(p.suspectMachine, 1);
  fork(p, initPid, s.initLabel, {
    flags: namespaces,
    say: "create namespaces",
    ...(plan.relay && !p.oldKernel && { pidfd }),
  });
  p.set(p.suspectMachine, 0);
  const { go, entered, control, report, network } = s;
  const others = [control.write, report.read, report.write];
  if (plan.relay) {
    const init = p.slot();
    if (p.oldKernel) p.set(init, initPid);
    else p.field(init, pidfd, 32);
    startRelay(p, plan.relay, {
      alive: control.read,
      sandbox: { go, entered, init },
      others: plan.outbound ? [...others, network.read, network.write] : others,
    });
  }
  serveOutbound(s, { initPid, alive: control.read, others });
  p.sys("close", [s.control.read]);
  p.sys("close", [s.report.write]);
  // Whoever reads our output must see its end when the target closes it.
  closeRange(p, 0, 2);
  for (const fd of plan.keepFds) p.sys("close", [fd]);

  keepOnly(p, s.initLabel);
  p.loop((_, again) => {
    const reported = p.label("reported");
    const orphaned = p.label("orphaned");
    p.sys("ppoll", [polled, 3, 0, 0, SIGSET], { fail: again });
    ifPolled(p, polled.plus(16), POLL.IN, orphaned);
    ifPolled(p, polled.plus(8), POLL.IN | POLL.HUP, reported);
    p.sys("read", [signals, info, SIGINFO_SIZE], { fail: again });
    p.field(signal, info, 32);
    p.if([signal, "==", SIG.CHLD], () => {
      if (plan.endWithParent !== undefined) ifOrphaned(p, plan.endWithParent, orphaned);
      if (pumps.output) watchOutput(s, pumps.output, reason);
      p.goto(again);
    });
    forward(s, signal, terminal);
    p.goto(again);

    p.place(orphaned);
    p.set(reason, REASON.cordon);
    p.sys("kill", [initPid, SIG.KILL], { fail: "ignore" });
    p.goto(finish);

    p.place(reported);
    p.sys("read", [s.report.read, word.address, 8], { into: t, fail: again });
    p.when([t, "==", 0], finish);
    p.shr(status, word, 32);
    p.and(word, word, 0xff);
    p.if([word, "==", REPORT.stopped], () => {
      if (plan.ownSession) goOn(s, terminal);
      else stopWith(s, status, terminal);
      p.goto(again);
    });
    p.if([word, "==", REPORT.failed], () => {
      p.set(reason, REASON.cordon);
      p.goto(again);
    });
    p.if([word, "==", REPORT.timeout], () => p.set(reason, REASON.timeout));
    p.set(word, REPORT.exited); // status and reason are known; only the end of init is left to wait for
    p.goto(finish);
  });

  p.place(broken);
  p.set(p.onAbort, 0);
  p.set(reason, REASON.cordon);
  closeRange(p, 0, 2); // what was said goes through a pump perhaps, which waits for the end
  p.if([initPid, "!=", 0], () => p.sys("kill", [initPid, SIG.KILL], { fail: "ignore" }));

  p.place(finish);
  const usage = p.buffer(144), initStatus = p.slot(), gone = p.label();
  p.when([initPid, "==", 0], gone);
  // Returns when nothing is left inside: the kernel ends the whole namespace with its pid 1.
  p.sys("wait4", [initPid, initStatus.address, 0, usage], { fail: gone });
  p.place(gone);
  p.if(
    [reason, "==", REASON.exited],
    () => p.if([word, "!=", REPORT.exited], () => initFailed(s, { reason, status, initStatus })),
  );
  if (pumps.input) endInput(p, pumps.input);
  if (pumps.output) endOutput(p, pumps.output, { reason, signals, info, infoSize: SIGINFO_SIZE });
  restoreTerminal(s, terminal);
  settleReason(p, plan, { reason, status });
  for (const directory of plan.cgroup?.removeDirs ?? []) removeDirectory(s, directory);
  if (plan.tellLimits) tellLimits(s, reason);
  if (result) {
    p.if([s.complain, ">=", 0], () => p.sys("dup3", [s.complain, 2, 0], { fail: "ignore" }));
    writeResult(p, result, { reason, status, usage, startTime });
  }
  if (pty) leavePty(p, pty);
  leave(s, reason, status);
}

/**
 * Watches the parent by pidfd. Not by PR_SET_PDEATHSIG: that fires when the parent's *thread* that started us ends, so
 * that {@link ifOrphaned} has to look each time; for old kernels there is nothing else. A parent that is gone already is
 * as good as one that ends now.
 */
export function watchParent(p: Program, parent: number, entry: Slot): void {
  const now = p.slot(), fd = p.slot(-1), here = p.label();
  const say = `watch the parent process ${parent}`;
  if (p.oldKernel) p.sys("prctl", [PR.SET_PDEATHSIG, SIG.CHLD], { fail: p.abort, say });
  else p.sys("pidfd_open", [parent, 0], { into: fd, fail: p.abort, say });
  p.sys("getppid", [], { into: now });
  p.when([now, "==", parent], here);
  refuse(p, "The process that started this has ended");
  p.place(here);
  if (!p.oldKernel) pollWord(p, entry, fd);
}

/** Goes to `orphaned` when what we watch by signals has ended. To be asked at each SIGCHLD. */
export function ifOrphaned(p: Program, parent: number, orphaned: Label): void {
  if (!p.oldKernel) return;
  const now = p.slot();
  p.sys("getppid", [], { into: now });
  p.when([now, "!=", parent], orphaned);
}

/** A saved sandbox holds paths and ids of one user. */
function refuseOthers({ p }: Shared, uid: number): void {
  const own = p.slot();
  p.sys("getuid", [], { into: own });
  p.if([own, "!=", uid], () => refuse(p, `This sandbox was saved by uid ${uid} and runs for nobody else`));
}

/** Passes a signal on to init, once, with the word whether our group has the terminal. */
function forward(s: Shared, signal: Slot, terminal: Terminal): void {
  const { p } = s;
  const word = p.slot(), foreground = p.slot(), now = p.buffer(8), send = p.label("send");
  p.set(word, signal);
  p.when([s.terminal, "<", 0], send);
  p.sys("ioctl", [s.terminal, IOCTL.TIOCGPGRP, now], { fail: send });
  p.field(foreground, now, 32);
  p.if([foreground, "==", terminal.ownGroup.cell()], () => {
    noteForeground(s, terminal);
    p.add(word, word, 0x100);
  });
  p.place(send);
  p.sys("write", [s.control.write, word.address, 8], { fail: "ignore" }); // init is ending: its report follows
}

/**
 * The target stopped: stop the same way, so that the caller's shell sees its job stop. On a terminal our whole group
 * stops, as it would have with the target in it: a script that waits for us would keep the job running otherwise, and
 * the shell would never take the terminal from the stopped target. The signal is raised while blocked and then let in;
 * where the kernel discards it (an orphaned group) we go on at once and so does the target.
 */
function stopWith(s: Shared, signal: Slot, terminal: Terminal): void {
  const { p } = s;
  const who = p.slot(), mask = p.slot(), bit = p.slot();
  p.if([s.onTerminal, "!=", 0], () => p.set(who, 0), () => p.set(who, s.monitorPid));
  p.sys("kill", [who, signal], { fail: "ignore" });
  p.sub(bit, signal, 1);
  p.shl(mask, 1, bit);
  p.sys("rt_sigprocmask", [SIG_UNBLOCK, mask.address, 0, SIGSET]);
  p.sys("rt_sigprocmask", [SIG_BLOCK, s.allSignals.address, 0, SIGSET]);
  // Back again. The SIGCONT that woke us is taken here, so that the target gets exactly one.
  const wake = p.slot(1n << BigInt(SIG.CONT - 1)), again = p.slot(SIG.CONT), info = p.buffer(SIGINFO_SIZE);
  p.sys("rt_sigtimedwait", [wake.address, info, p.words(0, 0), SIGSET], { fail: "ignore" });
  forward(s, again, terminal);
}

/**
 * The target stopped, and nobody sees us stop with it: stopped we would miss its end. On a terminal without a shell
 * nobody could continue it; elsewhere a SIGCONT that we forward does.
 */
function goOn(s: Shared, terminal: Terminal): void {
  const { p } = s;
  const signal = p.slot(SIG.CONT);
  p.if([s.onTerminal, "!=", 0], () => forward(s, signal, terminal));
}

/** Init ended without a word: it has told why, or something killed it. */
function initFailed(
  s: Shared,
  { reason, status, initStatus }: { reason: Slot; status: Slot; initStatus: Slot },
): void {
  const { p, plan } = s;
  const t = p.slot(), told = p.label();
  p.set(reason, REASON.cordon);
  p.and(t, initStatus, 0x7f);
  p.when([t, "==", 0], told);
  // The kernel ends a group that is out of memory as a whole, init with it.
  if (plan.cgroup?.oomFile) ifOutOfMemory(p, plan.cgroup.oomFile, reason);
  p.if(
    [reason, "==", REASON.memory],
    () => p.set(status, SIG.KILL),
    () => tell(p, "The sandbox's init was killed from outside", s.complain),
  );
  p.place(told);
}

/** Says which limit ended it: a kernel's client shows stderr and not the status. */
function tellLimits({ p, complain }: Shared, reason: Slot): void {
  p.if([reason, "==", REASON.memory], () => tell(p, "the memory limit ended the program", complain));
  p.if([reason, "==", REASON.timeout], () => tell(p, "the time limit ended the program", complain));
}

/** rmdir(2) of a cgroup: its last process may still be on its way out. */
function removeDirectory(s: Shared, path: string): void {
  const { p } = s;
  const tries = p.slot(), wait = p.label("wait"), done = p.label("removed");
  p.set(tries, 0);
  p.loop((leaveLoop) => {
    p.sys("unlinkat", [AT.FDCWD, path, AT.REMOVEDIR], { fail: wait });
    p.goto(done);
    p.place(wait);
    p.add(tries, tries, 1);
    p.when([tries, ">=", 100], leaveLoop);
    p.sys("nanosleep", [p.words(0, 5_000_000), 0], { fail: "ignore" });
  });
  p.place(done);
}

/** Ends as the target ended: same status, or death by the same signal without a core. */
function leave(s: Shared, reason: Slot, status: Slot): void {
  const { p } = s;
  const t = p.slot(), signal = p.slot(), mask = p.slot(), bit = p.slot();
  p.if([reason, "==", REASON.timeout], () => p.exit(EXIT.timeout));
  p.if([reason, "==", REASON.cordon], () => p.exit(EXIT.cordon));
  p.if([reason, "==", REASON.output], () => p.exit(EXIT.killed));
  p.if([reason, "==", REASON.memory], () => p.exit(EXIT.killed));
  p.and(signal, status, 0x7f);
  p.if([signal, "==", 0], () => {
    p.shr(t, status, 8);
    p.exit(t);
  });
  // The limit alone does not hold back a core that goes to a program: core(5).
  p.sys("prlimit64", [0, RLIMIT.CORE, p.words(0, 0), 0], { fail: "ignore" });
  p.sys("prctl", [PR.SET_DUMPABLE, 0, 0, 0, 0], { fail: "ignore" });
  p.sys("rt_sigaction", [signal, p.buffer(32), 0, SIGSET], { fail: "ignore" });
  p.sys("kill", [s.monitorPid, signal], { fail: "ignore" });
  p.sub(bit, signal, 1);
  p.shl(mask, 1, bit);
  p.sys("rt_sigprocmask", [SIG_UNBLOCK, mask.address, 0, SIGSET], { fail: "ignore" });
  p.add(t, signal, 128);
  p.exit(t);
}
