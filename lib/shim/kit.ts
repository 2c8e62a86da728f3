/** Small pieces of C that every program needs, written once. */
import { AT, CLONE, MADV_DONTNEED, O, POLL, PROT_READ, SIG } from "../../ffi/constants.ts";
import { encodeOs } from "../host/bytes.ts";
import type { Address, Argument, Label, Program, Slot } from "./program.ts";

const PAGE = 4096;

export interface Pipe {
  read: Slot;
  write: Slot;
}

/** Two variables for a pipe's ends. */
export function pipeSlots(p: Program): Pipe {
  return { read: p.slot(), write: p.slot() };
}

/** pipe2(2), both ends close-on-exec. */
export function pipe(
  p: Program,
  ends: Pipe,
  say: string,
  { flags = 0, fail }: { flags?: number; fail?: Label } = {},
): void {
  const pair = p.buffer(8);
  p.sys("pipe2", [pair, O.CLOEXEC | flags], fail ? { say, fail } : { say });
  p.field(ends.read, pair, 32);
  p.field(ends.write, pair.plus(4), 32);
}

/**
 * Starts a child that continues at `child`; the parent goes on with its pid in `pid`. clone(2) without a new stack is
 * fork(2). What the parent does after a failure is not the child's to do: {@link Program.onAbort} is cleared there.
 */
export function fork(
  p: Program,
  pid: Slot,
  child: Label,
  { flags = 0, pidfd, say }: {
    flags?: number; /** Where the kernel stores a pidfd. */
    pidfd?: Address;
    say: string;
  },
): void {
  const all = flags | SIG.CHLD | (pidfd ? CLONE.PIDFD : 0);
  p.sys("clone", [all, 0, pidfd ?? 0, 0, 0], { into: pid, say });
  p.if([pid, "==", 0], () => {
    p.set(p.onAbort, 0);
    p.goto(child);
  });
}

/** Writes text to a file that exists, in one write(2). */
export function writeTo(p: Program, path: string, text: string, directory: Argument = AT.FDCWD): void {
  const fd = p.slot();
  p.sys("openat", [directory, path, O.WRONLY | O.CLOEXEC, 0], { into: fd, say: `open ${path}` });
  p.sys("write", [fd, text, encodeOs(text).length], { say: `write ${path}` });
  p.sys("close", [fd]);
}

/** A line on stderr, best effort: there may be no reader. */
export function tell(p: Program, line: string, fd: Argument = 2): void {
  const text = `cordon: ${line}\n`;
  p.sys("write", [fd, text, encodeOs(text).length], { fail: "ignore" });
}

/** What a loop repeats is no step for `--verbose` to tell of. */
export function silently(p: Program, body: () => void): void {
  const { trace } = p;
  p.trace = false;
  body();
  p.trace = trace;
}

/** Says why it cannot go on, and fails. */
export function refuse(p: Program, line: string): void {
  tell(p, line);
  p.goto(p.giveUp);
}

/** A struct pollfd's first word: descriptor and wanted events. */
export function pollWord(p: Program, at: Slot, fd: Slot, events: number = POLL.IN): void {
  p.add(at, fd, BigInt(events) << 32n);
}

/** Goes to `label` when the events reported in this struct pollfd have any of `events`. */
export function ifPolled(p: Program, entry: Address, events: number, label: Label): void {
  const reported = p.slot();
  p.field(reported, entry.plus(6), 16);
  p.and(reported, reported, events);
  p.when([reported, "!=", 0], label);
}

/**
 * A subroutine that writes a number as 16 decimal digits, padded with spaces on the left (JSON allows them before a
 * number). `call` sets it up and jumps; the digits start at `at`, which needs 16 bytes.
 */
