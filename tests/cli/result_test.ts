/** `--result`: one JSON object however it ends, and a file that nobody else's link leads to. */
import assert from "node:assert/strict";
import { cordonArgv, executable } from "../helpers/binary.ts";
import { everyone, ok, type Person, refused, rootOnly, userOnly } from "../helpers/everyone.ts";
import { eventually, sandboxOf, whileIsolated, whileRunning } from "../helpers/processes.ts";

interface Result {
  reason: string;
  exitCode: number | null;
  signal: number | null;
  wallMs: number;
  userMs: number;
  systemMs: number;
  maxRssBytes: number;
  engine: string;
  limits: Record<string, { value: number; by: string }>;
}

const MEMBERS = "engine exitCode limits maxRssBytes reason signal systemMs userMs wallMs".split(" ");

/** The object, which must be one line with every member. */
function read(path: string): Result {
  const text = Deno.readTextFileSync(path);
  assert.match(text, /^\{[^\n]*\}\n$/);
  const result: Result = JSON.parse(text);
  assert.deepEqual(Object.keys(result).sort(), MEMBERS);
  assert.equal(result.engine, "namespaces");
  return result;
}

/** Runs `isolate --result r ARGS` and returns status and result. */
async function resultOf(p: Person, args: string[], dir = p.dir()) {
  const outcome = await p.isolate(["--result", "r", "-m", ". ro:/usr", ...args], { cwd: dir });
  return { ...outcome, result: read(`${dir}/r`) };
}

const SH = (script: string) => ["--", "sh", "-c", script];

everyone("exited", async (p) => {
  const { code, result } = await resultOf(
    p,
    SH("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 42"),
  );
  assert.equal(code, 42);
  assert.deepEqual([result.reason, result.exitCode, result.signal], ["exited", 42, null]);
  assert.ok(result.userMs > 0 && result.wallMs >= result.userMs / 2, JSON.stringify(result));
  assert.ok(result.maxRssBytes > 2 ** 19 && result.maxRssBytes < 2 ** 30, JSON.stringify(result));
  assert.equal(result.limits["tmpBytes"]?.by, "tmpfs");
});

everyone("signaled", async (p) => {
  const { signal, result } = await resultOf(p, SH("kill -TERM $$"));
  assert.equal(signal, "SIGTERM");
  assert.deepEqual([result.reason, result.exitCode, result.signal], ["signaled", null, 15]);
});

everyone("timeout", async (p) => {
  const { code, result } = await resultOf(p, [
    "--time",
    "0.2",
    ...SH("trap '' TERM INT; sleep 60; sleep 60"),
  ]);
  assert.equal(code, 124);
  assert.deepEqual([result.reason, result.exitCode, result.signal], ["timeout", null, null]);
  assert.ok(result.wallMs >= 200);
  assert.deepEqual(result.limits["wallSeconds"], { value: 0.2, by: "timer" });
});

everyone("timeout: what the killed processes used is counted", async (p) => {
  const { result } = await resultOf(p, [
    "--time",
    "0.5",
    ...SH("(while :; do :; done) & while :; do :; done"),
  ]);
  assert.equal(result.reason, "timeout");
  assert.ok(result.userMs + result.systemMs > 20, JSON.stringify(result));
  assert.ok(result.maxRssBytes > 2 ** 19, JSON.stringify(result));
});

everyone("output: what the killed processes used is counted", async (p) => {
  const work = "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done";
  const { result } = await resultOf(p, ["--output", "1000", ...SH(`${work}; exec yes`)]);
  assert.equal(result.reason, "output");
  assert.ok(result.userMs + result.systemMs > 20, JSON.stringify(result));
  assert.ok(result.maxRssBytes > 2 ** 19, JSON.stringify(result));
});

everyone("output", async (p) => {
  const { code, stdout, result } = await resultOf(p, ["--output", "1000", ...SH("yes")]);
  assert.deepEqual([code, stdout.length], [137, 1000]);
  assert.deepEqual([result.reason, result.exitCode, result.signal], ["output", null, null]);
  // Also when the target ends of the closed pipe before it can be killed, or does not care.
  for (const script of ["exec yes", "trap '' PIPE; yes 2>/dev/null; yes 2>/dev/null; exit 3"]) {
    for (let i = 0; i < 5; i++) {
      const again = await resultOf(p, ["--output", "1000", ...SH(script)]);
      assert.deepEqual([again.code, again.result.reason], [137, "output"], script);
    }
  }
});

const memory = {
  what: "a memory control group of version 1",
  met: () => {
    try {
      return Deno.statSync("/sys/fs/cgroup/memory/memory.limit_in_bytes").isFile;
    } catch {
      return "not mounted";
    }
  },
};
const HUNGRY = "head -c 200000000 /dev/zero | tail -c 200000000 >/dev/null";

