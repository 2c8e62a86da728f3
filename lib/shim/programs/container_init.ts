/**
 * Pid 1 of a kernel's container: hands the launcher outside the directory of the kernel's sockets, starts the kernel,
 * reaps, passes on signals, and tells the launcher how it ended. Its standard input is a line to the launcher: a byte is
 * a signal for the kernel, the end of it means that the launcher has died, and everything here ends with it. A kernel
 * that speaks TCP alone gets a relay here, from sockets that the launcher's relay reaches.
 */
import {
  AF,
  AT,
  CLOCK_MONOTONIC,
  O,
  openFlags,
  POLL,
  PR,
  SFD_CLOEXEC,
  SIG,
  SIG_BLOCK,
  SIG_SETMASK,
  SIGSET,
  SOCK,
  TFD_CLOEXEC,
  W,
} from "../../../ffi/constants.ts";
import type { Arch } from "../../../ffi/syscalls.ts";
import { EXIT } from "../../errors.ts";
import { encodeOs } from "../../host/bytes.ts";
import { closeRange, LAST } from "../descriptors.ts";
import { fork, ifPolled, pipe, pipeSlots, pollWord } from "../kit.ts";
import { Program, type Slot } from "../program.ts";
import { startRelay } from "./relay.ts";
import { unixAddress } from "./relay_name.ts";
import { ifOutOfMemory } from "./result.ts";
import { messageFor } from "./rights.ts";
import type { Rlimit } from "./sandbox.ts";
import { executeSearching, setLimits } from "./target.ts";

export interface ContainerInitPlan {
  arch: Arch;
  command: string[];
  env: string[];
  path: string[];
  /** Limits of each of the kernel's processes: setrlimit(2). */
  rlimits: Rlimit[];
  /** Seconds until everything ends. */
  wallSeconds?: number;
  /** The launcher's socket. */
  door: string;
  /** Start the kernel when the launcher says {@link GO}. */
  waits: boolean;
  /** Directory of the sockets, on a file system of the container's own, and what is made there. */
  directory: string;
  files: { path: string; content: string }[];
  /** Ports of the kernel, and where each is reached from outside. */
  ports: { path: string; port: number }[];
}

/** Connections at once that a relay inside carries; each is a process here, and so is the relay. */
export const MOST_INSIDE = 64;
const BACKLOG = 128;
/**
 * The first byte from the launcher where it is waited for: it takes output now, and the kernel may begin. Podman may drop
 * what comes before; to wait for it elsewhere would cost the time that the engine takes to answer that it has started.
 */
export const GO = 0;
/** Size of a struct rusage, and of what of it tells times and memory (ru_utime, ru_stime, ru_maxrss): getrusage(2). */
const RUSAGE_SIZE = 144, USAGE_BYTES = 40, RUSAGE_CHILDREN = -1;
/** What the launcher is told at the end: a word of {@link ENDED}, then those first bytes of a struct rusage. */
export const TOLD_BYTES = 8 + USAGE_BYTES;
/** What has ended the kernel. Not every engine tells of memory. */
export const ENDED = { byItself: 0, memory: 1, timeout: 2 } as const;

/** Where a container sees how often its group's memory ran out, with cgroup v2 and v1. */
const MEMORY_FILES = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

export function containerInit(plan: ContainerInitPlan): Program {
  const p = new Program(plan.arch, true); // whatever the engine's kernel, and its filter, have
  const all = p.slot(-1n), mask = p.slot(), target = p.slot(), child = p.label("target");
  p.sys("rt_sigprocmask", [SIG_BLOCK, all.address, mask.address, SIGSET]);
  p.sys("prctl", [PR.SET_NAME, "cordon-init"]);
  p.sys("prctl", [PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0]);
  p.sys("prctl", [PR.SET_DUMPABLE, 0, 0, 0, 0]); // the kernel has our user id and would own us
  for (const file of plan.files) write(p, file);
  if (plan.ports.length > 0) relayPorts(p, plan.ports);
  const door = meetLauncher(p, plan);
  fork(p, target, child, { say: "start the kernel" });
  closeRange(p, 1, 2); // readers must see the end when the kernel closes them
  serve(p, { target, door }, plan);

  p.place(child);
  p.sys("setsid", []);
  const none = p.slot();
  p.sys("openat", [AT.FDCWD, "/dev/null", O.RDONLY, 0], { into: none, say: "open /dev/null" });
  p.sys("dup3", [none, 0, 0]);
  closeRange(p, 3, LAST);
  p.sys("rt_sigprocmask", [SIG_SETMASK, mask.address, 0, SIGSET]);
  setLimits(p, plan.rlimits);
  executeSearching(p, plan);
  return p;
}

function write(p: Program, { path, content }: { path: string; content: string }): void {
  const fd = p.slot(), flags = O.WRONLY | O.CREAT | O.EXCL | O.CLOEXEC;
  p.sys("openat", [AT.FDCWD, path, flags, 0o600], { into: fd, say: `make ${path}` });
  p.sys("write", [fd, content, encodeOs(content).length], { say: `write ${path}` });
  p.sys("close", [fd]);
}

/** Hands over the directory. The connection stays. */
function meetLauncher(p: Program, { door, directory, waits }: ContainerInitPlan): Slot {
  const socket = p.slot(), fd = p.slot();
  const address = unixAddress(door);
  p.sys("socket", [AF.UNIX, SOCK.STREAM | SOCK.CLOEXEC, 0], { into: socket, say: "make a socket" });
  p.sys("connect", [socket, p.bytes(address), address.length], { say: "meet the launcher" });
  const flags = O.PATH | O.CLOEXEC | openFlags(p.arch).DIRECTORY;
  p.sys("openat", [AT.FDCWD, directory, flags, 0], { into: fd, say: `open ${directory}` });
  const { message, control } = messageFor(p, 1);
  p.set(control.cell(16), fd);
  p.sys("sendmsg", [socket, message, 0], { say: "hand the directory of sockets out" });
  p.sys("close", [fd]);
  if (waits) waitForLauncher(p);
  return socket;
}

