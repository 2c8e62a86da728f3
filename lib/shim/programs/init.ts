/**
 * Init: pid 1 of the sandbox. It assembles everything, gives up every privilege, and only then starts the target, which
 * has the same user id and could otherwise rewrite it through /proc/1/mem. Its own death ends all inside.
 */
import {
  AF,
  CLOCK_MONOTONIC,
  CLONE,
  IOCTL,
  POLL,
  PR,
  SECCOMP,
  SFD_CLOEXEC,
  SIG,
  SIG_IGN,
  SIGSET,
  SOCK,
  TFD_CLOEXEC,
  W,
} from "../../../ffi/constants.ts";
import { EXIT } from "../../errors.ts";
import { encodeOs } from "../../host/bytes.ts";
import { closeRange } from "../descriptors.ts";
import { fork, ifPolled, keepOnly, pollWord, writeTo } from "../kit.ts";
import type { Address, Label, Program, Slot } from "../program.ts";
import { assembleRoot } from "./mounts.ts";
import { rename } from "./names.ts";
import { awaitUplink, offerListeners } from "./outbound.ts";
import { dropCapabilities } from "./privileges.ts";
import type { RelayPlan } from "./relay.ts";
import { END_ALL, REPORT, type Shared } from "./sandbox.ts";
import { giveTerminal, startGroup } from "./terminal.ts";

const SIGINFO_SIZE = 128;

export function initProcess(s: Shared): void {
  const { p, plan } = s;
  const target = p.slot(), dead = p.label("monitor is gone"), alive = p.label();
  p.place(s.initLabel);
  for (const fd of s.monitorOnly) p.sys("close", [fd], { fail: "ignore" }); // some are -1
  for (const { listenFd } of plan.relay?.forwards ?? []) p.sys("close", [listenFd]);
  p.sys("prctl", [PR.SET_PDEATHSIG, SIG.KILL]);
  // The monitor may have died before the line above; then the pipe's end is already there.
  const early = p.words(0);
  pollWord(p, early.cell(), s.control.read);
  p.sys("ppoll", [early, 1, p.words(0, 0), 0, SIGSET]);
  ifPolled(p, early, POLL.HUP, dead);
  p.goto(alive);
  p.place(dead);
  p.exit(EXIT.cordon);
  p.place(alive);
  rename(s, "cordon-init");

  identity(s);
  for (const file of plan.cgroup?.joinFiles ?? []) writeTo(p, file, "0");
  p.sys("unshare", [CLONE.NEWCGROUP], { say: "create a cgroup namespace" });
  p.sys("sethostname", [plan.hostname, encodeOs(plan.hostname).length], {
    say: `set hostname ${plan.hostname}`,
  });
  if (plan.ownNetwork) loopbackUp(p);
  offerListeners(s);
  assembleRoot(p, plan.steps, plan);
  awaitUplink(s);
  if (plan.relay) letRelayEnter(s, plan.relay);

  // Out of the caller's process group; on a terminal still in its session, to be able to hand the terminal on.
  p.if([s.onTerminal, "!=", 0], () => p.sys("setpgid", [0, 0]), () => p.sys("setsid", []));
  dropCapabilities(p);
  p.sys("prctl", [PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0], { say: "set no_new_privs" });
  const filter = p.words(plan.seccomp.length / 8, p.constant(plan.seccomp));
  p.sys("seccomp", [SECCOMP.SET_MODE_FILTER, SECCOMP.FLAG_SPEC_ALLOW, filter], {
    say: "install the seccomp filter",
  });
  p.sys("prctl", [PR.SET_DUMPABLE, 0, 0, 0, 0]);

  const watched = prepareWatch(s);
  fork(p, target, s.targetLabel, { say: "start the target" });
  p.if([s.onTerminal, "!=", 0], () => startGroup(s, target));
  closeRange(p, 0, 2);
  for (const fd of plan.keepFds) p.sys("close", [fd]);
  serve(s, target, watched);
}

/** The relay needs the assembled root, and us still dumpable, to enter. A byte says that it has; without one it has failed. */
function letRelayEnter({ p, go, entered }: Shared, relay: RelayPlan): void {
  const byte = p.buffer(8), n = p.slot();
  p.sys("close", [go.read]);
  p.sys("close", [go.write]);
  p.sys("close", [entered.write]);
  p.sys("read", [entered.read, byte, 1], {
    into: n,
    say: `wait for the relay of ${relay.forwards.length} listeners`,
  });
  p.if([n, "!=", 1], () => p.exit(EXIT.cordon)); // it has said why
  p.sys("close", [entered.read]);
}

