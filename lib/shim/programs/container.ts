/**
 * The launcher of a kernel in a container, once the container runs: a process of a few pages in the place of the one
 * the client started. Pid 1 inside hands it the directory of the kernel's sockets. It copies the container's output (the
 * engine's frames), passes signals on as bytes to pid 1, and ends by executing cordon again, which asks the engine how it
 * went and removes the container.
 */
import {
  E,
  MSG_CMSG_CLOEXEC,
  POLL,
  PR,
  SFD_CLOEXEC,
  SIG,
  SIG_BLOCK,
  SIG_SETMASK,
  SIGSET,
} from "../../../ffi/constants.ts";
import type { Arch } from "../../../ffi/syscalls.ts";
import { ifPolled, pipe, pipeSlots, pollWord } from "../kit.ts";
import { type Address, type Label, Program, type Slot } from "../program.ts";
import { ifOrphaned, watchParent } from "./monitor.ts";
import { GO } from "./container_init.ts";
import { type RelayPlan, startRelay } from "./relay.ts";
import { messageFor } from "./rights.ts";

export interface ContainerPlan {
  arch: Arch;
  /** See {@link Program}. */
  oldKernel: boolean;
  /** The attached stream: stdin of pid 1 one way, frames of its output the other. */
  streamFd: number;
  /** Bytes of the stream that came with the answer to the attach. */
  early: Uint8Array;
  /** Its sockets are named in the directory that pid 1 hands over. */
  relay: Omit<RelayPlan, "directory">;
  /** Listening socket at which pid 1 does that. */
  doorFd: number;
  /** It waits to be told that output is taken. */
  waitedFor: boolean;
  /** argv of cordon that finishes: status and removal. */
  finish: string[];
  /** The line to the keeper, which must stay open as long as the container lives. */
  keeperFd: number;
  env: string[];
  /** End with this process, our parent. */
  endWithParent: number;
}

const CHUNK = 65536;
const HEADER = 8;
/** PIPE_BUF of pipe(7): a pipe that has room has room for this much. */
const ATOMIC = 4096;
/** Where `finish` finds the line to the keeper, and the connection on which pid 1 tells of the end. */
export const KEEPER_LINE = 90, TOLD = 91;

export function containerProgram(plan: ContainerPlan): Program {
  const p = new Program(plan.arch, plan.oldKernel);
  const all = p.slot(-1n), mask = p.slot(), alive = pipeSlots(p);
  p.sys("rt_sigprocmask", [SIG_BLOCK, all.address, mask.address, SIGSET]);
  p.sys("prctl", [PR.SET_NAME, "cordon-monitor"]);
  p.sys("dup3", [plan.keeperFd, KEEPER_LINE, 0], { say: "keep the line to the keeper" });
  p.sys("close", [plan.keeperFd]);
  const parent = p.slot(0xffffffff); // nothing to poll, where signals tell
  watchParent(p, plan.endWithParent, parent);
  const ended = p.label("ended"), silent = p.label("pid 1 does not come");
  const directory = meet(p, plan, { parent, ended, silent });
  pipe(p, alive, "make a pipe to the relay");
  startRelay(p, { ...plan.relay, directory }, { alive: alive.read, others: [alive.write] });
  p.sys("close", [alive.read]);
  p.place(silent);
  attend(p, plan, { parent, ended });
  p.place(ended);
  p.sys("close", [plan.streamFd], { fail: "ignore" });
  p.sys("close", [plan.doorFd], { fail: "ignore" });
  p.sys("rt_sigprocmask", [SIG_SETMASK, mask.address, 0, SIGSET]);
  p.sys("execve", [plan.finish[0]!, p.vector(plan.finish), p.vector(plan.env)], {
    say: "ask how the container ended",
  });
  return p;
}

interface Meeting {
  /** First word of a struct pollfd of our parent. */
  parent: Slot;
  /** Our parent has ended. */
  ended: Label;
  /** The stream has something to say before pid 1 has come: why it does not. */
  silent: Label;
}

