/** Init, simulated: what it reports and passes on while the target lives. */
import assert from "node:assert/strict";
import { IOCTL, SIG } from "../../../ffi/constants.ts";
import { REPORT } from "../../../lib/shim/programs/sandbox.ts";
import type { Kernel } from "../../helpers/fake_kernel.ts";
import type { Process } from "../../helpers/simulator.ts";
import { signal, timer } from "./events.ts";
import { child, live, monitorGone, ordinary, reported, TARGET, word } from "./life.ts";

const ECHILD = -10;

Deno.test("every wait status of the target is reported as it is, and init ends", () => {
  const statuses = [
    ...Array.from({ length: 256 }, (_, i) => i << 8),
    ...Array.from({ length: 64 }, (_, i) => i + 1),
    0x8b,
    0x86,
  ];
  for (const status of statuses) {
    if ((status & 0xff) === 0x7f) continue;
    const life = ordinary({ children: [[[TARGET, status]]] });
    assert.deepEqual(reported(life), [[REPORT.exited, status]]);
    assert.deepEqual(life.init.end, { exit: 0 });
  }
});

Deno.test("others' children are reaped, all of them, and not reported", () => {
  const life = live(() => [child, child], {
    children: [[[7, 0], [8, 9], [9, 0x137f]], [[10, 1 << 8], [TARGET, 6 << 8], [11, 0]]],
  });
  assert.deepEqual(reported(life), [[REPORT.exited, 6 << 8]]);
  assert.equal(life.init.named("wait4").filter((call) => call.result! > 0n).length, 5);
});

Deno.test("a stop of the target is reported with its signal, and init goes on", () => {
  for (const number of [SIG.STOP, SIG.TSTP, SIG.TTIN, SIG.TTOU]) {
    const life = live(() => [child, child], { children: [[[TARGET, number << 8 | 0x7f]], [[TARGET, 0]]] });
    assert.deepEqual(reported(life), [[REPORT.stopped, number], [REPORT.exited, 0]]);
  }
});

Deno.test("a wait that finds nobody is no end", () => {
  let first = true;
  const { init } = live(() => [child, child], {
    kernel: {
      wait4: (call) => {
        if (first) {
          first = false;
          return ECHILD;
        }
        call.put32(1, 0);
        return TARGET;
      },
    },
  });
  assert.deepEqual(init.end, { exit: 0 });
});

Deno.test("a passed-on signal goes once to the whole group of the target; TSTP as STOP", () => {
  const numbers = [SIG.INT, SIG.TERM, SIG.HUP, 10, 28, SIG.CONT, SIG.TSTP, 64];
  const life = live((monitor) => [...numbers.map((n) => word(monitor, n)), child], {
    children: [[[TARGET, 0]]],
  });
  const sent = life.init.named("kill").map((call) => [call.number(0), call.number(1)]);
  assert.deepEqual(sent, numbers.map((n) => [-TARGET, n === SIG.TSTP ? SIG.STOP : n]));
  assert.deepEqual(life.init.end, { exit: 0 });
});

Deno.test("continued in the foreground, the target gets the terminal before the signal; in the background it does not", () => {
  const life = live(
    (
      monitor,
    ) => [word(monitor, SIG.CONT, true), word(monitor, SIG.CONT), word(monitor, SIG.INT, true), child],
    {
      children: [[[TARGET, 0]]],
      onTerminal: true,
    },
  );
  const { init } = life;
  const after = init.calls.slice(init.lines.indexOf("close_range(0, 2)"));
  const does = after.filter((call) => call.name === "kill" || call.name === "ioctl").map((call) =>
    `${call.name} ${call.number(1)}`
  );
  assert.deepEqual(does, [`ioctl ${IOCTL.TIOCSPGRP}`, "kill 18", "kill 18", "kill 2"]);
});

Deno.test("the target has just ended: a signal that finds nobody is no failure", () => {
  const life = live((monitor) => [word(monitor, SIG.TERM), child], {
    children: [[[TARGET, 3 << 8]]],
    kernel: { kill: () => -3 },
  });
  assert.deepEqual(reported(life), [[REPORT.exited, 3 << 8]]);
});