rootOnly("memory, of the target and of its child", async (p) => {
  for (const script of ["exec tail /dev/zero", "tail /dev/zero; exit $?"]) {
    const { code, result } = await resultOf(p, ["--memory", "32M", ...SH(script)]);
    assert.equal(code, 137);
    assert.deepEqual([result.reason, result.exitCode, result.signal], ["memory", null, 9], script);
    assert.deepEqual(result.limits["memoryBytes"], { value: 32 * 2 ** 20, by: "cgroup1" });
  }
  // A child that was killed is the target's own affair when it copes.
  const coped = await resultOf(p, ["--memory", "32M", ...SH(`${HUNGRY}; exit 5`)]);
  assert.deepEqual([coped.code, coped.result.reason, coped.result.exitCode], [5, "exited", 5]);
  const killed = await resultOf(p, ["--memory", "32M", ...SH("kill -9 $$")]);
  assert.equal(killed.result.reason, "signaled");
}, { needs: [memory] });

everyone("cordon: set-up that fails, at every stage", async (p) => {
  const cases: [string[], RegExp][] = [
    [["-b", "/no/such", ...SH("true")], /\/no\/such/], // before there is a program
    [["-m", "/no/such", ...SH("true")], /\/no\/such/],
    [["--seccomp", "/no/such", ...SH("true")], /\/no\/such/],
    [["-m", "ro:/usr copy:/usr/bin/true/x", ...SH("true")], /\/usr\/bin\/true\/x/],
    [["--keep-fd", "88", ...SH("true")], /descriptor 88/], // the monitor
    [["--workdir", "/no/such", ...SH("true")], /Enter \/no\/such/], // the target
  ];
  for (const [args, message] of cases) {
    const { code, stderr, result } = await resultOf(p, args);
    assert.equal(code, 125);
    assert.match(stderr, message);
    assert.deepEqual([result.reason, result.exitCode, result.signal], ["cordon", null, null], args.join(" "));
  }
});

everyone("cordon: in init, where the mounts are made", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a", dir);
  // A saved sandbox, because in a fresh one a missing source is found out earlier.
  ok(
    await p.cordon(["isolate", "--emit", "image", "--result", `${dir}/r`, "-m", "a", "--", "true"], {
      cwd: dir,
    }),
  );
  await p.sh("./image && rmdir a", dir);
  assert.equal(read(`${dir}/r`).reason, "exited");
  const out = await p.sh("./image 2>&1 || echo $?", dir);
  assert.match(out, /^cordon: Open .*\/a: ENOENT \(.*\)\n125$/);
  const { reason, exitCode } = read(`${dir}/r`);
  assert.deepEqual([reason, exitCode], ["cordon", null]);
});

everyone("cordon: init killed from outside", async (p) => {
  const dir = p.dir();
  await whileIsolated(p, ["--result", "r", "-m", "ro:/usr", ...SH("echo r1y; exec sleep 60")], async (s) => {
    await s.expect(/r1y/);
    Deno.kill((await sandboxOf(s.pid)).init.pid, "SIGKILL");
    assert.equal((await s.end).code, 125);
  }, { cwd: dir });
  assert.equal(read(`${dir}/r`).reason, "cordon");
});

everyone("not found and not executable are the target's own statuses", async (p) => {
  const missing = await resultOf(p, ["--", "no-such-program"]);
  assert.deepEqual([missing.code, missing.result.reason, missing.result.exitCode], [127, "exited", 127]);
  const refusedToRun = await resultOf(p, ["--", "/usr"]);
  assert.deepEqual([refusedToRun.code, refusedToRun.result.exitCode], [126, 126]);
});

