/**
 * The relay: carries TCP connections from outside to a socket inside. An acceptor that stays outside the sandbox's pid
 * namespace enters its user, mount and network namespaces; each connection is a process of its own that splices both
 * ways, so nothing leaks between connections and the kernel keeps the buffers. socket(7), splice(2), setns(2).
 */
import {
  AF,
  CLONE,
  E,
  F,
  IPPROTO_TCP,
  O,
  POLL,
  PR,
  SFD_CLOEXEC,
  SIG,
  SIGSET,
  SO_LINGER,
  SOCK,
  SOL_SOCKET,
  SPLICE,
  TCP_NODELAY,
  W,
} from "../../../ffi/constants.ts";
import { socketAddress } from "../../host/address.ts";
import { encodeOs } from "../../host/bytes.ts";
import type { Forward } from "../../spec/spec.ts";
import { fork, ifPolled, type Pipe, pipe, pipeSlots } from "../kit.ts";
import type { Address, Argument, Label, Program, Slot } from "../program.ts";
import { dropCapabilities } from "./privileges.ts";

/** `Listener`: a descriptor of the caller's, or one that the program gets on its way. */
export interface RelayPlan<Listener extends Argument = number> {
  forwards: (Omit<Forward, "listenFd"> & { listenFd: Listener })[];
  /** Connections at once; more wait in the listener's queue. */
  most: number;
}

/** What the relay shares with the process that starts it. */
export interface RelayLinks {
  /** Read end whose writer is the monitor alone. */
  alive: Slot;
  /** The sandbox to enter; without one the relay stays where it is (a container's sockets are reached by path). */
  sandbox?: SandboxLinks;
}

/** What the relay shares with init. */
export interface SandboxLinks {
  /** Its end of file says that the root stands and the namespaces can be entered. */
  go: Pipe;
  /** Its end of file says to init that all relays have entered. */
  entered: Pipe;
  /** pidfd of init. */
  init: Slot;
}

/** Fixed descriptors of an acceptor, out of the way of what it opens. */
const ALIVE = 100, CHILDREN = 101, LISTENERS = 102;
const LAST = 0xffffffff;
const RETRY_NS = 2_000_000;
/** After the monitor is gone a connection without traffic for this long ends. */
const DRAIN_SECONDS = 1;
/** What one splice moves at most: the default capacity of a pipe. */
const CHUNK = 65536;

/** Appends the acceptor's operations; it never falls through. */
export function acceptor(p: Program, plan: RelayPlan<Argument>, links: RelayLinks): void {
  const t = p.slot();
  if (links.sandbox) enter(p, links.sandbox);
  p.sys("dup3", [links.alive, ALIVE, O.CLOEXEC], { say: "keep the monitor's pipe" });
  plan.forwards.forEach(({ listenFd }, i) => {
    p.sys("dup3", [listenFd, LISTENERS + i, O.CLOEXEC], { say: "keep a listener" });
    p.sys("fcntl", [LISTENERS + i, F.SETFL, O.NONBLOCK]);
  });
  const onlyChild = p.slot(1n << BigInt(SIG.CHLD - 1));
  p.sys("signalfd4", [-1, onlyChild.address, SIGSET, SFD_CLOEXEC | O.NONBLOCK], { into: t });
  p.sys("dup3", [t, CHILDREN, O.CLOEXEC], { say: "keep a signal descriptor" });
  if (links.sandbox) dropCapabilities(p);
  p.sys("prctl", [PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0]);
  p.sys("prctl", [PR.SET_DUMPABLE, 0, 0, 0, 0]); // a socket of the host's network is not to be stolen from us
  p.sys("close_range", [0, ALIVE - 1, 0]); // `entered` among them: init may go on
  p.sys("close_range", [LISTENERS + plan.forwards.length, LAST, 0]);
  accept(p, plan);
}

/** Waits for the assembled root and enters the sandbox. */
function enter(p: Program, { go, entered, init }: SandboxLinks): void {
  const byte = p.buffer(8), failed = p.label(), inside = p.label();
  p.sys("close", [go.write]);
  p.sys("close", [entered.read]);
  p.sys("read", [go.read, byte, 1], { fail: "ignore" }); // returns at its end of file
  const namespaces = CLONE.NEWUSER | CLONE.NEWNS | CLONE.NEWNET;
  p.sys("setns", [init, namespaces], { fail: failed, say: "enter the sandbox's namespaces" });
  p.goto(inside);
  p.place(failed);
  p.when([p.errno, "!=", E.SRCH], p.abort);
  p.exit(0); // init could not assemble the sandbox, and has said why
  p.place(inside);
}