function waitForLauncher(p: Program): void {
  const n = p.slot(), byte = p.buffer(8), gone = p.label(), go = p.label();
  p.sys("read", [0, byte, 1], { into: n, fail: gone });
  p.when([n, "!=", 0], go);
  p.place(gone);
  p.exit(128 + SIG.KILL);
  p.place(go);
}

/** Starts a relay that lives as long as we do. */
function relayPorts(p: Program, ports: ContainerInitPlan["ports"]): void {
  const alive = pipeSlots(p);
  const forwards = ports.map(({ path, port }) => {
    const listenFd = p.slot(), address = unixAddress(path);
    p.sys("socket", [AF.UNIX, SOCK.STREAM | SOCK.CLOEXEC, 0], { into: listenFd, say: "make a socket" });
    p.sys("bind", [listenFd, p.bytes(address), address.length], { say: `make the socket ${path}` });
    p.sys("listen", [listenFd, BACKLOG], { say: `listen on ${path}` });
    return { listenFd, to: { host: "127.0.0.1", port }, absent: "hold" as const };
  });
  pipe(p, alive, "make a pipe to the relay");
  startRelay(p, { forwards, most: MOST_INSIDE }, { alive: alive.read, others: [alive.write] });
  p.sys("close", [alive.read]);
}

function serve(p: Program, { target, door }: { target: Slot; door: Slot }, plan: ContainerInitPlan): void {
  const signals = p.slot(),
    info = p.buffer(128),
    told = p.buffer(8 + RUSAGE_SIZE),
    polled = p.words(0, BigInt(POLL.IN) << 32n, 0xffffffff),
    all = p.slot(-1n);
  const signal = p.slot(), n = p.slot(), group = p.slot(), status = p.slot(), who = p.slot();
  p.sys("signalfd4", [-1, all.address, SIGSET, SFD_CLOEXEC], { into: signals });
  pollWord(p, polled.cell(0), signals);
  if (plan.wallSeconds !== undefined) startClock(p, plan.wallSeconds, polled.cell(16));
  p.sub(group, 0, target);
  p.loop((_, again) => {
    const time = p.label("time"),
      line = p.label("line"),
      children = p.label("children"),
      pass = p.label("pass on");
    p.sys("ppoll", [polled, 3, 0, 0, SIGSET], { fail: again });
    ifPolled(p, polled.plus(16), POLL.IN, time);
    ifPolled(p, polled.plus(8), POLL.IN | POLL.HUP | POLL.ERR, line);
    p.sys("read", [signals, info, 128], { fail: again });
    p.field(signal, info, 32);
    p.when([signal, "==", SIG.CHLD], children);
    p.goto(pass);

    const tell = () => {
      p.sys("getrusage", [RUSAGE_CHILDREN, told.plus(8)], { fail: "ignore" });
      p.sys("write", [door, told, TOLD_BYTES], { fail: "ignore" }); // nobody is left to be told
    };
    p.place(time);
    // Who is waited for counts in what was used.
    p.sys("kill", [-1, SIG.KILL], { fail: "ignore" });
    const reaped = p.label("all reaped");
    p.loop(() => p.sys("wait4", [-1, 0, 0, 0], { fail: reaped }));
    p.place(reaped);
    p.set(told.cell(0), ENDED.timeout);
    tell();
    p.exit(EXIT.timeout);

    p.place(line);
    const byte = p.buffer(8), gone = p.label("launcher is gone");
    p.sys("read", [0, byte, 1], { into: n, fail: gone });
    p.when([n, "==", 0], gone);
    p.field(signal, byte, 8);
    p.place(pass);
    p.sys("kill", [group, signal], { fail: "ignore" }); // ESRCH: it has just ended
    p.goto(again);

    p.place(gone);
    p.exit(128 + SIG.KILL); // pid 1 ends, and with it everything in the container

    p.place(children);
    p.loop((empty, more) => {
      p.sys("wait4", [-1, status.address, W.NOHANG, 0], { into: who, fail: empty });
      p.when([who, "==", 0], empty);
      p.when([who, "!=", target], more);
      p.and(signal, status, 0x7f);
      p.shr(n, status, 8);
      p.and(n, n, 0xff);
      p.if([signal, "!=", 0], () => p.add(n, signal, 128));
      p.if([signal, "==", SIG.KILL], () => {
        const reason = p.slot();
        for (const file of MEMORY_FILES) ifOutOfMemory(p, file, reason);
        p.if([reason, "!=", 0], () => p.set(told.cell(0), ENDED.memory));
      });
      tell();
      p.exit(n);
    });
    p.goto(again);
  });
}

/** A timer descriptor, not SIGALRM: the kernel could send us that. */
function startClock(p: Program, seconds: number, entry: Slot): void {
  const clock = p.slot(), whole = Math.floor(seconds), nano = Math.floor((seconds - whole) * 1e9);
  p.sys("timerfd_create", [CLOCK_MONOTONIC, TFD_CLOEXEC], { into: clock, say: "make a timer" });
  p.sys("timerfd_settime", [clock, 0, p.words(0, 0, whole, nano), 0], { say: "start the timer" });
  pollWord(p, entry, clock);
}
