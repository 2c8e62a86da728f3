/** The result object: one line of JSON however the sandbox ends. Numbers go into padded holes of a template. */
import { AT, CLOCK_MONOTONIC, E, F, O, openFlags, SIG } from "../../../ffi/constants.ts";
import { EXIT } from "../../errors.ts";
import { decimalRoutine, divide, refuse, times1000 } from "../kit.ts";
import type { Address, Program, Slot } from "../program.ts";
import type { SandboxPlan } from "./sandbox.ts";

/** Why the sandbox ended. */
export const REASON = { exited: 0, signaled: 1, timeout: 2, memory: 3, output: 4, cordon: 5 } as const;

const MAKE = O.WRONLY | O.CREAT | O.EXCL | O.CLOEXEC;
const HOLE = 16;
/** Members that are known at the end only. */
export const HOLES = ["reason", "exitCode", "signal", "wallMs", "userMs", "systemMs", "maxRssBytes"] as const;
type Hole = typeof HOLES[number];

export interface PreparedResult {
  template: Address;
  length: number;
  hole: (name: Hole) => Address;
  /** Name in the directory that {@link place} holds; absent when that is the descriptor to write to. */
  name?: string;
  /** A descriptor opened before the target ran: nothing inside can redirect the file. */
  place: Slot;
}

/** Lays out the template; checks and holds the place of the result. Does away with an older one there. */
export function prepareResult(p: Program, plan: SandboxPlan): PreparedResult | undefined {
  if (!plan.result) return undefined;
  const offsets = new Map<Hole, number>();
  let text = "{";
  for (const name of HOLES) {
    text += `${text === "{" ? "" : ","}"${name}":`;
    offsets.set(name, text.length);
    text += " ".repeat(HOLE);
  }
  const bytes = new TextEncoder().encode(`${text},${plan.result.members}}\n`);
  const template = p.bytes(bytes), place = p.slot();
  const { to } = plan.result;
  if ("fd" in to) holdDescriptor(p, { fd: to.fd, place, kept: plan.keepFds.includes(to.fd) });
  else holdDirectory(p, to, place);
  return {
    template,
    length: bytes.length,
    place,
    hole: (name) => template.plus(offsets.get(name)!),
    ..."name" in to && { name: to.name },
  };
}

function holdDescriptor(p: Program, { fd, place, kept }: { fd: number; place: Slot; kept: boolean }): void {
  const say = `use descriptor ${fd} for the result`, mode = p.slot(), fine = p.label();
  p.sys("fcntl", [fd, F.GETFL], { into: mode, say });
  p.and(mode, mode, O.WRONLY | O.RDWR);
  p.when([mode, "!=", O.RDONLY], fine);
  refuse(p, `Descriptor ${fd} is not open for writing and cannot take the result`);
  p.place(fine);
  p.sys("fcntl", [fd, F.DUPFD_CLOEXEC, 3], { into: place, say });
  if (fd > 2 && !kept) p.sys("close", [fd]);
}

function holdDirectory(p: Program, to: { directory: string; name: string }, place: Slot): void {
  const flags = O.PATH | openFlags(p.arch).DIRECTORY | O.CLOEXEC,
    absent = p.label("absent"),
    fine = p.label(),
    probe = p.slot();
  p.sys("openat", [AT.FDCWD, to.directory, flags, 0], { into: place, say: `open ${to.directory}` });
  p.sys("unlinkat", [place, to.name, 0], { fail: absent, say: `replace ${to.name} in ${to.directory}` });
  p.goto(fine);
  p.place(absent);
  p.when([p.errno, "!=", E.NOENT], p.abort);
  p.place(fine);
  // Making it is the only sure answer to whether it can be made.
  p.sys("openat", [place, to.name, MAKE, 0o644], {
    into: probe,
    say: `make the result ${to.name} in ${to.directory}`,
  });
  p.sys("close", [probe]);
  p.sys("unlinkat", [place, to.name, 0], { fail: "ignore" });
}

/** Settles why it ended: by a signal, by the memory limit. */
export function settleReason(
  p: Program,
  plan: SandboxPlan,
  { reason, status }: { reason: Slot; status: Slot },
): void {
  const signal = p.slot(), settled = p.label();
  const oomFile = plan.cgroup?.oomFile;
  p.when([reason, "!=", REASON.exited], settled);
  p.and(signal, status, 0x7f);
  p.if([signal, "!=", 0], () => p.set(reason, REASON.signaled));
  if (oomFile) {
    // A shell whose only command was killed exits with this status.
    p.if([status, "==", EXIT.killed << 8], () => ifOutOfMemory(p, oomFile, reason));
    p.if([status, "==", SIG.KILL], () => ifOutOfMemory(p, oomFile, reason));
  }
  p.place(settled);
}