/** One record of 64 bytes for each listener: whether to hold, then twice family, address and its length. */
function targets(p: Program, plan: RelayPlan<Argument>): Address {
  return p.words(...plan.forwards.flatMap(({ to, absent }) => {
    const name = (text: string): [number, Uint8Array] =>
      "unix" in to ? [AF.UNIX, unixAddress(text)] : socketAddress(text, to.port);
    const first = "unix" in to ? to.unix : to.host;
    const where = [first, to.or ?? first].map(name).flatMap((
      [family, address],
    ) => [family, p.bytes(address), address.length]);
    return [absent === "hold" ? 1 : 0, ...where, 0];
  }));
}

/** struct sockaddr_un, unix(7). */
function unixAddress(path: string): Uint8Array {
  const name = encodeOs(path);
  const address = new Uint8Array(2 + name.length + 1);
  address[0] = AF.UNIX;
  address.set(name, 2);
  return address;
}

function accept(p: Program, plan: RelayPlan<Argument>): void {
  const count = plan.forwards.length;
  const table = targets(p, plan);
  const polled = p.words(
    BigInt(ALIVE),
    BigInt(CHILDREN) | BigInt(POLL.IN) << 32n,
    ...plan.forwards.map((_, i) => BigInt(LISTENERS + i) | BigInt(POLL.IN) << 32n),
  );
  const live = p.slot(), watched = p.slot(), client = p.slot(), pid = p.slot(), info = p.buffer(128);
  const i = p.slot(), at = p.slot(), entry = p.slot(), record = p.slot(), t = p.slot();
  const connection = p.label("connection"), gone = p.label("monitor is gone");
  p.loop((_, again) => {
    // At the cap only the end of a connection is waited for: further callers stay in the listener's queue.
    p.if([live, "<", plan.most], () => p.set(watched, 2 + count), () => p.set(watched, 2));
    p.sys("ppoll", [polled, watched, 0, 0, SIGSET], { fail: again });
    ifPolled(p, polled, POLL.HUP | POLL.ERR, gone);
    p.sys("read", [CHILDREN, info, 128], { fail: "ignore" });
    p.loop((none, more) => {
      p.sys("wait4", [-1, 0, W.NOHANG, 0], { into: pid, fail: none });
      p.when([pid, "==", 0], none);
      p.sub(live, live, 1);
      p.goto(more);
    });
    p.when([watched, "==", 2], again);
    p.set(i, 0);
    p.loop((done, next) => {
      const skip = p.label(), full = p.label("full"), drop = p.label("no process"), rest = p.label("rest");
      p.when([i, ">=", count], done);
      p.shl(at, i, 3);
      p.add(at, at, polled.plus(16));
      p.load(entry, at);
      p.shr(entry, entry, 48);
      p.when([entry, "==", 0], skip);
      p.add(t, i, LISTENERS);
      p.sys("accept4", [t, 0, 0, O.CLOEXEC | O.NONBLOCK], { into: client, fail: full });
      p.shl(record, i, 6); // 64 bytes each
      p.add(record, record, table);
      p.sys("clone", [SIG.CHLD, 0, 0, 0, 0], { into: pid, fail: drop });
      p.when([pid, "==", 0], connection);
      p.add(live, live, 1);
      p.sys("close", [client]);
      p.goto(skip);
      p.place(drop);
      p.sys("close", [client]); // no process to be had: this caller is turned away
      p.goto(rest);
      p.place(full);
      p.when([p.errno, "==", E.AGAIN], skip);
      p.place(rest);
      p.sys("nanosleep", [p.words(0, 5_000_000), 0], { fail: "ignore" }); // no descriptors, no memory: not in a tight loop
      p.place(skip);
      p.add(i, i, 1);
      p.goto(next);
    });
  });
  p.place(gone);
  p.exit(0); // the listeners go at once; connections drain by themselves
  p.place(connection);
  p.sys("close_range", [CHILDREN, LISTENERS + count, 0]);
  carry(p, { client, record });
}