export function decimalRoutine(p: Program): { define(): void; call(value: Argument, at: Argument): void } {
  const digits = 16, space = 0x20, zero = 0x30;
  const powers = p.words(...Array.from({ length: digits }, (_, i) => 10n ** BigInt(digits - 1 - i)));
  const value = p.slot(), out = p.slot(), back = p.slot();
  const power = p.slot(),
    digit = p.slot(),
    word = p.slot(),
    shift = p.slot(),
    i = p.slot(),
    seen = p.slot(),
    at = p.slot();
  const entry = p.label("decimal");
  return {
    define() {
      p.place(entry);
      p.set(i, 0);
      p.set(seen, 0);
      p.set(word, 0);
      p.loop((leave, again) => {
        p.when([i, ">=", digits], leave);
        p.shl(at, i, 3);
        p.add(at, at, powers);
        p.load(power, at);
        p.set(digit, zero);
        p.loop((enough) => {
          p.when([value, "<", power], enough);
          p.sub(value, value, power);
          p.add(digit, digit, 1);
        });
        p.if([digit, "!=", zero], () => p.set(seen, 1));
        p.if([i, "==", digits - 1], () => p.set(seen, 1));
        p.if([seen, "==", 0], () => p.set(digit, space));
        p.and(shift, i, 7);
        p.shl(shift, shift, 3);
        p.shl(digit, digit, shift);
        p.add(word, word, digit);
        p.add(i, i, 1);
        p.and(shift, i, 7);
        p.when([shift, "!=", 0], again);
        p.store(out, word);
        p.add(out, out, 8);
        p.set(word, 0);
      });
      p.goto(back);
    },
    call(number, address) {
      const here = p.label("return");
      p.set(value, number);
      p.set(out, address);
      p.set(back, here);
      p.goto(entry);
      p.place(here);
    },
  };
}

export interface NumberPath {
  path: Address;
  define(): void;
  call(number: Argument): void;
}

/** A subroutine that makes `path` the path of a descriptor. */
export function descriptorPath(p: Program): NumberPath {
  return numberPath(p, "/proc/self/fd/");
}

/** A subroutine that makes `path` a path that ends in a number, of eight digits at most. */
export function numberPath(p: Program, prefix: string): NumberPath {
  const path = p.bytes(encodeOs(prefix.padEnd(prefix.length + 10, "\0")));
  const number = p.slot(),
    rest = p.slot(),
    text = p.slot(),
    back = p.slot(),
    entry = p.label("path of a number");
  return {
    path,
    define() {
      p.place(entry);
      p.set(text, 0);
      p.loop((done) => { // the last digit first; each moves those behind it up
        p.set(rest, number);
        divide(p, number, 10);
        for (const shift of [1, 3]) {
          const times = p.slot();
          p.shl(times, number, shift);
          p.sub(rest, rest, times);
        }
        p.shl(text, text, 8);
        p.add(text, text, rest);
        p.add(text, text, 0x30);
        p.when([number, "==", 0], done);
      });
      p.store(path.plus(prefix.length), text);
      p.goto(back);
    },
    call(fd) {
      const here = p.label("return");
      p.set(number, fd);
      p.set(back, here);
      p.goto(entry);
      p.place(here);
    },
  };
}

/** value = floor(value / divisor), by subtraction: for small quotients only. */
export function divide(p: Program, value: Slot, divisor: number): void {
  const quotient = p.slot();
  p.set(quotient, 0);
  p.loop((enough) => {
    p.when([value, "<", divisor], enough);
    p.sub(value, value, divisor);
    p.add(quotient, quotient, 1);
  });
  p.set(value, quotient);
}

/** value = value * 1000 */
export function times1000(p: Program, value: Slot): void {
  const part = p.slot();
  p.shl(part, value, 4); // 1000 = 1024 - 16 - 8
  const eight = p.slot();
  p.shl(eight, value, 3);
  p.add(part, part, eight);
  p.shl(value, value, 10);
  p.sub(value, value, part);
}

/**
 * Gives back the memory of the operations before this one and after `to`, and of the text: a process that waits for
 * hours should not hold what its set-up was written in (164 KB of monitor and init become 60). What is used again after
 * all comes back from the image. Read-only first: that makes a mapping of its own of it, else the kernel would bring it
 * in again as the neighbourhood of what is used.
 */
export function keepOnly(p: Program, to: Label): void {
  const from = p.place(p.label("keep"));
  const start = p.slot(), length = p.slot();
  const release = (first: Argument, end: Argument) => {
    const none = p.label();
    p.add(start, first, PAGE - 1);
    p.and(start, start, -PAGE);
    p.and(length, end, -PAGE);
    p.sub(length, length, start);
    p.when([length, "<", PAGE], none);
    p.sys("mprotect", [start, length, PROT_READ], { fail: none });
    p.sys("madvise", [start, length, MADV_DONTNEED], { fail: "ignore" });
    p.place(none);
  };
  release(p.errno.address.plus(PAGE), from); // the interpreter writes to the first page
  release(to, p.dataStart);
}
