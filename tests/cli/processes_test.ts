/** Monitor, init and target: who they are, what they may do, and what ends with whom. */
import assert from "node:assert/strict";
import { executable } from "../helpers/binary.ts";
import { everyone, type Person } from "../helpers/everyone.ts";
import { eventually, running, sandboxOf, whileIsolated, whileRunning } from "../helpers/processes.ts";

/** Fields of /proc/PID/status that tell what a process may do. */
function powers(pid: number): Record<string, string> {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  const names = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"];
  return Object.fromEntries(
    names.map((name) => [name, new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(text)?.[1] ?? "absent"]),
  );
}

const NO_POWERS = {
  ...Object.fromEntries(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((n) => [n, "0".repeat(16)])),
  NoNewPrivs: "1",
  Seccomp: "2",
};

const SLEEP = ["-m", "ro:/usr", "--", "sleep", "600"];

everyone(
  "init and target have no capability, no_new_privs and the filter",
  (p) =>
    whileIsolated(p, SLEEP, async ({ pid }) => {
      const { init, target } = await sandboxOf(pid);
      await eventually("the target's exec", () => running(target.pid)?.comm === "sleep");
      assert.deepEqual(powers(init.pid), NO_POWERS);
      assert.deepEqual(powers(target.pid), NO_POWERS);
    }),
);

everyone(
  "monitor and init have their own names and empty environments",
  (p) =>
    whileIsolated(p, SLEEP, async ({ pid }) => {
      const { monitor, init } = await sandboxOf(pid);
      assert.deepEqual(monitor.argv, ["cordon-monitor"]);
      assert.equal(init.argv[0], "cordon-init");
      assert.deepEqual(init.argv.filter((word) => word !== ""), ["cordon-init"]);
      assert.equal(Deno.readTextFileSync(`/proc/${pid}/environ`), "");
      if (Deno.uid() === 0) assert.equal(Deno.readTextFileSync(`/proc/${init.pid}/environ`), "");
      // The runtime is gone: one thread, no library, hardly any memory.
      assert.equal([...Deno.readDirSync(`/proc/${pid}/task`)].length, 1);
      assert.doesNotMatch(Deno.readTextFileSync(`/proc/${pid}/maps`), /libc|libpthread/);
    }, { env: { SECRET: "token" } }),
);

everyone("init is undumpable: its files in /proc are root's", async (p) => {
  await whileIsolated(p, SLEEP, async ({ pid }) => {
    const { init, target } = await sandboxOf(pid);
    await eventually("the target's exec", () => running(target.pid)?.comm === "sleep");
    assert.equal(Deno.statSync(`/proc/${init.pid}/environ`).uid, 0);
    assert.equal(Deno.statSync(`/proc/${target.pid}/environ`).uid, p.uid);
  });
});

everyone(
  "without a terminal the target has a session of its own, the monitor stays in the caller's",
  (p) =>
    whileRunning(
      p,
      ["sh", "-c", `echo group $$; "$@"; :`, "sh", executable(), "isolate", ...SLEEP],
      async (s) => {
        await s.expect(/group \d+/);
        const shell = running(s.pid);
        const monitorPid = await child(s.pid, "cordon-monitor");
        const { monitor, init, target } = await sandboxOf(monitorPid);
        assert.equal(monitor.group, shell?.group);
        assert.equal(monitor.session, shell?.session);
        assert.equal(init.session, init.pid);
        await eventually("the target's session", () => running(target.pid)?.session === target.pid);
        Deno.kill(target.pid, "SIGTERM");
      },
    ),
);

/** The child of this name, once there is one. */
async function child(parent: number, comm: string): Promise<number> {
  return await eventually(
    `${comm} below ${parent}`,
    () =>
      [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name))
        .map(({ name }) => running(Number(name)))
        .find((one) => one?.parent === parent && one.comm === comm)?.pid,
  );
}

/** A target that ignores what can be ignored, with a child that has left its session. */
const STUBBORN =
  `trap "" HUP INT TERM QUIT PIPE; (setsid sh -c 'trap "" HUP TERM; echo r$((1))y; sleep 600' &)
sleep 600`;

