/**
 * The way out of a closed network. For each destination that is allowed init makes a listener inside, under the
 * destination's own address, and hands it to the monitor (SCM_RIGHTS, unix(7)); an acceptor outside serves it. That is the
 * relay turned round. A user-mode network stack is a program of its own: a keeper starts it and ends it with the monitor.
 */
import {
  AF,
  MSG_CMSG_CLOEXEC,
  NETLINK,
  O,
  POLL,
  PR,
  SFD_CLOEXEC,
  SIG,
  SIG_SETMASK,
  SIGSET,
  SO_REUSEADDR,
  SOCK,
  SOL_SOCKET,
} from "../../../ffi/constants.ts";
import { socketAddress } from "../../host/address.ts";
import { closeRange, gather } from "../descriptors.ts";
import { decimalRoutine, fork, ifPolled, refuse } from "../kit.ts";
import type { Program, Slot } from "../program.ts";
import { messageFor } from "./rights.ts";
import { startRelay } from "./relay.ts";
import type { Shared } from "./sandbox.ts";

export interface OutboundPlan {
  /** Bytes of addresses that become the sandbox's own, on lo. */
  aliases: Uint8Array[];
  /** Where to listen inside; connections go to the same address and port outside. */
  listeners: { address: string; port: number }[];
  helper?: HelperPlan;
}

/** A program that gives the network of a process an uplink. */
export interface HelperPlan {
  name: string;
  /** Path and arguments; the process id follows, then `after`. */
  argv: string[];
  after: string[];
  /** Arguments that go before the process id where its resolver is used. */
  resolverArgs: string[];
  /** The address inside at which it resolves names. */
  resolver: string;
}

const BACKLOG = 1024, MOST_CONNECTIONS = 1024;
/** Descriptors of the keeper; a third, its end of the socket to init, tells by its end that there is no uplink. */
const ALIVE = 3, CHILDREN = 4;
/** How long the uplink may take to stand. */
const PATIENCE_MS = 10_000, STEP_MS = 5;

// ------------------------------------------------------------------------------------------------------ monitor

/** Before init is born: the socket between the two. */
export function linkNetwork({ p, plan, network, monitorOnly }: Shared): void {
  if (!plan.outbound) return;
  const pair = p.buffer(8);
  p.sys("socketpair", [AF.UNIX, SOCK.SEQPACKET | SOCK.CLOEXEC, 0, pair], { say: "make a socket to init" });
  p.field(network.read, pair, 32);
  p.field(network.write, pair.plus(4), 32);
  monitorOnly.push(network.read);
}

/** After init is born. `others` are descriptors that the children must not keep. */
export function serveOutbound(
  s: Shared,
  { initPid, alive, others }: { initPid: Slot; alive: Slot; others: Slot[] },
): void {
  const { p, plan, network } = s;
  if (!plan.outbound) return;
  const { listeners, helper } = plan.outbound;
  p.sys("close", [network.write]);
  if (helper) startKeeper(s, helper, { initPid, alive, others });
  if (listeners.length > 0) {
    const none = p.label("init has ended"), n = p.slot();
    const fds = listeners.map(() => p.slot());
    const { message, control } = messageFor(p, fds.length);
    // Returns at once: to take these comes first of all that init does.
    p.sys("recvmsg", [network.read, message, MSG_CMSG_CLOEXEC], {
      into: n,
      say: "take the listeners inside",
    });
    p.when([n, "==", 0], none);
    fds.forEach((fd, i) => p.field(fd, control.plus(16 + 4 * i), 32));
    const forwards = listeners.map(({ address, port }, i) => ({
      listenFd: fds[i]!,
      to: { host: address, port },
      absent: "reset" as const,
    }));
    startRelay(p, { forwards, most: MOST_CONNECTIONS }, { alive, others: [...others, network.read] });
    p.place(none);
  }
  p.sys("close", [network.read]);
}