interface Ending {
  reason: Slot;
  /** wait(2) status of the target. */
  status: Slot;
  /** struct rusage of everything inside. */
  usage: Address;
  startTime: Address;
}

/** Fills the template and writes the result. A failure goes to `abort`. */
export function writeResult(p: Program, result: PreparedResult, ending: Ending): void {
  const { reason, status } = ending;
  const signal = p.slot();
  p.and(signal, status, 0x7f);

  const number = decimalRoutine(p), main = p.label();
  p.goto(main);
  number.define();
  p.place(main);
  for (const [name, value] of Object.entries(REASON)) {
    p.if([reason, "==", value], () => putText(p, result.hole("reason"), `"${name}"`));
  }
  const value = p.slot();
  putText(p, result.hole("exitCode"), "null");
  putText(p, result.hole("signal"), "null");
  p.if([reason, "==", REASON.exited], () => {
    p.shr(value, status, 8);
    number.call(value, result.hole("exitCode"));
  });
  p.if([reason, "==", REASON.signaled], () => number.call(signal, result.hole("signal")));
  p.if([reason, "==", REASON.memory], () => number.call(SIG.KILL, result.hole("signal")));

  const now = p.buffer(16), part = p.slot();
  p.sys("clock_gettime", [CLOCK_MONOTONIC, now]);
  p.sub(value, now.cell(0), ending.startTime.cell(0));
  times1000(p, value);
  p.add(part, now.cell(8), 1_000_000_000); // the difference of the nanoseconds may be negative: borrow a second
  p.sub(part, part, ending.startTime.cell(8));
  divide(p, part, 1_000_000);
  p.add(value, value, part);
  p.sub(value, value, 1000);
  number.call(value, result.hole("wallMs"));
  for (const [hole, offset] of [["userMs", 0], ["systemMs", 16]] as const) {
    p.set(value, ending.usage.cell(offset));
    times1000(p, value);
    p.set(part, ending.usage.cell(offset + 8));
    divide(p, part, 1000);
    p.add(value, value, part);
    number.call(value, result.hole(hole));
  }
  p.shl(value, ending.usage.cell(32), 10); // ru_maxrss is in KiB
  number.call(value, result.hole("maxRssBytes"));
  write(p, result);
}

/** JSON text into a hole, padded with spaces. */
function putText(p: Program, at: Address, text: string): void {
  const bytes = new TextEncoder().encode(text.padEnd(HOLE));
  const view = new DataView(bytes.buffer);
  p.store(at, view.getBigUint64(0, true));
  p.store(at.plus(8), view.getBigUint64(8, true));
}

/** memory.events (v2) or memory.oom_control (v1): the number behind the line `oom_kill` is not 0. */
export function ifOutOfMemory(p: Program, file: string, reason: Slot): void {
  const size = 512, key = 0x6c6c696b5f6d6f6fn; // "oom_kill"
  const fd = p.slot(), n = p.slot(), at = p.slot(), end = p.slot(), word = p.slot(), unknown = p.label();
  const text = p.buffer(size + 16);
  p.sys("openat", [AT.FDCWD, file, O.RDONLY | O.CLOEXEC, 0], { into: fd, fail: unknown });
  p.sys("read", [fd, text, size], { into: n, fail: unknown });
  p.set(at, text);
  p.add(end, text, n);
  p.loop((leave, again) => {
    p.when([at, ">=", end], leave);
    p.load(word, at);
    p.add(at, at, 1);
    p.when([word, "!=", key], again);
    p.add(word, at, 7);
    p.load(word, word);
    p.and(word, word, 0xffff); // the blank behind the key and the number's first digit
    p.shr(n, word, 8);
    p.and(word, word, 0xff);
    p.when([word, "!=", 0x20], again);
    p.when([n, "==", 0x30], leave);
    p.set(reason, REASON.memory);
    p.goto(leave);
  });
  p.place(unknown);
}

/** The file is made anew, so that a link planted at its name is not written through. */
function write(p: Program, { name, place, template, length }: PreparedResult): void {
  const fd = p.slot();
  if (name === undefined) p.set(fd, place);
  else {
    p.sys("unlinkat", [place, name, 0], { fail: "ignore" });
    p.sys("openat", [place, name, MAKE, 0o644], { into: fd, say: `make the result ${name}` });
  }
  p.sys("write", [fd, template, length], { say: "write the result" });
}