everyone("a monitor that is killed takes all along", async (p) => {
  await whileIsolated(p, ["-m", "ro:/usr", "--", "sh", "-c", STUBBORN], async (s) => {
    await s.expect(/r1y/);
    const { init } = await sandboxOf(s.pid);
    const inside = below(init.pid);
    assert.ok(inside.length >= 4, `init, target and its children: ${inside}`);
    s.kill("SIGKILL");
    assert.equal((await s.end).signal, "SIGKILL");
    await eventually("the end of all", () => inside.every((pid) => !alive(pid)));
  });
});

// What the above guards against: a pid namespace alone goes on without the process that made it.
everyone("without that, a sandbox outlives who made it", async (p) => {
  const argv = ["unshare", "--user", "--map-current-user", "--pid", "--fork", "sleep", "600"];
  await whileRunning(p, argv, async (s) => {
    const orphan = await child(s.pid, "sleep");
    s.kill("SIGKILL");
    await eventually("the end of unshare", () => !alive(s.pid) || running(s.pid)?.state === "Z");
    assert.equal(running(orphan)?.comm, "sleep");
    Deno.kill(orphan, "SIGKILL");
  });
});

function alive(pid: number): boolean {
  const found = running(pid);
  return found !== undefined && found.state !== "Z";
}

function below(pid: number): number[] {
  const children = [...Deno.readDirSync(`/proc/${pid}/task`)].flatMap(({ name }) =>
    Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`).split(" ").filter((word) => word !== "")
  );
  return [pid, ...children.flatMap((one) => below(Number(one)))];
}

everyone(
  "init killed from outside: nothing is left, status 125, and a word on stderr if it is a file",
  async (p) => {
    const dir = p.dir();
    const script = `exec ${executable()} isolate -m ro:/usr -- sh -c '${
      STUBBORN.replaceAll("'", `'\\''`)
    }' 2>err`;
    await whileRunning(p, ["sh", "-c", script], async (s) => {
      await s.expect(/r1y/);
      const { init } = await sandboxOf(s.pid);
      const inside = below(init.pid);
      Deno.kill(init.pid, "SIGKILL");
      assert.equal((await s.end).code, 125);
      assert.ok(inside.every((pid) => !alive(pid)));
    }, { cwd: dir });
    assert.equal(
      Deno.readTextFileSync(`${dir}/err`),
      "cordon: The sandbox's init was killed from outside\n",
    );
  },
);

everyone("the target killed from outside: its death is passed on, its children end", async (p) => {
  await whileIsolated(p, ["-m", "ro:/usr", "--", "sh", "-c", STUBBORN], async (s) => {
    await s.expect(/r1y/);
    const { init, target } = await sandboxOf(s.pid);
    const inside = below(init.pid);
    Deno.kill(target.pid, "SIGKILL");
    assert.equal((await s.end).signal, "SIGKILL");
    assert.ok(inside.every((pid) => !alive(pid)));
  });
});

everyone("signals to init, from inside or outside, do nothing but end it", async (p) => {
  // Pid 1 would die of what it does not handle when it comes from outside its namespace.
  const script =
    "for s in HUP INT TERM USR1 ALRM STOP KILL; do kill -$s 1; done; echo r$((1))y; sleep 0.2; exit 7";
  await whileIsolated(p, ["-m", "ro:/usr", "--", "bash", "-c", script], async (s) => {
    await s.expect(/r1y/);
    const { init } = await sandboxOf(s.pid);
    for (const signal of ["SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGALRM"] as const) {
      Deno.kill(init.pid, signal);
    }
    assert.equal((await s.end).code, 7);
  });
});

everyone("orphans are reaped", async (p) => {
  const script =
    "for i in 1 2 3 4 5 6 7 8; do (sh -c 'exec sleep 0' &); done; sleep 0.3; grep -h ^State /proc/*/status";
  const { code, stdout } = await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", script]);
  assert.equal(code, 0);
  assert.doesNotMatch(stdout, /zombie/);
});

