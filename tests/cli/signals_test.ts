/** Signals: each one passes from the caller to the target's group, once; dispositions and mask are the caller's. */
import assert from "node:assert/strict";
import { cordonArgv, executable } from "../helpers/binary.ts";
import { everyone, ok } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";
import { PYTHON } from "../helpers/pty.ts";
import { eventually, running, sandboxOf, whileIsolated, whileRunning } from "../helpers/processes.ts";

const needs = [program(PYTHON)];
/** Debian's Python, or whatever the path has: it must be visible inside. */
const SHOW = ["-m", "ro:/usr"];

/**
 * Prints the name of each signal as it comes, also in a child of the same group, until SIGTERM. Blocked and waited for
 * one by one, so that two of a kind would be two lines.
 */
const LISTENER = `
import os, signal, sys
everything = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, everything)
who = "parent" if os.fork() else "child"
print(who, "ready", flush=True)
while True:
    number = signal.sigwait(everything)
    print(who, number, flush=True)
    if number == signal.SIGTERM:
        break
if who == "parent":
    os.wait()
`;
const LISTEN = ["/usr/bin/python3", "-c", LISTENER];

const PASSED = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGCONT",
  "SIGWINCH",
] as const;
const NUMBERS: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGALRM: 14,
  SIGCONT: 18,
  SIGWINCH: 28,
};

everyone(
  "each signal passes once, to the target and its children",
  (p) =>
    whileIsolated(p, [...SHOW, "--", ...LISTEN], async (s) => {
      await s.expect(/parent ready/);
      await s.expect(/child ready/);
      for (const signal of PASSED) {
        s.kill(signal);
        for (const who of ["parent", "child"]) await s.expect(new RegExp(`${who} ${NUMBERS[signal]}\\n`));
      }
      s.kill("SIGTERM");
      const { code, stdout } = await s.end;
      assert.equal(code, 0);
      for (const who of ["parent", "child"]) {
        const got = stdout.split("\n").filter((line) => line.startsWith(`${who} `)).map((line) =>
          line.split(" ")[1]
        );
        assert.deepEqual(got, ["ready", ...PASSED.map((name) => String(NUMBERS[name])), "15"], who);
      }
    }),
  { needs },
);

// Jupyter starts a launcher in a session of its own and signals its whole group.
everyone(
  "a signal to the launcher's group interrupts the target's children too, once",
  (p) =>
    whileRunning(p, ["setsid", ...cordonArgv(["isolate", ...SHOW, "--", ...LISTEN])], async (s) => {
      await s.expect(/parent ready/);
      await s.expect(/child ready/);
      const { monitor, target } = await sandboxOf(s.pid);
      assert.equal(monitor.group, monitor.pid);
      assert.notEqual(target.group, monitor.group); // the kernel would not have passed it on
      Deno.kill(-s.pid, "SIGINT");
      for (const who of ["parent", "child"]) await s.expect(new RegExp(`${who} 2\\n`));
      Deno.kill(-s.pid, "SIGTERM");
      const { stdout } = await s.end;
      assert.deepEqual(stdout.split("\n").filter((line) => / (2|15)$/.test(line)).sort(), [
        "child 15",
        "child 2",
        "parent 15",
        "parent 2",
      ]);
    }),
  { needs },
);

everyone("real-time signals pass too", (p) =>
  whileIsolated(p, [...SHOW, "--", ...LISTEN], async (s) => {
    await s.expect(/parent ready[^]*child ready|child ready[^]*parent ready/);
    await p.sh(`kill -40 ${s.pid}`, "/");
    await s.expect(/parent 40\n/);
    s.kill("SIGTERM");
    assert.equal((await s.end).code, 0);
  }), { needs });

everyone("a signal that comes while the sandbox starts is not lost", async (p) => {
  const random = generator(20250101);
  for (let i = 0; i < 25; i++) {
    const delay = random() * 90;
    await whileIsolated(p, [...SHOW, "--", "sleep", "600"], async (s) => {
      await new Promise((resolve) => setTimeout(resolve, delay));
      s.kill("SIGTERM");
      assert.equal((await s.end).signal, "SIGTERM", `after ${delay} ms`);
    });
  }
});

