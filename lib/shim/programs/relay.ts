/**
 * The relay: carries TCP connections from outside to a socket inside. An acceptor that stays outside the sandbox's pid
 * namespace enters its user, mount and network namespaces; each connection is a process of its own that splices both
 * ways, so nothing leaks between connections and the kernel keeps the buffers. socket(7), splice(2), setns(2).
 */
import { AF, CLONE, E, F, O, POLL, PR, SFD_CLOEXEC, SIG, SIGSET, W } from "../../../ffi/constants.ts";
import { socketAddress } from "../../host/address.ts";
import type { Forward } from "../../spec/spec.ts";
import { fork, gather, ifPolled, type Pipe } from "../kit.ts";
import type { Address, Argument, Program, Slot } from "../program.ts";
import { dropCapabilities } from "./privileges.ts";
import { lengthen, look, pause } from "./relay_ready.ts";
import { carry } from "./relay_connection.ts";
import { ALIVE, FOUND, type Names, unixAddress } from "./relay_name.ts";

/** `Listener`: a descriptor of the caller's, or one that the program gets on its way. */
export interface RelayPlan<Listener extends Argument = number> extends Partial<Names> {
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
  /** A byte says to init that the relay has entered and serves; its end of file alone, that it could not. */
  entered: Pipe;
  /** pidfd of init. */
  init: Slot;
}

/** Descriptors of an acceptor. */
const CHILDREN = FOUND + 1, LISTENERS = FOUND + 2;

/** Appends the acceptor's operations; it never falls through. */
export function acceptor(p: Program, plan: RelayPlan<Argument>, links: RelayLinks): void {
  const t = p.slot();
  if (links.sandbox) enter(p, links.sandbox);
  for (const { listenFd } of plan.forwards) p.sys("fcntl", [listenFd, F.SETFL, O.NONBLOCK]);
  const onlyChild = p.slot(1n << BigInt(SIG.CHLD - 1));
  p.sys("signalfd4", [-1, onlyChild.address, SIGSET, SFD_CLOEXEC | O.NONBLOCK], { into: t });
  if (links.sandbox) dropCapabilities(p);
  p.sys("prctl", [PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0]);
  p.sys("prctl", [PR.SET_DUMPABLE, 0, 0, 0, 0]); // a socket of the host's network is not to be stolen from us
  const kept = [links.alive, links.alive, t, ...plan.forwards.map(({ listenFd }) => listenFd)];
  const entered = ALIVE + kept.length;
  gather(p, links.sandbox ? [...kept, links.sandbox.entered.write] : kept, ALIVE);
  if (links.sandbox) {
    p.sys("write", [entered, "!", 1], { fail: "ignore" });
    p.sys("close", [entered]);
  }
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

function accept(p: Program, plan: RelayPlan<Argument>): void {
  const count = plan.forwards.length;
  const table = targets(p, plan), guarded = plan.guarded === true;
  const polled = p.words(
    BigInt(ALIVE),
    BigInt(CHILDREN) | BigInt(POLL.IN) << 32n,
    ...plan.forwards.map(({ absent }, i) =>
      (absent === "hold" ? 0xffffffffn : BigInt(LISTENERS + i)) | BigInt(POLL.IN) << 32n
    ),
  );
  const absent = p.slot(plan.forwards.filter(({ absent }) => absent === "hold").length), between = pause(p);
  const live = p.slot(), watched = p.slot(), client = p.slot(), pid = p.slot(), info = p.buffer(128);
  const i = p.slot(), at = p.slot(), entry = p.slot(), record = p.slot(), t = p.slot();
  const connection = p.label("connection"), gone = p.label("monitor is gone");
  p.loop((_, again) => {
    // At the cap only the end of a connection is waited for: further callers stay in the listener's queue.
    p.if([live, "<", plan.most], () => p.set(watched, 2 + count), () => p.set(watched, 2));
    p.if([absent, "==", 0], () => p.sys("ppoll", [polled, watched, 0, 0, SIGSET], { fail: again }), () => {
      look(p, { table, listeners: polled.plus(16), count, first: LISTENERS, absent, guarded });
      lengthen(p, between);
      p.sys("ppoll", [polled, watched, between.patience, 0, SIGSET], { fail: again });
    });
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
  p.sys("close_range", [CHILDREN, LISTENERS + count - 1, 0]);
  carry(p, { client, record, guarded });
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