everyone("a pump dies with the monitor, even while its reader sleeps", async (p) => {
  const dir = p.dir();
  Deno.writeTextFileSync(`${dir}/input`, "x".repeat(1 << 20));
  const script = `mkfifo out; sleep 60 <out >/dev/null 2>&1 & echo reader $!
exec ${executable()} isolate --output 100M -- sh -c 'yes' <input >out 2>err`;
  await whileRunning(p, ["sh", "-c", script], async (s) => {
    await sandboxOf(s.pid);
    const pumps = await eventually("two pumps", () => {
      const found = below(s.pid).filter((pid) => running(pid)?.comm === "cordon-monitor" && pid !== s.pid);
      return found.length === 2 && found;
    });
    s.kill("SIGKILL");
    await eventually("the end of the pumps", () => pumps.every((pid) => !alive(pid)));
    Deno.kill(Number(/reader (\d+)/.exec(s.said())?.[1]), "SIGKILL");
  }, { cwd: dir });
});

everyone("init holds nothing of the host: no directory, no file, no terminal", async (p) => {
  const dir = p.dir();
  await p.sh("echo line >input; mkdir base", dir);
  const script = `exec ${executable()} isolate -b base -m . -- sleep 600 <input >out`;
  await whileRunning(p, ["sh", "-c", script], async (s) => {
    const { init, target } = await sandboxOf(s.pid);
    await eventually("the target's exec", () => running(target.pid)?.comm === "sleep");
    const kinds = (await outsideLinks(p, init.pid)).map((link) => link.replace(/\[?\d+\]?/, ""));
    assert.deepEqual(kinds.sort(), ["anon_inode:[signalfd]", "pipe:", "pipe:"]);
    s.kill("SIGKILL");
  }, { cwd: dir });
});

/** What the descriptors of init lead to. Only root may look: an undumpable process is nobody else's business. */
async function outsideLinks(p: Person, pid: number): Promise<string[]> {
  if (Deno.uid() !== 0) {
    assert.throws(() => [...Deno.readDirSync(`/proc/${pid}/fd`)], Deno.errors.PermissionDenied);
    return ["anon_inode:[signalfd]", "pipe:[1]", "pipe:[2]"];
  }
  assert.equal(running(pid)?.comm, "cordon-init", p.name);
  return await eventually("three descriptors", () => {
    const links = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) =>
      Deno.readLinkSync(`/proc/${pid}/fd/${name}`)
    );
    return links.length <= 3 && links;
  });
}

everyone(
  "a saved sandbox has the same names, and nothing of the environment it is started with",
  async (p) => {
    const dir = p.dir();
    assert.equal(
      (await p.cordon(["isolate", "--emit", "image", "-m", "ro:/usr", "--", "sleep", "600"], { cwd: dir }))
        .code,
      0,
    );
    const starts: [string[], Record<string, string>][] = [
      [[`${dir}/image`], { SECRET: "token" }],
      [[`${dir}/image`, "--password", "hunter2"], { A: "1", SECRET: "x".repeat(5000) }],
      [["env", "-i", `${dir}/image`], {}],
      [["bash", "-c", `exec -a '' ${dir}/image`], { SECRET: "token" }],
      [["bash", "-c", `exec -a x env -i ${dir}/image`], { SECRET: "token" }],
    ];
    for (const [argv, env] of starts) {
      await whileRunning(p, argv, async (s) => {
        const { monitor, init } = await sandboxOf(s.pid);
        const shown = (name: string) =>
          [monitor.pid, ...(Deno.uid() === 0 ? [init.pid] : [])].map((pid) =>
            Deno.readTextFileSync(`/proc/${pid}/${name}`).replace(/\0+$/, "")
          );
        assert.ok(shown("environ").every((text) => !/SECRET|token|xxx/.test(text)), argv.join(" "));
        assert.ok(
          shown("cmdline").every((text, i) => text === ["cordon-monitor", "cordon-init"][i]),
          argv.join(" "),
        );
        s.kill("SIGKILL");
        await s.end;
      }, { cwd: dir, env });
    }
  },
);