/** Maps the caller to itself (or to root). The kernel wants setgroups(2) denied first: user_namespaces(7). */
function identity({ p, plan }: Shared): void {
  writeTo(p, "/proc/self/setgroups", "deny");
  writeTo(p, "/proc/self/uid_map", `${plan.insideUid} ${plan.uid} 1`);
  writeTo(p, "/proc/self/gid_map", `${plan.insideGid} ${plan.gid} 1`);
}

/** SIOCSIFFLAGS with IFF_UP on `lo`: netdevice(7). */
function loopbackUp(p: Program): void {
  const socket = p.slot(), request = p.buffer(40);
  const name = 0x6f6cn, up = 1n; // "lo", IFF_UP
  p.set(request.cell(0), name);
  p.set(request.cell(16), up);
  p.sys("socket", [AF.INET, SOCK.DGRAM | SOCK.CLOEXEC, 0], { into: socket, say: "open a socket" });
  p.sys("ioctl", [socket, IOCTL.SIOCSIFFLAGS, request], { say: "bring lo up" });
  p.sys("close", [socket]);
}

interface Watched {
  /** Four struct pollfd: signals, the monitor's pipe, the clock, the grace. */
  polled: Address;
  signals: Slot;
  grace?: Grace;
}

/** The time that the target has to end when it is asked to. */
interface Grace {
  /** A timer that has not been started. */
  timer: Slot;
  /** 1 when it has. */
  running: Slot;
  /** 1 when the caller had us ignore the signal, and the target with us. */
  ignored: Map<number, Slot>;
}

/** si_code of a signal from the kernel, the terminal's Ctrl-C among them: sigaction(2). */
const SI_KERNEL = 0x80;

/** Everything that waiting takes is opened before there is a target, which must not run where that fails. */
function prepareWatch(s: Shared): Watched {
  const { p, plan } = s;
  const signals = p.slot(), clock = p.slot(), polled = p.words(0, 0, 0xffffffff, 0xffffffff);
  const wanted = plan.graceSeconds === undefined ? [SIG.CHLD] : [SIG.CHLD, SIG.INT];
  const mask = p.slot(wanted.reduce((mask, signal) => mask | 1n << BigInt(signal - 1), 0n));
  p.sys("signalfd4", [-1, mask.address, SIGSET, SFD_CLOEXEC], {
    into: signals,
    say: "make a signal descriptor",
  });
  pollWord(p, polled.cell(0), signals);
  pollWord(p, polled.cell(8), s.control.read);
  if (plan.wallSeconds !== undefined) {
    const whole = Math.floor(plan.wallSeconds), nano = Math.floor((plan.wallSeconds - whole) * 1e9);
    // A timer descriptor, not SIGALRM: the target could send us that.
    p.sys("timerfd_create", [CLOCK_MONOTONIC, TFD_CLOEXEC], { into: clock, say: "make a timer" });
    p.sys("timerfd_settime", [clock, 0, p.words(0, 0, whole, nano), 0], { say: "start the timer" });
    pollWord(p, polled.cell(16), clock);
  }
  if (plan.graceSeconds === undefined) return { polled, signals };
  return { polled, signals, grace: prepareGrace(p, polled.cell(24)) };
}

function prepareGrace(p: Program, entry: Slot): Grace {
  const timer = p.slot(), ignored = new Map<number, Slot>();
  p.sys("timerfd_create", [CLOCK_MONOTONIC, TFD_CLOEXEC], { into: timer, say: "make a timer" });
  pollWord(p, entry, timer);
  for (const signal of [SIG.INT, SIG.TERM]) {
    const action = p.buffer(32), flag = p.slot();
    p.sys("rt_sigaction", [signal, 0, action, SIGSET], { say: `look at signal ${signal}` });
    p.if([action.cell(0), "==", SIG_IGN], () => p.set(flag, 1));
    ignored.set(signal, flag);
  }
  return { timer, running: p.slot(), ignored };
}

/** The target is asked to end by a signal that is on its way to it: from the first one on its time runs. */
function startGrace({ p, plan }: Shared, { timer, running, ignored }: Grace, signal: Slot): void {
  const seconds = plan.graceSeconds!, whole = Math.floor(seconds), nano = Math.floor((seconds - whole) * 1e9);
  const start = p.label("start the grace"), no = p.label();
  for (const [number, flag] of ignored) {
    p.if([signal, "==", number], () => p.when([flag, "==", 0], start));
  }
  p.goto(no);
  p.place(start);
  p.when([running, "!=", 0], no);
  p.set(running, 1);
  p.sys("timerfd_settime", [timer, 0, p.words(0, 0, whole, nano), 0], { fail: "ignore" });
  p.place(no);
}

