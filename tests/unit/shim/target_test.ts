/** The target, simulated: between its birth and the program that was asked for. */
import assert from "node:assert/strict";
import { IOCTL, SIG } from "../../../ffi/constants.ts";
import { REPORT, type SandboxPlan } from "../../../lib/shim/programs/sandbox.ts";
import type { Handler, Kernel } from "../../helpers/fake_kernel.ts";
import type { Process } from "../../helpers/simulator.ts";
import { bornInit, inOrder, links, matching, script, signal, terminal } from "./events.ts";
import { madeUpPlan } from "./plan.ts";

const ENOENT = -2, E2BIG = -7, ENOEXEC = -8, EACCES = -13, ENOTDIR = -20, EINVAL = -22, EIO = -5;

const CALLER_MASK = 0x0123n;

/** The target of a made-up sandbox, run until it has become its program or failed. */
function target(changes: Partial<SandboxPlan> = {}, kernel: Kernel = {}, onTerminal = false): Process {
  const keepMask: Handler = (call) => {
    if (call.args[2]) call.put64(2, CALLER_MASK);
  };
  const { init } = bornInit(changes, {
    ...(onTerminal && terminal({ foreground: 1000 })),
    rt_sigprocmask: keepMask,
  });
  init.run({ ...script([signal(SIG.CHLD)]), wait4: (call) => (call.put32(1, 0), 2) });
  const [born, ...others] = init.children;
  assert.ok(born && others.length === 0);
  assert.equal(born.pid, 2);
  return born.run(kernel);
}

/** `execve` that finds only these paths; a number is the errno of one that is there and cannot be executed. */
function programs(there: Record<string, number>, content = "echo hello\n"): Kernel {
  return {
    read: (call) => {
      const start = new TextEncoder().encode(content).subarray(0, call.number(2));
      call.put(1, start);
      return start.length;
    },
    execve: (call) => {
      const found = there[call.text(0)];
      if (found === undefined) return ENOENT;
      if (found < 0) return found;
      const { memory } = call.process;
      call.process.die({
        execute: call.text(0),
        argv: memory.vector(call.args[1]!),
        env: memory.vector(call.args[2]!),
      });
    },
    faccessat: (call) => there[call.text(1)] === undefined ? ENOENT : 0,
  };
}

Deno.test("it becomes the program that was asked for: arguments and environment as they are", () => {
  const odd = ["prog", "", "two words", "ü\udcff", "*", "-x"];
  const env = ["A=b c", "B=", "C=\udcfe\n", "D=a=b"];
  assert.deepEqual(target({ command: odd, env }, programs({ "/usr/bin/prog": 0 })).end, {
    execute: "/usr/bin/prog",
    argv: odd,
    env,
  });
});

Deno.test("every directory of the path in turn; a name with a slash is taken as it is", () => {
  const tried = (changes: Partial<SandboxPlan>) =>
    target(changes, programs({})).named("execve").map((call) => /"(.*?)"/.exec(call.line)![1]);
  assert.deepEqual(tried({}), ["/usr/local/bin/prog", "/usr/bin/prog"]);
  assert.deepEqual(tried({ command: ["./prog"] }), ["./prog"]);
  assert.deepEqual(tried({ command: ["/opt/a/prog"] }), ["/opt/a/prog"]);
  const first = target({}, programs({ "/usr/local/bin/prog": 0, "/usr/bin/prog": 0 })).end;
  assert.ok(first && "execute" in first && first.execute === "/usr/local/bin/prog");
});

const ENDS: [what: string, there: Record<string, number>, status: number, said: RegExp][] = [
  ["is nowhere", {}, 127, /^cordon: prog is not found inside the sandbox\n$/],
  ["has a file for a directory on its path", { "/usr/local/bin/prog": ENOTDIR }, 127, /is not found/],
  [
    "may not be executed",
    { "/usr/bin/prog": EACCES },
    126,
    /^cordon: prog cannot be executed: permission denied\n$/,
  ],
  [
    "may not be executed in the first place and is missing in the second",
    { "/usr/local/bin/prog": EACCES },
    126,
    /permission denied/,
  ],
  [
    "is of no known format and there is no sh",
    { "/usr/bin/prog": ENOEXEC },
    126,
    /not a program of this machine/,
  ],
  ["has too long arguments", { "/usr/bin/prog": E2BIG }, 126, /too long/],
  ["needs an interpreter that is missing", { "/usr/bin/prog": ENOENT }, 126, /interpreter or loader/],
  ["fails in another way", { "/usr/bin/prog": EIO }, 126, /^cordon: prog cannot be executed\n$/],
];
for (const [what, there, status, said] of ENDS) {
  Deno.test(`a program that ${what}: status ${status}`, () => {
    const process = target({}, programs(there));
    assert.deepEqual(process.end, { exit: status });
    assert.match(process.written(2), said);
  });
}

Deno.test("one that cannot be executed does not hide one that can, further on", () => {
  const end = target({}, programs({ "/usr/local/bin/prog": EACCES, "/usr/bin/prog": 0 })).end;
  assert.ok(end && "execute" in end && end.execute === "/usr/bin/prog");
});