/** Waits for pid 1 and takes the directory it brings. */
function meet(
  p: Program,
  { doorFd, streamFd, waitedFor }: ContainerPlan,
  { parent, ended, silent }: Meeting,
): Slot {
  const polled = p.words(
    BigInt(doorFd) | BigInt(POLL.IN) << 32n,
    BigInt(streamFd) | BigInt(POLL.IN) << 32n,
    0,
  );
  const visitor = p.slot(), n = p.slot(), directory = p.slot(), here = p.label();
  p.set(polled.cell(16), parent);
  p.loop((_, again) => {
    p.sys("ppoll", [polled, 3, 0, 0, SIGSET], { fail: again });
    ifPolled(p, polled, POLL.IN, here);
    ifPolled(p, polled.plus(16), POLL.IN, ended); // closing the stream ends pid 1 inside
    ifPolled(p, polled.plus(8), POLL.IN | POLL.HUP | POLL.ERR, silent);
  });
  p.place(here);
  p.sys("accept4", [doorFd, 0, 0, 0], { into: visitor, say: "meet the container's first process" });
  p.sys("close", [doorFd]); // nobody else is expected
  p.sys("dup3", [visitor, TOLD, 0], { say: "keep the line to the container's first process" });
  p.sys("close", [visitor]);
  const { message, control } = messageFor(p, 1);
  p.sys("recvmsg", [TOLD, message, MSG_CMSG_CLOEXEC], { into: n, say: "take the directory of sockets" });
  p.when([n, "==", 0], silent);
  p.field(directory, control.plus(16), 32);
  if (waitedFor) p.sys("write", [streamFd, p.bytes(Uint8Array.of(GO)), 1], { fail: "ignore" });
  return directory;
}

/** Copies frames and passes signals until the stream ends: pid 1 inside has ended, or the engine has. */
function attend(p: Program, plan: ContainerPlan, { parent, ended }: Pick<Meeting, "parent" | "ended">): void {
  const signals = p.slot(), all = p.slot(-1n), stream = p.slot(plan.streamFd);
  const polled = p.words(0, 0, 0xffffffff), room = p.words(0, 0, 0);
  p.sys("signalfd4", [-1, all.address, SIGSET, SFD_CLOEXEC], { into: signals });
  pollWord(p, polled.cell(0), signals);
  pollWord(p, polled.cell(8), stream);
  p.set(polled.cell(16), parent);
  p.set(room.cell(0), polled.cell(0));
  p.set(room.cell(8), polled.cell(16));
  // A reader that does not read keeps nobody from the kernel's signals.
  const frames = new Frames(p, (fd) => {
    p.loop((ready, again) => {
      const signal = p.label("signal");
      p.add(room.cell(16), fd, BigInt(POLL.OUT) << 32n);
      p.sys("ppoll", [room, 3, 0, 0, SIGSET], { fail: again });
      ifPolled(p, room.plus(8), POLL.IN, ended);
      ifPolled(p, room, POLL.IN, signal);
      p.goto(ready);
      p.place(signal);
      passSignal(p, signals, { stream, parent: plan.endWithParent, ended });
    });
  });
  if (plan.early.length > 0) frames.take(p.bytes(plan.early), plan.early.length);
  const buffer = p.buffer(CHUNK), n = p.slot();
  p.loop((_, again) => {
    const output = p.label("output");
    p.sys("ppoll", [polled, 3, 0, 0, SIGSET], { fail: again });
    ifPolled(p, polled.plus(16), POLL.IN, ended); // closing the stream ends pid 1 inside
    ifPolled(p, polled.plus(8), POLL.IN | POLL.HUP | POLL.ERR, output);
    passSignal(p, signals, { stream, parent: plan.endWithParent, ended });
    p.goto(again);

    p.place(output);
    p.sys("read", [stream, buffer, CHUNK], { into: n, fail: ended });
    p.when([n, "==", 0], ended);
    frames.take(buffer, n);
    p.goto(again);
  });
}