/** The keeper: outside the caller's process group, where the terminal's signals do not end the uplink before the target. */
function startKeeper(
  s: Shared,
  helper: HelperPlan,
  { initPid, alive, others }: { initPid: Slot; alive: Slot; others: Slot[] },
): void {
  const { p, network, callerMask } = s;
  const keeper = p.slot(), pid = p.slot(), t = p.slot();
  const child = p.label("keeper"), parent = p.label(), stack = p.label(helper.name), end = p.label("end");
  fork(p, keeper, child, { say: `start the keeper of ${helper.name}` });
  p.goto(parent);
  p.place(child);
  for (const fd of others) p.sys("close", [fd], { fail: "ignore" });
  p.sys("setsid", []);
  p.sys("prctl", [PR.SET_NAME, "cordon-keeper"]);
  const onlyChild = p.slot(1n << BigInt(SIG.CHLD - 1));
  p.sys("signalfd4", [-1, onlyChild.address, SIGSET, SFD_CLOEXEC], { into: t });
  gather(p, [alive, t, network.read], ALIVE);
  const digits = p.buffer(24), decimal = decimalRoutine(p);
  decimal.call(initPid, digits);
  fork(p, pid, stack, { say: `start ${helper.name}` });
  closeRange(p, 0, 2);
  const polled = p.words(BigInt(ALIVE), BigInt(CHILDREN) | BigInt(POLL.IN) << 32n);
  p.loop((leave, again) => {
    p.sys("ppoll", [polled, 2, 0, 0, SIGSET], { fail: again });
    ifPolled(p, polled, POLL.HUP | POLL.ERR, leave);
    ifPolled(p, polled.plus(8), POLL.IN, end);
  });
  p.sys("kill", [pid, SIG.KILL], { fail: "ignore" });
  p.sys("wait4", [pid, 0, 0, 0], { fail: "ignore" });
  p.place(end);
  p.exit(0);
  decimal.define();

  p.place(stack);
  quiet(p, s.plan.verbose);
  p.sys("rt_sigprocmask", [SIG_SETMASK, callerMask.address, 0, SIGSET]);
  p.sys("rt_sigaction", [SIG.PIPE, p.buffer(32), 0, SIGSET]); // ignored, as we have it, pasta takes it for an error
  const argv = p.words(...helper.argv, digits, ...helper.after, 0);
  p.sys("execve", [helper.argv[0]!, argv, p.vector(["PATH=/usr/bin:/bin:/usr/sbin:/sbin"])], {
    fail: "ignore",
  });
  p.exit(1);
  p.place(parent);
}

/** These programs talk on stderr; the target's stderr is not theirs. */
function quiet(p: Program, verbose: boolean): void {
  const fd = p.slot();
  p.sys("openat", [-100, "/dev/null", O.RDWR, 0], { into: fd });
  for (const place of verbose ? [0, 1] : [0, 1, 2]) p.sys("dup3", [fd, place, 0], { fail: "ignore" });
}

// ------------------------------------------------------------------------------------------------------ init

/** With init's first privileges: addresses, listeners (ports below 1024 too), and their way out. */
export function offerListeners({ p, plan, network }: Shared): void {
  if (!plan.outbound) return;
  const { aliases, listeners } = plan.outbound;
  if (aliases.length > 0) addAddresses(p, aliases);
  if (listeners.length === 0) return;
  const one = p.words(1), fds = listeners.map(() => p.slot());
  listeners.forEach(({ address, port }, i) => {
    const [family, bytes] = socketAddress(address, port);
    const fd = fds[i]!, say = `listen inside on ${address} port ${port}`;
    p.sys("socket", [family, SOCK.STREAM | SOCK.CLOEXEC, 0], { into: fd, say });
    p.sys("setsockopt", [fd, SOL_SOCKET, SO_REUSEADDR, one, 4], { say });
    p.sys("bind", [fd, p.bytes(bytes), bytes.length], { say });
    p.sys("listen", [fd, BACKLOG], { say });
  });
  const { message, control } = messageFor(p, fds.length);
  fds.forEach((fd, i) => {
    const cell = control.cell(16 + 4 * (i & ~1)), high = p.slot();
    if (i % 2 === 0) p.set(cell, fd);
    else {
      p.shl(high, fd, 32);
      p.add(cell, cell, high);
    }
  });
  p.sys("sendmsg", [network.write, message, 0], { say: "hand the listeners out" });
  for (const fd of fds) p.sys("close", [fd]);
}

