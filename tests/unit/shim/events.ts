/** Scripts of what the processes of a sandbox wait for, and views of what they did, for tests with the simulator. */
import assert from "node:assert/strict";
import { IOCTL, POLL, S, STATX_FIELD } from "../../../ffi/constants.ts";
import { writeImage } from "../../../lib/shim/image.ts";
import { REPORT, type SandboxPlan, sandboxProgram } from "../../../lib/shim/programs/sandbox.ts";
import type { Call, Handler, Kernel } from "../../helpers/fake_kernel.ts";
import { load, type Process } from "../../helpers/simulator.ts";
import { madeUpPlan } from "./plan.ts";

/** Something that becomes readable. Without data: the end of file. */
export interface Event {
  fd: (by: Process) => number;
  data?: Uint8Array;
}

function word(value: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(value).buffer);
}

/** The monitor's pipes, told apart by the end it closes once init has the other. */
export function links(monitor: Process): { control: Process["pipes"][0]; report: Process["pipes"][0] } {
  const born = monitor.calls.findLastIndex((call) => call.name === "clone");
  const later = monitor.calls.slice(born);
  const closed = new Set(later.filter((call) => call.name === "close").map((call) => call.number(0)));
  const control = monitor.pipes.find(({ read, write }) => closed.has(read) && !closed.has(write));
  const report = monitor.pipes.find(({ read, write }) => closed.has(write) && !closed.has(read));
  assert.ok(control && report, "the monitor keeps one end of two pipes");
  return { control, report };
}

/** What a process made a signalfd or a timerfd of. */
const made = (name: "signalfd4" | "timerfd_create") => (process: Process) =>
  Number(process.named(name).at(-1)?.result);

/** A signal arrives at the process' signalfd. */
export function signal(number: number): Event {
  const data = new Uint8Array(128);
  data[0] = number;
  return { fd: made("signalfd4"), data };
}
/** The timer of the process runs out. */
export const timer: Event = { fd: made("timerfd_create"), data: word(1n) };

/** Init says something to the monitor. */
export function report(kind: keyof typeof REPORT, value = 0): Event {
  return {
    fd: (monitor) => links(monitor).report.read,
    data: word(BigInt(REPORT[kind]) | BigInt(value) << 32n),
  };
}
/** Init is gone without a word. */
export const initGone: Event = { fd: (monitor) => links(monitor).report.read };

/** Answers `ppoll` and `read` by the events in turn; a wait with a timeout ends without one. */
export function script(events: Event[]): Kernel {
  const left = [...events];
  return {
    ppoll(call) {
      const count = call.number(1), wanted = left[0]?.fd(call.process);
      let ready = 0;
      for (let i = 0; i < count; i++) {
        const fd = Number(BigInt.asIntN(32, call.word(0, 8 * i)));
        const happens = fd >= 0 && fd === wanted;
        if (happens) ready++;
        const events = happens ? (left[0]!.data ? POLL.IN : POLL.HUP) : 0;
        call.put(0, new Uint8Array(Uint16Array.of(events).buffer), 8 * i + 6);
      }
      if (ready === 0 && call.args[2] === 0n) throw new Error("waits, and nothing is left to happen to it");
      return ready;
    },
    read(call) {
      const next = left.shift();
      assert.equal(call.number(0), next?.fd(call.process), "reads what was announced");
      if (!next?.data) return 0;
      assert.ok(call.number(2) >= next.data.length);
      call.put(1, next.data);
      return next.data.length;
    },
  };
}

/** `wait4` in the monitor: whoever is waited for is gone, with this status and usage. */
export function gone(status = 0, usage: bigint[] = []): Handler {
  return (call) => {
    if (call.args[1]) call.put32(1, status);
    usage.forEach((value, i) => call.args[3] && call.put64(3, value, 8 * i));
    return call.number(0);
  };
}

/** A terminal on descriptors 0–2, whose foreground group a test may change. */
export function terminal(state: { foreground: number }): Kernel {
  return {
    ioctl(call) {
      if (call.number(1) === IOCTL.TIOCGPGRP) call.put32(2, state.foreground);
      return 0;
    },
  };
}

/** `statx` answers: descriptors named are of this type, the others pipes. */
export function types(of: Record<number, number>): Kernel {
  return { statx: (call) => call.put32(4, of[call.number(0)] ?? 0o010000, STATX_FIELD.mode) };
}
export const { IFREG, IFDIR } = S;

/** The monitor of a made-up sandbox, run to its end. */
export function runMonitor(changes: Partial<SandboxPlan>, events: Event[], kernel: Kernel = {}): Process {
  const image = writeImage(sandboxProgram(madeUpPlan(changes)));
  return load(image, { argv: ["cordon-monitor"] }).run({ wait4: gone(), ...script(events), ...kernel });
}

/** Init as the monitor started it, not yet run. */
export function bornInit(
  changes: Partial<SandboxPlan> = {},
  kernel: Kernel = {},
): { init: Process; monitor: Process } {
  const monitor = runMonitor(changes, [report("exited")], kernel);
  const [init, ...others] = monitor.children.filter((child) => child.pid === 1);
  assert.ok(init && others.length === 0, "one child is pid 1 of a pid namespace");
  return { init, monitor };
}

/** Asserts that calls matching these stand in this order; returns where. */
export function inOrder(process: Process, ...patterns: RegExp[]): number[] {
  let from = 0;
  return patterns.map((pattern) => {
    const at = process.lines.findIndex((line, i) => i >= from && pattern.test(line));
    assert.ok(at >= 0, `${pattern} after call ${from} of:\n  ${process.lines.join("\n  ")}`);
    from = at + 1;
    return at;
  });
}

/** Asserts that every call matching `first`, of which there must be some, stands before any matching `second`. */
export function before(process: Process, first: RegExp, second: RegExp): void {
  const last = process.lines.findLastIndex((line) => first.test(line));
  const then = process.lines.findIndex((line) => second.test(line));
  assert.ok(last >= 0 && then >= 0, `${first} and ${second} in:\n  ${process.lines.join("\n  ")}`);
  assert.ok(last < then, `${process.lines[last]} comes after ${process.lines[then]}`);
}

/** Calls matching a pattern. */
export function matching(process: Process, pattern: RegExp): Call[] {
  return process.calls.filter((call) => pattern.test(call.line));
}
