/**
 * One connection of the relay: a process between a client outside and a socket inside, which it splices both ways.
 * splice(2), connect(2), shutdown(2).
 */
import {
  AF,
  E,
  F,
  IPPROTO_TCP,
  O,
  POLL,
  SIGSET,
  SO_LINGER,
  SOCK,
  SOL_SOCKET,
  SPLICE,
  TCP_NODELAY,
} from "../../../ffi/constants.ts";
import { ifPolled, type Pipe, pipe, pipeSlots } from "../kit.ts";
import type { Label, Program, Slot } from "../program.ts";
import { ALIVE, connectTo, type Name, type Names } from "./relay_name.ts";

const RETRY_NS = 2_000_000;
/** After the monitor is gone a connection without traffic for this long ends. */
const DRAIN_SECONDS = 1;
/** Capacity of a pipe as it is made, and of one for a connection that has filled it: a larger one saves half the work. */
const CHUNK = 65536, LARGE = 1 << 20;

/** One connection: `client` outside, a new socket inside. */
export function carry(
  p: Program,
  { client, record, guarded }: Names & { client: Slot; record: Slot },
): void {
  const inside = p.slot(), hold = p.slot(), at = p.slot(), reset = p.label("reset");
  const name = (): Name => ({ family: p.slot(), address: p.slot(), length: p.slot() });
  const names = [name(), name()];
  [hold, ...names.flatMap(({ family, address, length }) => [family, address, length])].forEach((slot, i) => {
    p.add(at, record, 8 * i);
    p.load(slot, at);
  });
  connect(p, { inside, names, hold, reset, guarded });
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

interface Connecting extends Names {
  inside: Slot;
  names: Name[];
  hold: Slot;
  reset: Label;
}

function connect(p: Program, { inside, names, hold, reset, guarded }: Connecting): void {
  const connected = p.label("connected"), ready = p.slot();
  const alive = p.words(BigInt(ALIVE)), patience = p.words(0, 0);
  p.loop(() => {
    for (const name of names) {
      const { family, address, length } = name;
      const absent = p.label("absent"), wait = p.label("wait");
      p.sys("socket", [family, SOCK.STREAM | SOCK.CLOEXEC, 0], { into: inside, fail: reset });
      // One that nobody answers must not outlive the monitor. On a Unix socket there is nothing to wait for.
      p.if([family, "!=", AF.UNIX], () => p.sys("fcntl", [inside, F.SETFL, O.NONBLOCK]));
      connectTo(p, inside, { name, guarded, fail: wait });
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
  /** What to move at once: 64 KiB, and more once that much has come at once. */
  chunk: Slot;
  /** Bytes in the pipe. */
  held: Slot;
  /** 1 when the sender has ended. */
  ended: Slot;
}

function direction(p: Program, from: Slot, to: Slot, reset: Label): Direction {
  const ends = pipeSlots(p);
  pipe(p, ends, "make a pipe for a connection", { flags: O.NONBLOCK, fail: reset });
  return { from, to, pipe: ends, chunk: p.slot(CHUNK), held: p.slot(), ended: p.slot() };
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
  p.sys("splice", [d.from, 0, d.pipe.write, 0, d.chunk, flags], { into: n, fail: notRead });
  p.set(d.held, n);
  p.if([n, "==", CHUNK], () =>
    p.if([d.chunk, "==", CHUNK], () => {
      p.set(d.chunk, LARGE);
      // A refusal (this user has many large pipes: pipe(7)) costs speed alone.
      p.sys("fcntl", [d.pipe.write, F.SETPIPE_SZ, LARGE], { fail: "ignore" });
    }));
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
