/** The result object, simulated: one line of JSON however the sandbox ends. */
import assert from "node:assert/strict";
import { AT, O, SIG } from "../../../ffi/constants.ts";
import type { SandboxPlan } from "../../../lib/shim/programs/sandbox.ts";
import type { Kernel } from "../../helpers/fake_kernel.ts";
import type { Process } from "../../helpers/simulator.ts";
import { before, type Event, gone, initGone, inOrder, matching, report, runMonitor } from "./events.ts";

const members = '"engine":"namespaces","limits":{}';
const file: Partial<SandboxPlan> = { result: { to: { directory: "/out", name: "r.json" }, members } };
const ENOENT = -2, EACCES = -13;

/** What was written as the result. */
function resultOf(monitor: Process): Record<string, unknown> {
  const texts = monitor.calls.filter((call) => call.name === "write" && call.line.includes("engine"));
  assert.equal(texts.length, 1, "written once");
  const text = monitor.written(texts[0]!.number(0));
  assert.match(text, /^\{[^\n]*\}\n$/);
  return JSON.parse(text);
}

/** Clock readings in turn, as [seconds, nanoseconds]. */
function clock(...readings: [number, number][]): Kernel {
  return {
    clock_gettime: (call) => {
      const [seconds, nano] = readings.shift()!;
      call.put64(1, seconds);
      call.put64(1, nano, 8);
    },
  };
}

const CASES: [what: string, events: Event[], expected: Record<string, unknown>][] = [
  ["exit 0", [report("exited", 0)], { reason: "exited", exitCode: 0, signal: null }],
  ["exit 255", [report("exited", 255 << 8)], { reason: "exited", exitCode: 255, signal: null }],
  ["SIGTERM", [report("exited", 15)], { reason: "signaled", exitCode: null, signal: 15 }],
  ["SIGSEGV with a core", [report("exited", 0x8b)], { reason: "signaled", exitCode: null, signal: 11 }],
  ["the time limit", [report("timeout")], { reason: "timeout", exitCode: null, signal: null }],
  ["init's end", [initGone], { reason: "cordon", exitCode: null, signal: null }],
  ["a failed set-up", [report("failed"), report("exited", 125 << 8)], {
    reason: "cordon",
    exitCode: null,
    signal: null,
  }],
];
for (const [what, events, expected] of CASES) {
  Deno.test(`${what} is told as it was`, () => {
    const result = resultOf(runMonitor(file, events));
    const { reason, exitCode, signal, engine, limits } = result;
    assert.deepEqual({ reason, exitCode, signal }, expected);
    assert.deepEqual({ engine, limits }, { engine: "namespaces", limits: {} });
    assert.deepEqual(Object.keys(result).sort(), [
      "engine",
      "exitCode",
      "limits",
      "maxRssBytes",
      "reason",
      "signal",
      "systemMs",
      "userMs",
      "wallMs",
    ]);
  });
}

Deno.test("a kill is the memory limit's when the control group counted one, else a signal", () => {
  const events = [report("exited", SIG.KILL)];
  const TEXTS: [text: string, reason: string][] = [
    ["low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n", "memory"],
    ["low 0\nhigh 0\nmax 7\noom 1\noom_kill 12\n", "memory"],
    ["low 0\noom 3\noom_kill 0\n", "signaled"],
    ["oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", "memory"],
    ["oom_kill_disable 1\nunder_oom 1\noom_kill 0\n", "signaled"],
    ["oom_kill_disable 1\n", "signaled"],
    ["", "signaled"],
  ];
  for (const [text, reason] of TEXTS) {
    const plan = { ...file, cgroup: { joinFiles: [], oomFile: "/cg/memory.events", removeDirs: [] } };
    const queue = [...events];
    const content = new TextEncoder().encode(text);
    const kernel: Kernel = {
      read: (call) => {
        const opened = call.process.calls.find((c) => c.line.includes("memory.events"));
        if (opened && call.number(0) === Number(opened.result)) {
          call.put(1, content);
          return content.length;
        }
        call.put(1, queue.shift()!.data!);
        return 8;
      },
    };
    const monitor = runMonitor(plan, events, kernel);
    assert.equal(resultOf(monitor)["reason"], reason, text);
    if (reason === "memory") assert.deepEqual(monitor.end, { exit: 137 });
  }
});