/** One connection: `client` outside, a new socket inside. */
function carry(p: Program, { client, record }: { client: Slot; record: Slot }): void {
  const inside = p.slot(), hold = p.slot(), at = p.slot(), reset = p.label("reset");
  const name = (): Name => ({ family: p.slot(), address: p.slot(), length: p.slot() });
  const names = [name(), name()];
  [hold, ...names.flatMap(({ family, address, length }) => [family, address, length])].forEach((slot, i) => {
    p.add(at, record, 8 * i);
    p.load(slot, at);
  });
  connect(p, { inside, names, hold, reset });
  p.sys("fcntl", [inside, F.SETFL, O.NONBLOCK]);
  const one = p.words(1);
  p.sys("setsockopt", [client, IPPROTO_TCP, TCP_NODELAY, one, 4], { fail: "ignore" });
  p.sys("setsockopt", [inside, IPPROTO_TCP, TCP_NODELAY, one, 4], { fail: "ignore" }); // not on a Unix socket
  const up = direction(p, client, inside, reset), down = direction(p, inside, client, reset);
  shuttle(p, { client, inside, up, down, reset });

  // A connection that broke on one side breaks on the other: close with linger 0 sends RST.
  p.place(reset);
  const linger = p.words(1n);
  for (const socket of [client, inside]) {
    p.sys("setsockopt", [socket, SOL_SOCKET, SO_LINGER, linger, 8], { fail: "ignore" });
  }
  p.exit(0);
}

interface Name {
  family: Slot;
  address: Slot;
  length: Slot;
}

interface Connecting {
  inside: Slot;
  names: Name[];
  hold: Slot;
  reset: Label;
}

function connect(p: Program, { inside, names, hold, reset }: Connecting): void {
  const connected = p.label("connected"), ready = p.slot();
  const alive = p.words(BigInt(ALIVE)), patience = p.words(0, 0);
  p.loop(() => {
    for (const { family, address, length } of names) {
      const absent = p.label("absent"), wait = p.label("wait");
      p.sys("socket", [family, SOCK.STREAM | SOCK.CLOEXEC, 0], { into: inside, fail: reset });
      // One that nobody answers must not outlive the monitor. On a Unix socket there is nothing to wait for.
      p.if([family, "!=", AF.UNIX], () => p.sys("fcntl", [inside, F.SETFL, O.NONBLOCK]));
      p.sys("connect", [inside, address, length], { fail: wait });
      p.goto(connected);
      p.place(wait);
      p.when([p.errno, "!=", E.INPROGRESS], absent);
      waitConnected(p, inside, reset);
      p.sys("connect", [inside, address, length], { fail: absent }); // tells how it went
      p.goto(connected);
      p.place(absent);
      p.sys("close", [inside]);
    }
    p.when([hold, "==", 0], reset);
    p.set(patience.cell(8), RETRY_NS); // ppoll leaves there what was left of it
    p.sys("ppoll", [alive, 1, patience, 0, SIGSET], { into: ready, fail: reset });
    p.when([ready, "!=", 0], reset);
  });
  p.place(connected);
}

/** Until the socket is connected or has failed; the end of the monitor resets it. */
function waitConnected(p: Program, socket: Slot, reset: Label): void {
  const polled = p.words(0, BigInt(ALIVE));
  p.add(polled.cell(0), socket, BigInt(POLL.OUT) << 32n);
  p.sys("ppoll", [polled, 2, 0, 0, SIGSET], { fail: reset });
  ifPolled(p, polled.plus(8), POLL.HUP | POLL.ERR, reset);
}

interface Direction {
  from: Slot;
  to: Slot;
  pipe: Pipe;
  /** Bytes in the pipe. */
  held: Slot;
  /** 1 when the sender has ended. */
  ended: Slot;
}

function direction(p: Program, from: Slot, to: Slot, reset: Label): Direction {
  const ends = pipeSlots(p);
  pipe(p, ends, "make a pipe for a connection", { flags: O.NONBLOCK, fail: reset });
  return { from, to, pipe: ends, held: p.slot(), ended: p.slot() };
}

interface Shuttle {
  client: Slot;
  inside: Slot;
  up: Direction;
  down: Direction;
  reset: Label;
}

