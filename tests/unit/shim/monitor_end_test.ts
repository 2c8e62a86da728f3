/** The end of the monitor, simulated: status, signals, what is given back and removed. */
import assert from "node:assert/strict";
import { IOCTL, S, SIG } from "../../../ffi/constants.ts";
import type { Kernel } from "../../helpers/fake_kernel.ts";
import { gone, initGone, inOrder, matching, report, runMonitor, types } from "./events.ts";

const OWN_GROUP = 1000;
const ENOTEMPTY = -39, ESRCH = -3;
const done = report("exited");

Deno.test("every exit status passes through", () => {
  for (let code = 0; code < 256; code++) {
    assert.deepEqual(runMonitor({}, [report("exited", code << 8)]).end, { exit: code });
  }
});

Deno.test("death by a signal is death by the same signal: no core, default action, raised, let in", () => {
  for (let number = 1; number <= 64; number++) {
    for (const core of [0, 0x80]) {
      let raised = 0;
      const monitor = runMonitor({}, [report("exited", number | core)], {
        prlimit64: (call) => {
          assert.deepEqual([call.number(1), call.word(2), call.word(2, 8)], [4, 0n, 0n]);
        },
        rt_sigaction: (call) => {
          assert.deepEqual([call.number(0), call.word(1), call.word(1, 8)], [number, 0n, 0n]);
        },
        kill: (call) => void (raised = call.number(1)),
        rt_sigprocmask: (call) => {
          if (call.number(0) !== 1) return;
          assert.equal(call.word(1), 1n << BigInt(number - 1));
          call.process.die({ signal: raised });
        },
      });
      assert.deepEqual(monitor.end, { signal: number });
      inOrder(monitor, /^wait4/, /^prlimit64/, /^rt_sigaction/, /^kill\(1000, /, /^rt_sigprocmask\(1/);
    }
  }
});

Deno.test("a signal that does not end us gives 128 + its number", () => {
  for (const number of [1, 9, 15, 18, 34, 64]) {
    assert.deepEqual(runMonitor({}, [report("exited", number)]).end, { exit: 128 + number });
  }
});

Deno.test("time limit 124; init gone without a word 125", () => {
  assert.deepEqual(runMonitor({}, [report("timeout")]).end, { exit: 124 });
  assert.deepEqual(runMonitor({}, [initGone]).end, { exit: 125 });
  assert.deepEqual(runMonitor({}, [report("stopped", SIG.STOP), initGone]).end, { exit: 125 });
});

Deno.test("init killed from outside is told, except into a pipe or a socket whose end somebody waits for", () => {
  for (const type of [S.IFREG, 0o020000]) {
    const monitor = runMonitor({}, [initGone], { ...types({ 2: type }), wait4: gone(9) });
    assert.deepEqual(monitor.end, { exit: 125 });
    const said = [...monitor.output.keys()].map((fd) => monitor.written(fd)).join("");
    assert.equal(said, "cordon: The sandbox's init was killed from outside\n");
  }
  for (const type of [S.IFIFO, S.IFSOCK]) {
    const monitor = runMonitor({}, [initGone], { ...types({ 2: type }), wait4: gone(9) });
    assert.deepEqual(monitor.end, { exit: 125 });
    assert.equal(monitor.output.size, 0);
  }
});

Deno.test("init that failed by itself has told why: nothing is added", () => {
  const monitor = runMonitor({}, [initGone], { ...types({ 2: S.IFREG }), wait4: gone(125 << 8) });
  assert.deepEqual(monitor.end, { exit: 125 });
  assert.equal(monitor.output.size, 0);
});

Deno.test("a failure of the target's set-up is ours, not a status of the target's", () => {
  const monitor = runMonitor({}, [report("failed"), report("exited", 125 << 8)], {});
  assert.deepEqual(monitor.end, { exit: 125 });
});

Deno.test("it waits until nothing is left inside before it ends or removes anything", () => {
  const monitor = runMonitor({ cgroup: { joinFiles: [], removeDirs: ["/cg/a", "/cg"] } }, [done]);
  inOrder(
    monitor,
    /^wait4\(1001, /,
    /^unlinkat\(-100, "\/cg\/a", 512\)/,
    /^unlinkat\(-100, "\/cg", 512\)/,
    /^exit_group/,
  );
  assert.equal(matching(monitor, /^unlinkat/).length, 2);
});

Deno.test("a control group whose last process is still on its way out is tried again, for a while", () => {
  let failures = 3;
  const cgroup = { joinFiles: [], removeDirs: ["/cg"] };
  const kernel: Kernel = { unlinkat: () => failures-- > 0 ? ENOTEMPTY : 0 };
  const monitor = runMonitor({ cgroup }, [done], kernel);
  assert.equal(monitor.named("unlinkat").length, 4);
  assert.equal(monitor.named("nanosleep").length, 3);
  const never = runMonitor({ cgroup }, [report("exited", 7 << 8)], { unlinkat: () => ENOTEMPTY });
  assert.deepEqual(never.end, { exit: 7 });
  assert.equal(never.named("unlinkat").length, 100);
});

Deno.test("on a terminal its modes and its foreground group are given back, whatever the end", () => {
  for (const last of [done, report("exited", 9), report("timeout"), initGone]) {
    const monitor = runMonitor({}, [last], {
      ioctl: (call) => {
        if (call.number(1) === IOCTL.TCGETS) {
          call.put(
            2,
            Uint8Array.from({ length: 36 }, (_, i) => i + call.number(0)),
          );
        }
        if (call.number(1) === IOCTL.TIOCGPGRP) call.put32(2, OWN_GROUP);
        if (call.number(1) === IOCTL.TCSETSW) {
          assert.deepEqual([...call.bytes(2, 36)], Array.from({ length: 36 }, (_, i) => i), "those of stdin");
        }
        if (call.number(1) === IOCTL.TIOCSPGRP) assert.equal(call.bytes(2, 4)[0], OWN_GROUP & 0xff);
      },
    });
    const kept = monitor.named("fcntl").find((call) =>
      call.number(0) === 0 && call.number(1) === 1030
    )!.result;
    inOrder(
      monitor,
      /^wait4/,
      new RegExp(`^ioctl\\(${kept}, ${IOCTL.TCSETSW}, `),
      new RegExp(`^ioctl\\(${kept}, ${IOCTL.TIOCSPGRP}, `),
    );
  }
});

Deno.test("a lost child is no reason to hang: wait4 that fails ends the wait", () => {
  assert.deepEqual(runMonitor({}, [report("exited", 4 << 8)], { wait4: () => ESRCH }).end, { exit: 4 });
});