/** Waits: for children, for the wall clock, for what the monitor passes on. */
function serve(s: Shared, target: Slot, { polled, signals, grace }: Watched): void {
  const { p } = s;
  const t = p.slot(), info = p.buffer(SIGINFO_SIZE);
  const report = p.slot(), kind = p.slot(), status = p.slot(), who = p.slot();
  const send = () => {
    p.shl(report, status, 32);
    p.add(report, report, kind);
    p.sys("write", [s.report.write, report.address, 8], { fail: "ignore" });
  };
  const end = p.label("end of init"), endAll = p.label("end all");
  keepOnly(p, end);
  p.loop((_, again) => {
    const children = p.label("children"), time = p.label("time"), passed = p.label("passed on");
    const late = p.label("late");
    p.sys("ppoll", [polled, 4, 0, 0, SIGSET], { fail: again });
    ifPolled(p, polled.plus(16), POLL.IN, time);
    if (grace) ifPolled(p, polled.plus(24), POLL.IN, late);
    // Before signals: whoever is inside can send us those faster than we read them.
    ifPolled(p, polled.plus(8), POLL.IN | POLL.HUP, passed);
    ifPolled(p, polled.plus(0), POLL.IN, children);
    p.goto(again);

    p.place(time);
    p.set(kind, REPORT.timeout);
    p.set(status, 0);
    send();
    p.place(endAll);
    // Who is waited for counts in the result; what dies with init does not.
    p.sys("kill", [-1, SIG.KILL], { fail: "ignore" });
    const reaped = p.label("all reaped");
    p.loop(() => p.sys("wait4", [-1, 0, 0, 0], { fail: reaped }));
    p.place(reaped);
    p.exit(EXIT.timeout);

    p.place(children);
    p.sys("read", [signals, info, SIGINFO_SIZE], { fail: again });
    if (grace) watchInterrupt(s, grace, { info, again });
    p.loop((none, more) => {
      p.sys("wait4", [-1, status.address, W.NOHANG | W.UNTRACED, 0], { into: who, fail: none });
      p.and(status, status, 0xffffffff);
      p.when([who, "==", 0], none);
      p.when([who, "!=", target], more);
      p.and(t, status, 0xff);
      p.if([t, "==", 0x7f], () => {
        p.set(kind, REPORT.stopped);
        p.shr(status, status, 8);
        send();
        p.goto(more);
      });
      p.set(kind, REPORT.exited);
      send();
      p.exit(0);
    });
    p.goto(again);

    if (grace) {
      // The target's end is then reported as any other.
      p.place(late);
      p.sys("read", [grace.timer, info, 8], { fail: again });
      p.sys("kill", [-1, SIG.KILL], { fail: "ignore" });
      p.goto(again);
    }

    p.place(passed);
    passSignal(s, { target, again, endAll, grace });
    p.goto(again);
  });
  p.place(end);
}

/** Ctrl-C reaches the target without us. Anybody else's SIGINT is not the caller's: it comes from inside. */
function watchInterrupt(
  s: Shared,
  grace: Grace,
  { info, again }: { info: Address; again: Label },
): void {
  const { p } = s;
  const signal = p.slot(), code = p.slot(), child = p.label();
  p.field(signal, info, 32);
  p.when([signal, "==", SIG.CHLD], child);
  p.field(code, info.plus(8), 32);
  p.when([code, "!=", SI_KERNEL], again);
  startGrace(s, grace, signal);
  p.goto(again);
  p.place(child);
}

/** One word from the monitor: the signal goes to the target's process group. */
function passSignal(
  s: Shared,
  { target, again, endAll, grace }: { target: Slot; again: Label; endAll: Label; grace?: Grace | undefined },
): void {
  const { p } = s;
  const word = p.slot(), n = p.slot(), signal = p.slot(), foreground = p.slot(), group = p.slot();
  p.sys("read", [s.control.read, word.address, 8], { into: n, fail: again });
  p.if([n, "==", 0], () => p.exit(EXIT.cordon));
  p.when([word, "==", END_ALL], endAll);
  p.and(signal, word, 0xff);
  p.shr(foreground, word, 8);
  p.if([signal, "==", SIG.CONT], () => p.if([foreground, "!=", 0], () => giveTerminal(s, target)));
  p.if([signal, "==", SIG.TSTP], () => p.set(signal, SIG.STOP)); // an orphaned group would ignore TSTP
  if (grace) startGrace(s, grace, signal);
  const alone = p.label("no such group");
  p.sub(group, 0, target);
  if (grace) p.if([s.onTerminal, "!=", 0], () => p.set(group, 0)); // ours
  p.sys("kill", [group, signal], { fail: alone });
  p.goto(again);
  // It has not made its group yet, or has left it. If it has just ended, that is reported next.
  p.place(alone);
  p.sys("kill", [target, signal], { fail: "ignore" });
}