Deno.test("times in milliseconds, also where the nanoseconds run backwards; memory in bytes", () => {
  const WALL: [[number, number], [number, number], number][] = [
    [[10, 0], [10, 0], 0],
    [[10, 0], [12, 345_678_901], 2345],
    [[10, 999_999_999], [11, 0], 0],
    [[10, 900_000_000], [12, 100_000_000], 1200],
    [[1_000_000, 1], [1_086_400, 1], 86_400_000],
  ];
  for (const [start, end, wallMs] of WALL) {
    // struct rusage: user time, system time, maxrss in KiB.
    const usage = [3n, 250_999n, 1n, 999_999n, 2048n];
    const monitor = runMonitor(file, [report("exited")], { ...clock(start, end), wait4: gone(0, usage) });
    const { userMs, systemMs, maxRssBytes, ...rest } = resultOf(monitor);
    assert.deepEqual({ userMs, systemMs, maxRssBytes }, {
      userMs: 3250,
      systemMs: 1999,
      maxRssBytes: 2048 * 1024,
    });
    assert.equal(rest["wallMs"], wallMs);
  }
});

Deno.test("its directory is opened before the target runs; a planted file or link is not written through", () => {
  const monitor = runMonitor(file, [report("exited")]);
  before(monitor, /^openat\(-100, "\/out"/, /^clone/);
  const directory = matching(monitor, /^openat\(-100, "\/out"/)[0]!;
  assert.ok(directory.number(2) & O.PATH && directory.number(2) & O.CLOEXEC);
  const made = matching(monitor, /^openat\(\d+, "r.json"/);
  assert.equal(made.length, 2); // once to see whether it can be made
  for (const one of made) {
    assert.equal(one.number(0), Number(directory.result));
    assert.equal(one.number(2) & (O.CREAT | O.EXCL | O.WRONLY), O.CREAT | O.EXCL | O.WRONLY);
  }
  inOrder(
    monitor,
    new RegExp(
      `^unlinkat\\(${directory.result}, "r.json"\\)|^unlinkat\\(${directory.result}, "r.json", 0\\)`,
    ),
    /^openat\(\d+, "r.json"/,
  );
  assert.deepEqual(matching(monitor, new RegExp(`^openat\\(${AT.FDCWD}, ".*r.json`)), []);
});

Deno.test("a result that could not be written is known before the target runs", () => {
  for (
    const [name, kernel] of Object.entries(
      {
        directory: { openat: () => ENOENT },
        file: { openat: (call) => call.number(2) & O.EXCL ? EACCES : 9 },
      } satisfies Record<string, Kernel>,
    )
  ) {
    const monitor = runMonitor(file, [], kernel);
    assert.deepEqual(monitor.end, { exit: 125 }, name);
    assert.deepEqual(monitor.children, []);
    assert.match(monitor.written(2), /^cordon: (Open \/out|Make the result r.json in \/out): E/);
  }
});

Deno.test("to a descriptor it is written there, and the status is the target's all the same", () => {
  const writable: Kernel = { fcntl: (call) => call.number(1) === 3 ? 1 : call.number(1) === 1030 ? 60 : 0 };
  const monitor = runMonitor({ result: { to: { fd: 7 }, members } }, [report("exited", 3 << 8)], writable);
  assert.equal(JSON.parse(monitor.written(60))["exitCode"], 3);
  assert.deepEqual(monitor.end, { exit: 3 });
});

Deno.test("without --result nothing is written", () => {
  const monitor = runMonitor({}, [report("exited")]);
  assert.deepEqual([...monitor.output.keys()], []);
});