/** Until the uplink has a route; sends nothing. */
export function awaitUplink({ p, plan, network }: Shared): void {
  if (!plan.outbound) return;
  const { helper } = plan.outbound;
  if (helper) {
    const standing = p.label("uplink stands"), gone = p.label("no uplink"), late = p.label("late");
    const fd = p.slot(), turns = p.slot(), polled = p.words(0), patience = p.words(0, 0);
    const probes = ["198.51.100.1", "2001:db8::1"].map((address) => socketAddress(address, 9)); // RFC 5737, RFC 3849
    p.add(polled.cell(0), network.write, 0);
    p.set(turns, 0);
    p.loop((_, again) => {
      for (const [family, bytes] of probes) {
        const next = p.label(), close = p.label();
        p.sys("socket", [family, SOCK.DGRAM | SOCK.CLOEXEC, 0], { into: fd, fail: next });
        p.sys("connect", [fd, p.bytes(bytes), bytes.length], { fail: close });
        p.sys("close", [fd]);
        p.goto(standing);
        p.place(close);
        p.sys("close", [fd]);
        p.place(next);
      }
      p.set(patience.cell(0), 0);
      p.set(patience.cell(8), STEP_MS * 1_000_000);
      p.sys("ppoll", [polled, 1, patience, 0, SIGSET], { fail: again });
      ifPolled(p, polled, POLL.HUP | POLL.ERR, gone);
      p.add(turns, turns, 1);
      p.when([turns, ">=", PATIENCE_MS / STEP_MS], late);
    });
    p.place(gone);
    refuse(p, `${helper.name} ended and there is no network (--verbose shows what it says)`);
    p.place(late);
    refuse(p, `${helper.name} has not set up the network within ${PATIENCE_MS / 1000} s`);
    p.place(standing);
  }
  p.sys("close", [network.write]);
}

/** Puts addresses on lo: one RTM_NEWADDR each, rtnetlink(7). A failure shows when a listener is bound there. */
function addAddresses(p: Program, addresses: Uint8Array[]): void {
  const fd = p.slot();
  p.sys("socket", [AF.NETLINK, SOCK.RAW | SOCK.CLOEXEC, NETLINK.ROUTE], { into: fd, say: "open netlink" });
  for (const address of addresses) {
    const message = newAddress(address);
    p.sys("sendto", [fd, p.bytes(message), message.length, 0, 0, 0], { say: "add an address to lo" });
  }
  p.sys("close", [fd]);
}

/** struct nlmsghdr, struct ifaddrmsg, IFA_LOCAL and IFA_ADDRESS. lo is interface 1 of every namespace. */
function newAddress(address: Uint8Array): Uint8Array {
  const attribute = 4 + address.length, length = 16 + 8 + 2 * attribute;
  const bytes = new Uint8Array(length), view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, NETLINK.RTM_NEWADDR, true);
  view.setUint16(6, NETLINK.REQUEST, true);
  bytes[16] = address.length === 4 ? AF.INET : AF.INET6;
  bytes[17] = 8 * address.length; // the address alone, not its network
  bytes[18] = address.length === 4 ? 0 : NETLINK.IFA_F_NODAD;
  view.setUint32(20, 1, true);
  [NETLINK.IFA_LOCAL, NETLINK.IFA_ADDRESS].forEach((type, i) => {
    const at = 24 + i * attribute;
    view.setUint16(at, attribute, true);
    view.setUint16(at + 2, type, true);
    bytes.set(address, at + 4);
  });
  return bytes;
}
