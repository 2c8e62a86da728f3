/**
 * One connection of the relay: a process between a client outside and a socket inside, which it carries both ways: little
 * by a buffer, much by splice(2) and a pipe. connect(2), shutdown(2).
 */
import {
  E,
  F,
  IPPROTO_TCP,
  O,
  POLL,
  SIGSET,
  SO_KEEPALIVE,
  SO_LINGER,
  SOCK,
  SOL_SOCKET,
  SPLICE,
  TCP_NODELAY,
} from "../../../ffi/constants.ts";
import { ifPolled, type Pipe, pipe, pipeSlots } from "../kit.ts";
import type { Address, Label, Program, Slot } from "../program.ts";
import { ALIVE, connectTo, type Name, type Names } from "./relay_name.ts";

const RETRY_NS = 2_000_000;
/** After the monitor is gone a connection without traffic for this long ends. */
const DRAIN_SECONDS = 1;
/** What fits the buffer. Most messages do, and a pipe for each way costs a short connection a tenth of its time. */
const SMALL = 16384;
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
  const one = p.words(1);
  p.sys("setsockopt", [inside, IPPROTO_TCP, TCP_NODELAY, one, 4], { fail: "ignore" }); // not on a Unix socket
  p.sys("setsockopt", [inside, SOL_SOCKET, SO_KEEPALIVE, one, 4], { fail: "ignore" }); // it may lead outside
  const up = direction(p, client, inside), down = direction(p, inside, client);
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
      // Not to wait in connect(2): one that nobody answers must not outlive the monitor.
      p.sys("socket", [family, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0], { into: inside, fail: reset });
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
  buffer: Address;
  /** Made when what comes has filled the buffer. */
  pipe: Pipe;
  /** What to move at once: {@link SMALL} by the buffer, {@link CHUNK} and then {@link LARGE} by the pipe. */
  chunk: Slot;
  /** Bytes in the buffer or the pipe. */
  held: Slot;
  /** Where they begin, when they are in the buffer. */
  at: Slot;
  /** 1 when the last that came filled the chunk. */
  full: Slot;
  /** 1 when the sender has ended. */
  ended: Slot;
}

function direction(p: Program, from: Slot, to: Slot): Direction {
  return {
    from,
    to,
    buffer: p.buffer(SMALL),
    pipe: pipeSlots(p),
    chunk: p.slot(SMALL),
    held: p.slot(),
    at: p.slot(),
    full: p.slot(),
    ended: p.slot(),
  };
}

interface Shuttle {
  client: Slot;
  inside: Slot;
  up: Direction;
  down: Direction;
  reset: Label;
}

function shuttle(p: Program, { client, inside, up, down, reset }: Shuttle): void {
  // Most clients have spoken already: the first turn does not ask.
  const polled = p.words(BigInt(POLL.IN) << 48n, 0, BigInt(ALIVE)),
    draining = p.slot(),
    patience = p.words(0, 0);
  const n = p.slot();
  const end = p.label("end"), monitorGone = p.label("monitor is gone"), move = p.label("move");
  p.goto(move);
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
    carryReady(p, up, { back: down, polled, other: polled.plus(8), reset });
    carryReady(p, down, { back: up, polled: polled.plus(8), other: polled, reset });
    p.when([down.ended, "==", 0], again);
    p.when([down.held, "!=", 0], again);
    p.when([draining, "!=", 0], end); // nobody is left inside to read
    p.when([up.ended, "==", 0], again);
    p.when([up.held, "==", 0], end);
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

/** Carries in a direction for which the sender, or the receiver while something is held, has been reported. */
function carryReady(
  p: Program,
  d: Direction,
  { back, polled, other, reset }: { back: Direction; polled: Address; other: Address; reset: Label },
): void {
  const reported = p.slot(), quiet = p.label("quiet");
  p.field(reported, polled.plus(6), 16);
  p.if([d.held, "!=", 0], () => p.field(reported, other.plus(6), 16));
  p.when([reported, "==", 0], quiet);
  carryOne(p, d, { back, reset });
  p.place(quiet);
}

/** Takes from one socket and gives to the other, as far as that goes without waiting. */
function carryOne(p: Program, d: Direction, { back, reset }: { back: Direction; reset: Label }): void {
  const n = p.slot(), flags = SPLICE.MOVE | SPLICE.NONBLOCK;
  const failed = p.label("failed"), write = p.label("write"), done = p.label();
  p.when([d.held, "!=", 0], write);
  p.when([d.ended, "!=", 0], done);
  p.if([d.chunk, "==", SMALL], () => {
    p.sys("read", [d.from, d.buffer, SMALL], { into: n, fail: failed });
    p.set(d.at, d.buffer);
  }, () => p.sys("splice", [d.from, 0, d.pipe.write, 0, d.chunk, flags], { into: n, fail: failed }));
  p.set(d.held, n);
  p.set(d.full, 0);
  p.if([n, "==", d.chunk], () => p.set(d.full, 1));
  p.when([n, "!=", 0], write);
  p.set(d.ended, 1);
  const answer = p.label("the other may still answer");
  p.when([back.ended, "==", 0], answer);
  p.when([back.held, "==", 0], done); // both have ended: to close is enough
  p.place(answer);
  p.sys("shutdown", [d.to, 1], { fail: "ignore" }); // SHUT_WR
  p.goto(done);
  p.place(write);
  p.if([d.chunk, "==", SMALL], () => {
    p.sys("write", [d.to, d.at, d.held], { into: n, fail: failed });
    p.add(d.at, d.at, n);
  }, () => p.sys("splice", [d.pipe.read, 0, d.to, 0, d.held, flags], { into: n, fail: failed }));
  p.sub(d.held, d.held, n);
  p.when([d.held, "!=", 0], done);
  p.if([d.full, "!=", 0], () => widen(p, d));
  p.goto(done);
  p.place(failed);
  p.when([p.errno, "!=", E.AGAIN], reset);
  p.place(done);
}

/** What came filled the chunk and nothing of it is held: more may come. A refusal (pipe(7)) costs speed alone. */
function widen(p: Program, d: Direction): void {
  const small = p.label("small"), done = p.label();
  p.when([d.chunk, "==", SMALL], small);
  p.when([d.chunk, "==", LARGE], done);
  p.sys("fcntl", [d.pipe.write, F.SETPIPE_SZ, LARGE], { fail: done });
  p.set(d.chunk, LARGE);
  p.goto(done);
  p.place(small);
  pipe(p, d.pipe, "make a pipe for a connection", { flags: O.NONBLOCK, fail: done });
  p.set(d.chunk, CHUNK);
  p.place(done);
}