Deno.test("the monitor's end is init's, and so everybody's", () => {
  const life = live((monitor) => [word(monitor, SIG.INT), monitorGone(monitor)]);
  // The first look at the pipe, before set-up, must not have taken an event of the script.
  assert.equal(life.init.named("clone").length, 1);
  assert.deepEqual(life.init.end, { exit: 125 });
  assert.deepEqual(reported(life), []);
});

Deno.test("the wall clock is set as asked, to the nanosecond, and its end is reported", () => {
  for (
    const [seconds, whole, nano] of [[1, 1, 0], [0.25, 0, 250_000_000], [3600.5, 3600, 500_000_000]] as const
  ) {
    let set: bigint[] = [];
    const left = [TARGET, 3];
    const life = live(() => [timer], {
      changes: { wallSeconds: seconds },
      kernel: {
        timerfd_settime: (call) => void (set = [0, 8, 16, 24].map((offset) => call.word(2, offset))),
        wait4: () => left.shift() ?? ECHILD,
      },
    });
    assert.deepEqual(set, [0n, 0n, BigInt(whole), BigInt(nano)]);
    assert.deepEqual(reported(life), [[REPORT.timeout, 0]]);
    assert.deepEqual(life.init.end, { exit: 124 });
    // Everybody is killed and waited for, so that the result counts what they used.
    assert.deepEqual(life.init.named("kill").map((call) => call.line), ["kill(-1, 9)"]);
    assert.deepEqual(left, []);
  }
  assert.deepEqual(ordinary().init.named("timerfd_create"), []);
});

const GRACE = { graceSeconds: 1.5 };
const killed: [number, number][][] = [[[TARGET, 9]]];
const started = ({ init }: { init: Process }) => init.named("timerfd_settime").length;

Deno.test("a target that is asked to end has its time once, is then killed with all, and its end is its own", () => {
  const life = live(
    (monitor) => [word(monitor, SIG.TERM), word(monitor, SIG.INT), word(monitor, SIG.TERM), timer, child],
    { changes: GRACE, children: killed },
  );
  assert.equal(started(life), 1);
  assert.deepEqual(life.init.named("kill").map(({ line }) => line), [
    ...[SIG.TERM, SIG.INT, SIG.TERM].map((signal) => `kill(-${TARGET}, ${signal})`),
    "kill(-1, 9)",
  ]);
  assert.deepEqual(reported(life), [[REPORT.exited, 9]]);
});

Deno.test("other signals, and those that the caller ignores, ask for nothing; without a grace none does", () => {
  const asked = (numbers: number[], changes = {}, kernel: Kernel = {}) =>
    started(live((monitor) => [...numbers.map((n) => word(monitor, n)), child], {
      changes,
      kernel,
      children: [[[TARGET, 0]]],
    }));
  assert.equal(asked([SIG.HUP, SIG.QUIT, SIG.CONT, SIG.TSTP], GRACE), 0);
  assert.equal(asked([SIG.TERM, SIG.INT]), 0);
  const ignored = (number: number): Kernel => ({
    rt_sigaction: (call) => {
      if (call.args[2] && call.number(0) === number) call.put64(2, 1);
    },
  });
  for (const number of [SIG.INT, SIG.TERM]) {
    assert.equal(asked([number], GRACE, ignored(number)), 0);
    assert.equal(asked([SIG.INT, SIG.TERM], GRACE, ignored(number)), 1);
  }
});

Deno.test("Ctrl-C on the terminal counts, a SIGINT that somebody inside sends does not", () => {
  for (const [code, times] of [[0x80, 1], [0, 0], [-6, 0]] as const) {
    const interrupt = signal(SIG.INT);
    new DataView(interrupt.data!.buffer).setInt32(8, code, true);
    const life = live((monitor) => [interrupt, word(monitor, SIG.CONT, true), child], {
      changes: GRACE,
      children: [[[TARGET, 0]]],
      onTerminal: true,
    });
    assert.equal(started(life), times);
    // It shares init's group, which must never be in one of somebody else's inside.
    assert.deepEqual(life.init.named("setpgid").map(({ line }) => line), ["setpgid()"]);
    assert.deepEqual(life.init.named("kill").map(({ line }) => line), [`kill(0, ${SIG.CONT})`]);
  }
});