Deno.test("a file of no known format is a script for sh, with its arguments", () => {
  const end = target({}, programs({ "/usr/bin/prog": ENOEXEC, "/bin/sh": 0 })).end;
  assert.deepEqual(end, {
    execute: "/bin/sh",
    argv: ["sh", "/usr/bin/prog", "one", "two words"],
    env: madeUpPlan().env,
  });
});

Deno.test("a program for another kind of machine is no script", () => {
  const process = target({}, programs({ "/usr/bin/prog": ENOEXEC, "/bin/sh": 0 }, "\x7fELF\x02\x01"));
  assert.deepEqual(process.end, { exit: 126 });
  assert.equal(process.written(2), "cordon: prog cannot be executed: not a program of this machine\n");
});

Deno.test("it stands in its directory, else in HOME, else in the root; where it must, it fails", () => {
  const chdirs = (changes: Partial<SandboxPlan>, missing: string[]) =>
    target(changes, { chdir: (call) => missing.includes(call.text(0)) ? ENOENT : 0 })
      .named("chdir").map((call) => [call.line, call.result === 0n]);
  assert.deepEqual(chdirs({}, []), [['chdir("/home/ann/w")', true]]);
  assert.deepEqual(chdirs({}, ["/home/ann/w"]), [['chdir("/home/ann/w")', false], [
    'chdir("/home/ann")',
    true,
  ]]);
  const nowhere = target({}, { chdir: () => ENOENT });
  assert.ok(nowhere.end && "execute" in nowhere.end);
  const required = target({ workdir: { path: "/w", required: true, home: "/h" } }, { chdir: () => ENOENT });
  assert.deepEqual(required.end, { exit: 125 });
  assert.equal(required.written(2).split("\n")[0], "cordon: Enter /w: ENOENT (No such file or directory)");
});

Deno.test("a failure of its set-up is told to the monitor: 125 could be the program's own", () => {
  const changes = { workdir: { path: "/w", required: true, home: "/h" } };
  const process = target(changes, { chdir: () => ENOENT });
  const { monitor } = bornInit(changes);
  const told = process.output.get(links(monitor).report.write);
  assert.deepEqual(told?.map((bytes) => bytes[0]), [REPORT.failed]);
  assert.equal(target({}, programs({})).output.get(links(bornInit().monitor).report.write), undefined);
});

Deno.test("only SIGPIPE is reset, the caller's mask is back, and both after the last thing that may fail", () => {
  const actions: number[] = [];
  const masks: bigint[] = [];
  const rlimits = [{ resource: 7, soft: 10n, hard: 20n }];
  const process = target({ rlimits }, {
    rt_sigaction: (call) => {
      actions.push(call.number(0));
      assert.ok(call.bytes(1, 32).every((byte) => byte === 0), "SIG_DFL");
    },
    rt_sigprocmask: (call) => {
      assert.equal(call.number(0), 2, "SIG_SETMASK");
      masks.push(call.word(1));
    },
  });
  assert.deepEqual(actions, [SIG.PIPE]);
  assert.deepEqual(masks, [CALLER_MASK]);
  inOrder(process, /^chdir/, /^prlimit64/, /^rt_sigprocmask/, /^execve/);
});

Deno.test("resource limits are set as planned, and one that is refused is no limit passed over", () => {
  const rlimits = [
    { resource: 2, soft: 1n << 40n, hard: 1n << 41n },
    { resource: 0, soft: 5n, hard: 2n ** 64n - 1n },
  ];
  const set: bigint[][] = [];
  target({ rlimits }, {
    prlimit64: (call) => {
      assert.deepEqual([call.number(0), call.args[3]], [0, 0n]);
      set.push([call.args[1]!, call.word(2), call.word(2, 8)]);
    },
  });
  assert.deepEqual(set, [[2n, 1n << 40n, 1n << 41n], [0n, 5n, 2n ** 64n - 1n]]);
  const refused = target({ rlimits }, { prlimit64: () => EINVAL });
  assert.deepEqual(refused.end, { exit: 125 });
  assert.match(refused.written(2), /^cordon: Set RLIMIT_DATA: EINVAL/);
});

Deno.test("it keeps 0 to 2 and what was asked for, and nothing else is made to pass exec", () => {
  const process = target({ keepFds: [5, 9] });
  assert.deepEqual(matching(process, /^(close|close_range|dup3)\(/), []);
  assert.deepEqual(matching(process, /^fcntl/).map((call) => call.line), [
    "fcntl(5, 2, 0)",
    "fcntl(9, 2, 0)",
  ]);
});

Deno.test("it leaves init's group: by a session, on a terminal by a group of its own that gets the terminal first", () => {
  const plain = target();
  assert.equal(plain.lines.filter((line) => line.startsWith("setsid(")).length, 1);
  assert.deepEqual(matching(plain, /^(setpgid|ioctl)/), []);
  let group: number | undefined;
  const process = target({}, {
    ioctl: (call) => {
      if (call.number(1) === IOCTL.TIOCSPGRP) group = call.bytes(2, 4)[0];
    },
  }, true);
  assert.equal(group, 2);
  assert.deepEqual(process.named("setsid"), []);
  inOrder(process, /^setpgid\(2, 2\)/, new RegExp(`^ioctl\\(\\d+, ${IOCTL.TIOCSPGRP}`), /^execve/);
});
