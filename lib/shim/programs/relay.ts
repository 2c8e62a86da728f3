/**
 * The relay: carries TCP connections from outside to a socket inside. An acceptor that stays outside the sandbox's pid
 * namespace enters its user, mount and network namespaces; each connection is a process of its own that splices both
 * ways, so nothing leaks between connections and the kernel keeps the buffers. socket(7), splice(2), setns(2).
 */
import {
  AF,
  E,
  F,
  IPPROTO_TCP,
  O,
  POLL,
  PR,
  SFD_CLOEXEC,
  SIG,
  SIGSET,
  SO_KEEPALIVE,
  SOL_SOCKET,
  TCP_NODELAY,
  W,
} from "../../../ffi/constants.ts";
import { socketAddress } from "../../host/address.ts";
import type { Forward } from "../../spec/spec.ts";
import { closeRange, gather, listDescriptors } from "../descriptors.ts";
import { fork, ifPolled, pipe, pipeSlots } from "../kit.ts";
import type { Address, Argument, Label, Program, Slot } from "../program.ts";
import { dropCapabilities } from "./privileges.ts";
import { lengthen, look, pause } from "./relay_ready.ts";
import { carry } from "./relay_connection.ts";
import { enter, type SandboxLinks } from "./relay_enter.ts";
import { ALIVE, DIRECTORY, unixAddress } from "./relay_name.ts";

/** `Listener`: a descriptor of the caller's, or one that the program gets on its way. */
export interface RelayPlan<Listener extends Argument = number> {
  forwards: (Omit<Forward, "listenFd"> & { listenFd: Listener })[];
  /** Connections at once; more wait in the listener's queue. */
  most: number;
  /** Descriptor of the directory in which the sockets lie; see {@link Names}. Otherwise they are paths. */
  directory?: Slot;
}

/** What the relay shares with the process that starts it. */
export interface RelayLinks {
  /** Read end whose writer is the monitor alone. */
  alive: Slot;
  /** The sandbox to enter; without one the relay stays where it is (a container's sockets are reached by path). */
  sandbox?: SandboxLinks;
}

/** No descriptors, no memory, no process: not in a tight loop. */
const REST_NS = 5_000_000;
/** Descriptors of an acceptor. */
const CHILDREN = DIRECTORY + 1, TOLD = DIRECTORY + 2, TELL = DIRECTORY + 3, LISTENERS = DIRECTORY + 4;