/** A signal that has come, as a byte for pid 1 inside. */
function passSignal(
  p: Program,
  signals: Slot,
  { stream, parent, ended }: { stream: Slot; parent: number; ended: Label },
): void {
  const info = p.buffer(128), signal = p.slot(), done = p.label();
  p.sys("read", [signals, info, 128], { fail: done });
  p.field(signal, info, 32);
  p.if([signal, "==", SIG.CHLD], () => {
    ifOrphaned(p, parent, ended);
    p.goto(done); // the relay or the keeper: not ours to act on
  });
  p.sys("write", [stream, info, 1], { fail: "ignore" }); // signal numbers fit the first byte
  p.place(done);
}

/**
 * The engine's stream format (Engine API, "Stream format"): frames of an 8-byte header, stream number and big-endian
 * length, then that many bytes. A read may end anywhere in a frame.
 */
class Frames {
  readonly #p: Program;
  readonly #header: Address;
  /** Bytes of the current header so far. */
  readonly #got: Slot;
  /** Bytes of the current frame still to come. */
  readonly #left: Slot;
  readonly #fd: Slot;
  readonly #waitForRoom: (fd: Slot) => void;

  /** `waitForRoom` appends operations that end when a descriptor can be written to. */
  constructor(p: Program, waitForRoom: (fd: Slot) => void) {
    this.#p = p;
    this.#waitForRoom = waitForRoom;
    this.#header = p.buffer(2 * HEADER); // a store is of 8 bytes, the last one begins at byte 7
    this.#got = p.slot();
    this.#left = p.slot();
    this.#fd = p.slot();
  }

  /** Handles `count` bytes at `from`. A reader that has gone ends the copying, not the kernel. */
  take(from: Address, count: Slot | number): void {
    const p = this.#p;
    const at = p.slot(), left = p.slot(), n = p.slot(), byte = p.slot(), to = p.slot();
    p.set(at, from);
    p.set(left, count);
    p.loop((done, again) => {
      p.when([left, "==", 0], done);
      const payload = p.label("payload");
      p.when([this.#left, "!=", 0], payload);
      // One header byte at a time: headers are rare beside what they announce.
      p.load(byte, at);
      p.add(to, this.#header, this.#got);
      p.and(byte, byte, 0xff);
      p.store(to, byte);
      p.add(at, at, 1);
      p.sub(left, left, 1);
      p.add(this.#got, this.#got, 1);
      p.when([this.#got, "!=", HEADER], again);
      p.set(this.#got, 0);
      p.field(this.#fd, this.#header, 8);
      this.#length();
      p.goto(again);

      p.place(payload);
      p.set(n, left);
      p.if([this.#left, "<", left], () => p.set(n, this.#left));
      this.#write(at, n);
      p.add(at, at, n);
      p.sub(left, left, n);
      p.sub(this.#left, this.#left, n);
    });
  }

  /** Big-endian length from header bytes 4 to 7. */
  #length(): void {
    const p = this.#p;
    const byte = p.slot();
    p.set(this.#left, 0);
    for (let i = 4; i < HEADER; i++) {
      p.field(byte, this.#header.plus(i), 8);
      p.shl(this.#left, this.#left, 8);
      p.add(this.#left, this.#left, byte);
    }
  }

  #write(from: Slot, count: Slot): void {
    const p = this.#p;
    const at = p.slot(), left = p.slot(), n = p.slot();
    p.set(at, from);
    p.set(left, count);
    p.loop((done, again) => {
      const failed = p.label();
      p.when([left, "==", 0], done);
      this.#waitForRoom(this.#fd);
      p.set(n, ATOMIC);
      p.if([left, "<", n], () => p.set(n, left));
      p.sys("write", [this.#fd, at, n], { into: n, fail: failed });
      p.add(at, at, n);
      p.sub(left, left, n);
      p.goto(again);
      p.place(failed);
      p.when([p.errno, "==", E.AGAIN], again);
      p.goto(done); // nobody reads: the kernel's output is dropped, the kernel lives on
    });
  }
}