everyone("fd:N", async (p) => {
  const dir = p.dir();
  const C = `${executable()} isolate -m ro:/usr`;
  // A regular file, a pipe, stdout itself; the target does not get it.
  await p.sh(`${C} --result fd:7 -- sh -c 'ls /proc/self/fd | tr "\\n" " "' 7>r >out`, dir);
  assert.equal(read(`${dir}/r`).exitCode, 0);
  assert.equal(Deno.readTextFileSync(`${dir}/out`), "0 1 2 3 ");
  await p.sh(`{ ${C} --result fd:5 -- echo said >out; } 5>&1 | cat >r`, dir);
  assert.equal(read(`${dir}/r`).reason, "exited");
  const both = await p.sh(`${C} --result fd:1 -- echo said`, dir);
  assert.match(both, /^said\n\{"reason":"exited"/);
  // With --keep-fd it does.
  await p.sh(`${C} --result fd:7 --keep-fd 7 -- sh -c 'echo mine >&7' 7>both`, dir);
  assert.match(Deno.readTextFileSync(`${dir}/both`), /^mine\n\{/);
  // Failures of every stage go there too.
  await p.sh(`${C} --result fd:7 -b /no/such -- true 7>r 2>/dev/null || :`, dir);
  assert.equal(read(`${dir}/r`).reason, "cordon");
  await p.sh(`${C} --result fd:7 --keep-fd 88 -- true 7>r 2>/dev/null || :`, dir);
  assert.equal(read(`${dir}/r`).reason, "cordon");
});

everyone("a descriptor that cannot take the result is told before the target runs", async (p) => {
  const dir = p.dir();
  const C = `${executable()} isolate --result fd:9 -- touch ran`;
  assert.match(
    await p.sh(`${C} 2>&1 || echo $?`, dir),
    /^cordon: [^\n]*descriptor 9[^\n]*EBADF[^\n]*\n(.*\n)*125$/,
  );
  const out = await p.sh(`${C} 9</etc/passwd 2>&1 || echo $?`, dir);
  assert.match(out, /^cordon: Descriptor 9 is not open for writing and cannot take the result\n125$/);
  assert.deepEqual([...Deno.readDirSync(dir)], []);
});

everyone("a link planted at its name is not written through", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir student; echo precious >victim", dir);
  const plant = {
    symlink: "ln -s ../victim student/r",
    hardlink: "ln victim student/r",
    fifo: "mkfifo student/r",
  };
  for (const [kind, command] of Object.entries(plant)) {
    await p.sh(`rm -f student/r; ${command}`, dir);
    ok(await p.isolate(["--result", "student/r", "-m", "ro:/usr", "--", "true"], { cwd: dir }));
    assert.equal(Deno.readTextFileSync(`${dir}/victim`), "precious\n", kind);
    assert.equal(read(`${dir}/student/r`).reason, "exited", kind);
    assert.ok(Deno.lstatSync(`${dir}/student/r`).isFile, kind);
    // The same for a failure before there is a program.
    await p.sh(`rm -f student/r; ${command}`, dir);
    refused(await p.isolate(["--result", "student/r", "-b", "/no/such", "--", "true"], { cwd: dir }));
    assert.equal(Deno.readTextFileSync(`${dir}/victim`), "precious\n", kind);
    assert.equal(read(`${dir}/student/r`).reason, "cordon", kind);
  }
  // Without that care the victim has it.
  await p.sh("rm student/r; ln -s ../victim student/r; echo '{}' >student/r", dir);
  assert.equal(Deno.readTextFileSync(`${dir}/victim`), "{}\n");
});

everyone(
  "the target cannot get there first: link or directory planted from inside, directory renamed",
  async (p) => {
    const dir = p.dir();
    await p.sh("mkdir student; echo precious >victim", dir);
    const at = (script: string) =>
      p.isolate(["--result", "student/r", "-m", "student", ...SH(script)], { cwd: dir });
    ok(await at("cd student; ln -s ../victim r; ls"));
    assert.equal(Deno.readTextFileSync(`${dir}/victim`), "precious\n");
    assert.equal(read(`${dir}/student/r`).reason, "exited");
    const { code } = await at("cd student; mkdir r; touch r/file");
    assert.equal(code, 125); // it could not be written: no success
    await p.sh("rm -r student/r", dir);
  },
);

everyone("an older result is gone when the sandbox starts", async (p) => {
  const dir = p.dir();
  await p.sh("echo old >r", dir);
  const out = await p.isolate(["--result", "r", ...SH("test -e r && echo there || echo gone")], { cwd: dir });
  assert.equal(ok(out), "gone");
});

everyone("a place that cannot be written is told before the target runs", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir r closed; chmod 500 closed", dir);
  const at = (place: string) => p.isolate(["--result", place, "--", "touch", "ran"], { cwd: dir });
  refused(await at("no/such/r"), /no\/such: ENOENT/);
  refused(await at("r"), /cordon: Replace r in .*: EISDIR/);
  refused(await at("/proc/r"), /cordon: Make the result r in \/proc: E/);
  assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name).sort(), ["closed", "r"]);
});

userOnly("a directory that is not the caller's is told before the target runs", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir closed; chmod 500 closed", dir);
  const out = await p.isolate(["--result", "closed/r", "--", "touch", "ran"], { cwd: dir });
  refused(out, /cordon: Make the result r in .*\/closed: EACCES/);
  assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name), ["closed"]);
});

everyone("it is written although stdout and stderr are closed or gone", async (p) => {
  const dir = p.dir();
  await p.sh(`${executable()} isolate --result r -m ro:/usr -- sh -c 'exit 3' >&- 2>&- <&- || :`, dir);
  assert.equal(read(`${dir}/r`).exitCode, 3);
  await whileRunning(
    p,
    cordonArgv(["isolate", "--result", "r2", "-m", "ro:/usr", ...SH("echo r1y; exec sleep 60")]),
    async (s) => {
      await s.expect(/r1y/);
      s.kill("SIGINT");
      await s.end;
      assert.deepEqual([read(`${dir}/r2`).reason, read(`${dir}/r2`).signal], ["signaled", 2]);
    },
    { cwd: dir },
  );
});

everyone("nothing inside can find it or hold it open", async (p) => {
  const dir = p.dir();
  await whileIsolated(p, ["--result", "r", "-m", "ro:/usr", ...SH("echo r1y; exec sleep 60")], async (s) => {
    await s.expect(/r1y/);
    const { target } = await sandboxOf(s.pid);
    const links = await eventually(
      "the target's descriptors",
      () =>
        [...Deno.readDirSync(`/proc/${target.pid}/fd`)].map(({ name }) =>
          Deno.readLinkSync(`/proc/${target.pid}/fd/${name}`)
        ),
    );
    assert.ok(links.every((link) => !link.startsWith(dir)), links.join(" "));
  }, { cwd: dir });
});
