/** The monitor, simulated: what it does before init, which signals it passes on, how it stops and ends. */
import assert from "node:assert/strict";
import { CLONE, IOCTL, SIG } from "../../../ffi/constants.ts";
import type { Kernel } from "../../helpers/fake_kernel.ts";
import type { Process } from "../../helpers/simulator.ts";
import {
  before,
  IFDIR,
  inOrder,
  links,
  matching,
  report,
  runMonitor,
  script,
  signal,
  terminal,
  types,
} from "./events.ts";

const OWN_GROUP = 1000;
const EINTR = -4, EBADF = -9;
const done = report("exited");

/** Words passed to init, in order. */
function passedOn(monitor: Process): bigint[] {
  const { write } = links(monitor).control;
  return (monitor.output.get(write) ?? []).map((bytes) => new DataView(bytes.buffer).getBigUint64(0, true));
}

// ------------------------------------------------------------------------------------------------ before init

Deno.test("the first thing is to block every signal", () => {
  const masks: bigint[] = [];
  const monitor = runMonitor({}, [done], {
    rt_sigprocmask: (call) => {
      if (call.number(0) === 0) masks.push(call.word(1));
    },
  });
  assert.match(monitor.lines[0]!, /^rt_sigprocmask\(0, /);
  assert.equal(masks[0], 2n ** 64n - 1n);
});

Deno.test("init is born into namespaces of its own; the monitor itself enters none", () => {
  const all = CLONE.NEWUSER | CLONE.NEWNS | CLONE.NEWPID | CLONE.NEWIPC | CLONE.NEWUTS;
  const closed = runMonitor({}, [done]).named("clone");
  const open = runMonitor({ ownNetwork: false }, [done]).named("clone");
  assert.deepEqual(closed.map((call) => call.number(0)), [all | CLONE.NEWNET | SIG.CHLD]);
  assert.deepEqual(open.map((call) => call.number(0)), [all | SIG.CHLD]);
  const entering = /^(unshare|setns|mount|chroot|pivot_root|setresuid|setresgid|capset|setsid|setpgid)\(/;
  assert.deepEqual(matching(runMonitor({}, [done]), entering), []);
});

Deno.test("the supplementary groups are left before init is born, and only where asked for", () => {
  before(runMonitor({ clearGroups: true }, [done]), /^setgroups\(0\)|^setgroups\(\)/, /^clone/);
  assert.deepEqual(runMonitor({}, [done]).named("setgroups"), []);
});

Deno.test("a saved sandbox runs for its uid and refuses any other before it starts anything", () => {
  const own = runMonitor({ onlyUid: 1234 }, [done], { getuid: () => 1234 });
  assert.deepEqual(own.end, { exit: 0 });
  const other = runMonitor({ onlyUid: 1234 }, [], { getuid: () => 0 });
  assert.deepEqual(other.end, { exit: 125 });
  assert.match(other.written(2), /^cordon: This sandbox was saved by uid 1234 and runs for nobody else\n$/);
  assert.deepEqual(matching(other, /^(clone|openat|pipe2)\(/), []);
});

Deno.test("a closed descriptor 0, 1 or 2 becomes /dev/null, an open one is left alone", () => {
  for (const missing of [[], [0], [2], [0, 1, 2]]) {
    const monitor = runMonitor({}, [done], {
      fcntl: (call) => call.number(1) === 1 && missing.includes(call.number(0)) ? EBADF : 0,
    });
    const opened = matching(monitor, /^openat\(-100, "\/dev\/null", 2, 0\)/);
    assert.equal(opened.length, missing.length);
  }
});

/** Descriptors above 2 that are open when init is born, of those the caller may have left open. */
function leaked(monitor: Process): number[] {
  const open = new Set(Array.from({ length: 100 }, (_, i) => i + 3));
  const forked = monitor.calls.findIndex((call) => call.name === "clone");
  for (const call of monitor.calls.slice(0, forked)) {
    if (call.name !== "close_range") continue;
    for (const fd of open) if (fd >= call.number(0) && fd <= call.number(1)) open.delete(fd);
    assert.ok(call.number(0) > 2, "never 0 to 2");
  }
  return [...open];
}

Deno.test("what the caller leaked is closed, what is to be kept is not", () => {
  for (const keepFds of [[], [3], [5], [3, 4, 5], [9, 5, 7, 8]]) {
    const monitor = runMonitor({ keepFds }, [done]);
    assert.deepEqual(leaked(monitor), keepFds.toSorted((a, b) => a - b));
    assert.ok(monitor.named("close_range").some((call) => call.number(1) === 0xffff_ffff));
  }
  const result = { to: { fd: 6 }, members: '"engine":"namespaces"' };
  const writable: Kernel = { fcntl: (call) => call.number(1) === 3 ? 1 : call.number(1) === 1030 ? 50 : 0 };
  const monitor = runMonitor({ keepFds: [4], result }, [done], writable);
  assert.deepEqual(leaked(monitor), [4, 6]);
  // The result's descriptor is not the target's, unless that was asked for as well.
  before(monitor, /^close\(6\)/, /^clone/);
  assert.deepEqual(matching(runMonitor({ keepFds: [6], result }, [done], writable), /^close\(6\)/).length, 1);
});

Deno.test("a directory or an O_PATH descriptor would be a way out: refused before anything starts", () => {
  const O_PATH = 0o10000000;
  for (const fd of [0, 1, 2, 5]) {
    const refusals: Kernel[] = [types({ [fd]: IFDIR }), {
      fcntl: (call) => call.number(0) === fd && call.number(1) === 3 ? O_PATH : 0,
    }];
    for (const kernel of refusals) {
      const monitor = runMonitor({ keepFds: [5] }, [], kernel);
      assert.deepEqual(monitor.end, { exit: 125 });
      assert.match(monitor.written(2), new RegExp(`^cordon: Descriptor ${fd} is a directory or a path: `));
      assert.deepEqual(monitor.children, []);
    }
  }
});

Deno.test("a descriptor to be kept that is not open is an error that names it", () => {
  const monitor = runMonitor({ keepFds: [5] }, [], { fcntl: (call) => call.number(0) === 5 ? EBADF : 0 });
  assert.deepEqual(monitor.end, { exit: 125 });
  assert.equal(monitor.written(2).split("\n")[0], "cordon: Keep descriptor 5: EBADF (Bad file descriptor)");
});

Deno.test("once init runs the monitor holds nothing whose end somebody waits for", () => {
  const monitor = runMonitor({ keepFds: [7] }, [done]);
  const { control, report } = links(monitor);
  const after = monitor.lines.slice(monitor.lines.findIndex((line) => line.startsWith("clone(")));
  for (const line of [`close(${control.read})`, `close(${report.write})`, "close_range(0, 2)", "close(7)"]) {
    assert.ok(after.includes(line), line);
  }
});

Deno.test("when namespaces cannot be created it says so and ends with 125", () => {
  const monitor = runMonitor({}, [], { clone: () => -1 });
  assert.deepEqual(monitor.end, { exit: 125 });
  assert.equal(
    monitor.written(2),
    "cordon: Create namespaces: EPERM (Operation not permitted)\n\nhint: cordon doctor\n",
  );
});

// ------------------------------------------------------------------------------------------------ signals

Deno.test("every signal is passed on once, in the order of arrival, SIGCHLD is not", () => {
  const numbers = [SIG.INT, SIG.TERM, 10, SIG.CHLD, SIG.HUP, SIG.TSTP, SIG.CONT, 28, 34, 64, SIG.INT];
  const monitor = runMonitor({}, [...numbers.map(signal), done]);
  assert.deepEqual(passedOn(monitor), numbers.filter((n) => n !== SIG.CHLD).map(BigInt));
});

Deno.test("with a passed-on signal goes whether our group has the terminal", () => {
  const state = { foreground: OWN_GROUP };
  const monitor = runMonitor({}, [signal(SIG.CONT), signal(SIG.CONT), done], {
    ...terminal(state),
    write: (call) => {
      state.foreground = 4321;
      call.process.output.set(call.number(0), [
        ...call.process.output.get(call.number(0)) ?? [],
        call.bytes(1, call.number(2)),
      ]);
      return call.number(2);
    },
  });
  assert.deepEqual(passedOn(monitor), [BigInt(SIG.CONT) + 0x100n, BigInt(SIG.CONT)]);
});

Deno.test("started in the background of a terminal it never asks about it again", () => {
  const monitor = runMonitor({}, [signal(SIG.CONT), done], terminal({ foreground: 4321 }));
  assert.deepEqual(passedOn(monitor), [BigInt(SIG.CONT)]);
  assert.deepEqual(matching(monitor, new RegExp(`^ioctl\\(\\d+, (${IOCTL.TIOCSPGRP}|${IOCTL.TCSETSW})`)), []);
});

Deno.test("init that is ending does not hinder: a signal that cannot be passed on is dropped", () => {
  const monitor = runMonitor({}, [signal(SIG.TERM), report("exited", 3 << 8)], { write: () => -32 });
  assert.deepEqual(monitor.end, { exit: 3 });
});

for (const number of [SIG.STOP, SIG.TSTP, SIG.TTIN, SIG.TTOU]) {
  for (const onTerminal of [true, false]) {
    // On a terminal our whole group stops, as it would have with the target in it.
    const who = onTerminal ? 0 : 1000;
    const where = onTerminal ? "on a terminal" : "elsewhere";
    Deno.test(`a target stopped by signal ${number} ${where}: raised while blocked, let in, then one SIGCONT`, () => {
      const masks: string[] = [];
      let taken = 0n;
      const monitor = runMonitor({}, [report("stopped", number), report("exited", 5 << 8)], {
        ...(onTerminal && terminal({ foreground: OWN_GROUP })),
        rt_sigprocmask: (call) => void masks.push(`${call.number(0)} ${call.word(1)}`),
        rt_sigtimedwait: (call) => {
          taken = call.word(0);
          assert.ok(call.args[2], "it does not wait for one");
          assert.deepEqual([call.word(2), call.word(2, 8)], [0n, 0n]);
          return SIG.CONT;
        },
      });
      inOrder(
        monitor,
        /^ppoll/,
        new RegExp(`^kill\\(${who}, ${number}\\)`),
        /^rt_sigprocmask\(1, /,
        /^rt_sigprocmask\(0, /,
        /^rt_sigtimedwait/,
        /^write\(/,
        /^ppoll/,
      );
      const all = 2n ** 64n - 1n;
      assert.deepEqual(masks.slice(1), [`1 ${1n << BigInt(number - 1)}`, `0 ${all}`]);
      assert.equal(taken, 1n << BigInt(SIG.CONT - 1));
      assert.deepEqual(passedOn(monitor), [BigInt(SIG.CONT) + (onTerminal ? 0x100n : 0n)]);
      assert.equal(monitor.named("kill").length, 1);
      assert.deepEqual(monitor.end, { exit: 5 });
    });
  }
}

Deno.test("it goes on where the kernel discards the stop: the target is continued all the same", () => {
  const monitor = runMonitor({}, [report("stopped", SIG.TSTP), done], { rt_sigtimedwait: () => -11 });
  assert.deepEqual(passedOn(monitor), [BigInt(SIG.CONT)]);
});

Deno.test("an interrupted wait starts again", () => {
  const events = [signal(SIG.INT), done];
  const plain = script(events);
  const interrupted = new Set<string>();
  const first = (name: string) => !interrupted.has(name) && interrupted.add(name);
  const monitor = runMonitor({}, [], {
    ppoll: (call) => first("ppoll") ? EINTR : plain.ppoll!(call),
    read: (call) => first("read") ? EINTR : plain.read!(call),
  });
  assert.deepEqual(passedOn(monitor), [2n]);
  assert.deepEqual(monitor.end, { exit: 0 });
});