function shuttle(p: Program, { client, inside, up, down, reset }: Shuttle): void {
  const polled = p.words(0, 0, BigInt(ALIVE)), draining = p.slot(), patience = p.words(0, 0);
  const n = p.slot(), both = p.slot();
  const end = p.label("end"), monitorGone = p.label("monitor is gone"), move = p.label("move");
  p.loop((_, again) => {
    want(p, polled.cell(0), client, { read: up, write: down });
    want(p, polled.cell(8), inside, { read: down, write: up });
    p.if([draining, "==", 0], () => p.sys("ppoll", [polled, 3, 0, 0, SIGSET], { fail: again }), () => {
      p.set(patience.cell(0), DRAIN_SECONDS); // ppoll leaves there what was left of it
      p.set(patience.cell(8), 0);
      p.sys("ppoll", [polled, 2, patience, 0, SIGSET], { into: n, fail: again });
      p.when([n, "==", 0], end);
    });
    p.when([draining, "!=", 0], move);
    ifPolled(p, polled.plus(16), POLL.HUP | POLL.ERR, monitorGone);
    p.goto(move);
    p.place(monitorGone);
    p.set(draining, 1); // what is on its way still arrives
    p.place(move);
    carryOne(p, up, reset);
    carryOne(p, down, reset);
    p.when([down.ended, "==", 0], again);
    p.when([down.held, "!=", 0], again);
    p.when([draining, "!=", 0], end); // nobody is left inside to read
    p.add(both, up.ended, up.held);
    p.when([both, "==", 1], end);
  });
  p.place(end);
  p.exit(0);
}

/**
 * What to wait for on a socket: input when the pipe from it is empty, room when the pipe to it is not. A descriptor with
 * nothing to wait for is -1, or its hang-up would be reported for ever.
 */
function want(
  p: Program,
  entry: Slot,
  socket: Slot,
  { read, write }: { read: Direction; write: Direction },
): void {
  const events = p.slot();
  p.set(events, 0);
  p.if(
    [read.held, "==", 0],
    () => p.if([read.ended, "==", 0], () => p.add(events, events, BigInt(POLL.IN) << 32n)),
  );
  p.if([write.held, "!=", 0], () => p.add(events, events, BigInt(POLL.OUT) << 32n));
  p.if([events, "==", 0], () => p.set(entry, 0xffffffff), () => p.add(entry, events, socket));
}

/** Fills the pipe from one socket and empties it into the other, as far as that goes without waiting. */
function carryOne(p: Program, d: Direction, reset: Label): void {
  const n = p.slot(), flags = SPLICE.MOVE | SPLICE.NONBLOCK;
  const notRead = p.label(), read = p.label(), notWritten = p.label(), done = p.label();
  p.when([d.held, "!=", 0], read);
  p.when([d.ended, "!=", 0], done);
  p.sys("splice", [d.from, 0, d.pipe.write, 0, CHUNK, flags], { into: n, fail: notRead });
  p.set(d.held, n);
  p.when([n, "!=", 0], read);
  p.set(d.ended, 1);
  p.sys("shutdown", [d.to, 1], { fail: "ignore" }); // SHUT_WR: the other side may still answer
  p.goto(done);
  p.place(notRead);
  p.when([p.errno, "!=", E.AGAIN], reset);
  p.goto(done);
  p.place(read);
  p.sys("splice", [d.pipe.read, 0, d.to, 0, d.held, flags], { into: n, fail: notWritten });
  p.sub(d.held, d.held, n);
  p.goto(done);
  p.place(notWritten);
  p.when([p.errno, "!=", E.AGAIN], reset);
  p.place(done);
}

/** Appends the monitor's part: forks the acceptor once init exists, and keeps none of its descriptors. */
export function startRelay(
  p: Program,
  plan: RelayPlan<Argument>,
  links: RelayLinks & { others: Slot[] },
): void {
  const pid = p.slot(), child = p.label("acceptor"), parent = p.label();
  fork(p, pid, child, { say: "start the relay" });
  p.goto(parent);
  p.place(child);
  for (const fd of links.others) p.sys("close", [fd]);
  acceptor(p, plan, links);
  p.place(parent);
  if (links.sandbox) {
    const { go, entered, init } = links.sandbox;
    for (const fd of [go.read, go.write, entered.read, entered.write, init]) p.sys("close", [fd]);
  }
  for (const { listenFd } of plan.forwards) p.sys("close", [listenFd]);
}