/** Appends the acceptor's operations; it never falls through. */
export function acceptor(p: Program, plan: RelayPlan<Argument>, links: RelayLinks): void {
  const t = p.slot(), one = p.words(1);
  // Inside, /proc shows nothing of us.
  const list = links.sandbox && p.oldKernel ? listDescriptors(p) : undefined;
  if (links.sandbox) enter(p, links.sandbox);
  for (const { listenFd } of plan.forwards) {
    p.sys("fcntl", [listenFd, F.SETFL, O.NONBLOCK]);
    // Connections get these too. A caller that has vanished is noticed as late as the machine has it set: tcp(7).
    p.sys("setsockopt", [listenFd, IPPROTO_TCP, TCP_NODELAY, one, 4], { fail: "ignore" });
    p.sys("setsockopt", [listenFd, SOL_SOCKET, SO_KEEPALIVE, one, 4], { fail: "ignore" });
  }
  const onlyChild = p.slot(1n << BigInt(SIG.CHLD - 1));
  p.sys("signalfd4", [-1, onlyChild.address, SIGSET, SFD_CLOEXEC | O.NONBLOCK], { into: t });
  if (links.sandbox) dropCapabilities(p);
  p.sys("prctl", [PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0]);
  p.sys("prctl", [PR.SET_DUMPABLE, 0, 0, 0, 0]); // a socket of the host's network is not to be stolen from us
  const line = pipeSlots(p);
  pipe(p, line, "make a pipe for the spare", { flags: O.NONBLOCK });
  const kept = [
    links.alive,
    links.alive,
    plan.directory ?? links.alive,
    t,
    line.read,
    line.write,
    ...plan.forwards.map(({ listenFd }) => listenFd),
  ];
  const entered = ALIVE + kept.length;
  gather(p, links.sandbox ? [...kept, links.sandbox.entered.write] : kept, ALIVE, list);
  if (links.sandbox) {
    p.sys("write", [entered, "!", 1], { fail: "ignore" });
    p.sys("close", [entered]);
  }
  accept(p, plan);
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

/**
 * While a target is absent the acceptor itself accepts and forks for each caller. Afterwards a spare waits for the next
 * caller, so that nobody waits for a fork: when it has one it says so and serves, and the acceptor forks another.
 */
function accept(p: Program, plan: RelayPlan<Argument>): void {
  const count = plan.forwards.length;
  const table = targets(p, plan), guarded = plan.directory !== undefined;
  const listeners = p.words(
    ...plan.forwards.map(({ absent }, i) =>
      (absent === "hold" ? 0xffffffffn : BigInt(LISTENERS + i)) | BigInt(POLL.IN) << 32n
    ),
    BigInt(ALIVE),
  );
  const told = p.words(BigInt(ALIVE), ...[CHILDREN, TOLD].map((fd) => BigInt(fd) | BigInt(POLL.IN) << 32n));
  const absent = p.slot(plan.forwards.filter(({ absent }) => absent === "hold").length), between = pause(p);
  const live = p.slot(),
    spare = p.slot(),
    pid = p.slot(),
    client = p.slot(),
    record = p.slot(),
    first = p.slot();
  const gone = p.label("monitor is gone"), waiting = p.label("spare"), connection = p.label("connection");
  const accepted = { table, listeners, count, first, client, record };
  const ended = reaper(p, { live, spare });
  p.load(pid, connection); // brings in what each of them would otherwise have to

  p.loop((_, again) => {
    const all = p.label("all are there"), full = p.label("full"), drop = p.label("no process");
    p.when([absent, "==", 0], all);
    look(p, { table, listeners, count, first: LISTENERS, absent, guarded });
    lengthen(p, between);
    ended.call();
    p.when([live, ">=", plan.most], full); // further callers stay in the listener's queue
    p.sys("ppoll", [listeners, count + 1, between.patience, 0, SIGSET], { fail: again });
    ifPolled(p, listeners.plus(8 * count), POLL.HUP | POLL.ERR, gone);
    acceptReady(p, accepted, again);
    p.sys("clone", [SIG.CHLD, 0, 0, 0, 0], { into: pid, fail: drop });
    p.when([pid, "==", 0], connection);
    p.add(live, live, 1);
    p.sys("close", [client]);
    p.goto(again);
    p.place(drop);
    p.sys("close", [client]); // no process to be had: this caller is turned away
    p.place(full);
    rest(p);
    p.goto(again);

    p.place(all);
    const enough = p.label("enough"),
      none = p.label("no spare"),
      news = p.label("news"),
      soon = p.words(0, 0);
    p.when([spare, "!=", 0], enough);
    p.when([live, ">=", plan.most], enough);
    p.sys("clone", [SIG.CHLD, 0, 0, 0, 0], { into: spare, fail: none });
    p.when([spare, "==", 0], waiting);
    p.add(live, live, 1);
    p.add(first, first, 1); // the ports take turns to be looked at first
    p.if([first, "==", count], () => p.set(first, 0));
    p.goto(enough);
    p.place(none);
    p.set(spare, 0);
    p.set(soon.cell(8), REST_NS); // ppoll leaves there what was left of it
    p.sys("ppoll", [told, 3, soon, 0, SIGSET], { fail: again });
    p.goto(news);
    p.place(enough);
    p.sys("ppoll", [told, 3, 0, 0, SIGSET], { fail: again });
    p.place(news);
    ifPolled(p, told, POLL.HUP | POLL.ERR, gone);
    ended.call();
  });
  p.place(gone);
  p.exit(0); // the listeners go at once; connections drain by themselves

  p.place(waiting);
  p.loop((_, again) => {
    p.sys("ppoll", [listeners, count + 1, 0, 0, SIGSET], { fail: again });
    ifPolled(p, listeners.plus(8 * count), POLL.HUP | POLL.ERR, gone);
    acceptReady(p, accepted, again);
    p.sys("write", [TELL, "!", 1], { fail: "ignore" });
    p.goto(connection);
  });
  p.place(connection);
  closeRange(p, CHILDREN, LISTENERS + count - 1);
  carry(p, { client, record, guarded });
  ended.define();
}

interface Reaping {
  /** Children: connections and the spare. */
  live: Slot;
  /** Its pid; 0 when there is none. */
  spare: Slot;
}

/** A subroutine that counts off children that have ended, and the spare once it has somebody to serve. */
function reaper(p: Program, { live, spare }: Reaping): { define(): void; call(): void } {
  const back = p.slot(), pid = p.slot(), info = p.buffer(128), entry = p.label("children");
  return {
    define() {
      const busy = p.label(), done = p.label();
      p.place(entry);
      // Before its end is looked for: whatever is in the pipe was said by the one spare there is.
      p.sys("read", [TOLD, info, 8], { fail: busy });
      p.set(spare, 0);
      p.place(busy);
      p.sys("read", [CHILDREN, info, 128], { fail: done });
      p.loop((_, more) => {
        p.when([live, "==", 0], done);
        p.sys("wait4", [-1, 0, W.NOHANG, 0], { into: pid, fail: done });
        p.when([pid, "==", 0], done);
        p.sub(live, live, 1);
        p.if([pid, "==", spare], () => {
          p.set(spare, 0);
          p.sys("read", [TOLD, info, 8], { fail: more });
        });
        p.goto(more);
      });
      p.place(done);
      p.goto(back);
    },
    call() {
      const here = p.label("return");
      p.set(back, here);
      p.goto(entry);
      p.place(here);
    },
  };
}

interface Accepting {
  table: Address;
  /** struct pollfd of each listener. */
  listeners: Address;
  count: number;
  /** The listener to look at first. */
  first: Slot;
  /** The connection, and the record of its target. */
  client: Slot;
  record: Slot;
}

/** Accepts from a listener that is reported, and goes on; when there is none after all, to `none`. */
function acceptReady(p: Program, a: Accepting, none: Label): void {
  const left = p.slot(), i = p.slot(), at = p.slot(), events = p.slot();
  const found = p.label("found"), failed = p.label("failed"), accepted = p.label();
  p.set(left, a.count);
  p.set(i, a.first);
  p.loop((_, again) => {
    p.when([left, "==", 0], none);
    p.shl(at, i, 3);
    p.add(at, at, a.listeners);
    p.load(events, at);
    p.shr(events, events, 48);
    p.when([events, "!=", 0], found);
    p.sub(left, left, 1);
    p.add(i, i, 1);
    p.when([i, "!=", a.count], again);
    p.set(i, 0);
  });
  p.place(found);
  p.shl(a.record, i, 6); // 64 bytes each
  p.add(a.record, a.record, a.table);
  p.add(at, i, LISTENERS);
  p.sys("accept4", [at, 0, 0, O.CLOEXEC | O.NONBLOCK], { into: a.client, fail: failed });
  p.goto(accepted);
  p.place(failed);
  p.when([p.errno, "==", E.AGAIN], none);
  rest(p);
  p.goto(none);
  p.place(accepted);
}

function rest(p: Program): void {
  p.sys("nanosleep", [p.words(0, REST_NS), 0], { fail: "ignore" });
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
    for (const fd of [go.read, go.write, entered.read, entered.write]) p.sys("close", [fd]);
    if (!p.oldKernel) p.sys("close", [init]);
  }
  for (const { listenFd } of plan.forwards) p.sys("close", [listenFd]);
  if (plan.directory) p.sys("close", [plan.directory]);
}