/** Numbers from 0 to 1 that are the same at each run (mulberry32). */
function generator(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const bit = (signal: number) => 1n << BigInt(signal - 1);
/** libc's own two: posix_spawn(3) leaves them ignored in what the tests start. */
const INTERNAL = bit(32) | bit(33);

/** The lines of /proc/self/status about signals, as a program inside sees them. */
function dispositions(text: string): Record<string, bigint> {
  const lines = text.matchAll(/^(Sig\w+):\s*([0-9a-f]{16})$/gm);
  return Object.fromEntries([...lines].map(([, name, hex]) => [name, BigInt(`0x${hex}`) & ~INTERNAL]));
}

const STATUS = [...SHOW, "--", "cat", "/proc/self/status"];
const SIGPIPE = 13;

everyone("SIGPIPE ends the target as it would outside, though the runtime ignores it", async (p) => {
  const { SigIgn, SigBlk } = dispositions(ok(await p.isolate(STATUS)));
  assert.equal(SigIgn, 0n);
  assert.equal(SigBlk, 0n);
  const script = `${executable()} isolate -m ro:/usr -- sh -c 'yes; echo status $? >&2' | head -n 1`;
  assert.match(await p.sh(`{ ${script}; } 2>&1`, p.dir()), /y\nstatus 141|status 141\ny/);
  // The fault: a program that inherits the runtime's disposition is told of an error instead.
  const faulty =
    `sh -c 'trap "" PIPE; (yes 2>&1 | head -n 1 >/dev/null) 2>&1; exec yes 2>&1 >/dev/full' || :`;
  assert.match(await p.sh(faulty, p.dir()), /yes:/);
});

everyone("signals the caller ignores stay ignored", async (p) => {
  const argv = ["sh", "-c", `trap "" HUP INT USR1; exec "$@"`, "sh", ...cordonArgv(["isolate", ...STATUS])];
  await whileRunning(p, argv, async (s) => {
    const { stdout } = await s.end;
    const { SigIgn = 0n } = dispositions(stdout);
    assert.equal(SigIgn, bit(1) | bit(2) | bit(10));
    assert.equal(SigIgn & bit(SIGPIPE), 0n);
  });
});

everyone("nohup works", async (p) => {
  const argv = [
    "nohup",
    ...cordonArgv(["isolate", ...SHOW, "--", ...["sh", "-c", "echo r1y; exec sleep 600"]]),
  ];
  await whileRunning(p, argv, async (s) => {
    await s.expect(/r1y/);
    s.kill("SIGHUP");
    s.kill("SIGUSR1"); // comes after, and is not ignored
    assert.equal((await s.end).signal, "SIGUSR1");
  });
});

everyone("the caller's mask is restored", async (p) => {
  const program = `
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGURG})
os.execv(sys.argv[1], sys.argv[1:])`;
  const argv = [PYTHON, "-c", program, ...cordonArgv(["isolate", ...STATUS])];
  await whileRunning(p, argv, async (s) => {
    assert.equal(dispositions((await s.end).stdout)["SigBlk"], bit(12) | bit(23));
  });
}, { needs });

everyone(
  "SIGTSTP stops a target without a terminal, SIGCONT lets it go on",
  (p) =>
    whileIsolated(p, [...SHOW, "--", "sh", "-c", "echo r1y; exec sleep 600"], async (s) => {
      await s.expect(/r1y/);
      const { monitor, target } = await sandboxOf(s.pid);
      s.kill("SIGTSTP");
      await eventually("the target to stop", () => running(target.pid)?.state === "T");
      await eventually("the monitor to stop", () => running(monitor.pid)?.state === "T");
      s.kill("SIGCONT");
      await eventually("the target to go on", () => running(target.pid)?.state === "S");
      s.kill("SIGTERM");
      assert.equal((await s.end).signal, "SIGTERM");
    }),
);
