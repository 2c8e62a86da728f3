/** The limits of `cordon isolate`, tried on programs that exceed them. */
import assert from "node:assert/strict";
import { everyone, listing, ok, refused, rootOnly, userOnly } from "../helpers/everyone.ts";
import { type Need, program } from "../helpers/need.ts";

const python = { needs: [program("python3")] };

/** A controller root can make groups of: on cgroup v1, or on v2 where it is delegated to children. */
function controller(name: string): Need {
  return {
    what: `the ${name} controller of control groups`,
    met: () => {
      try {
        const line = Deno.readTextFileSync("/proc/cgroups").split("\n").find((l) =>
          l.startsWith(`${name}\t`)
        );
        return line?.endsWith("\t1") || `/proc/cgroups says: ${line}`;
      } catch (error) {
        return String(error);
      }
    },
  };
}

const eat = (
  mib: number,
) => [
  "python3",
  "-c",
  `b = bytearray(${mib} << 20)\nfor i in range(0, len(b), 4096): b[i] = 1\nprint("ate")`,
];

/** The parent ends when it holds its memory and the child, still holding its own, has said so or has died. */
const EAT_BY_TWO = [
  "python3",
  "-c",
  `import os, signal
r, w = os.pipe()
pid = os.fork()
b = bytearray(45 << 20)
for i in range(0, len(b), 4096): b[i] = 1
if pid == 0:
    os.write(w, b"x")
    signal.pause()
os.close(w)
print("both" if os.read(r, 1) else "one")`,
];

rootOnly("--memory holds for the sandbox as a whole: status 137", async (p) => {
  const cwd = p.dir();
  assert.equal(ok(await p.isolate(["--memory", "200M", ...eat(40)], { cwd })), "ate");
  const killed = await p.isolate(["--memory", "64M", ...eat(400)], { cwd });
  assert.deepEqual([killed.code, killed.stdout], [137, ""]);
  // Two processes that hold 45 MiB each, at the same time.
  assert.equal(ok(await p.isolate(["--memory", "200M", ...EAT_BY_TWO], { cwd })), "both");
  const both = await p.isolate(["--memory", "64M", ...EAT_BY_TWO], { cwd });
  assert.ok(both.code === 137 || both.stdout === "one\n", JSON.stringify(both));
}, { needs: [program("python3"), controller("memory")] });

userOnly(
  "--memory without a control group: refused by name, or for each process with --best-effort",
  async (p) => {
    const cwd = p.dir();
    const outcome = await p.isolate(["--memory", "64M", ...eat(10)], { cwd });
    if (outcome.code === 0) return; // delegated: the sandbox as a whole
    refused(outcome, /Cannot limit the memory of the sandbox to 64M/, /cgroup/, /hint: add --best-effort/);
    assert.equal(ok(await p.isolate(["--memory", "64M", "--best-effort", ...eat(10)], { cwd })), "ate");
    const over = await p.isolate(["--memory", "64M", "--best-effort", ...eat(100)], { cwd });
    assert.equal(over.code, 1);
    assert.match(over.stderr, /MemoryError/);
  },
  python,
);

const FORKS = `import os, time
n = 0
try:
  while n < 200:
    if os.fork() == 0: time.sleep(60); os._exit(0)
    n += 1
except BlockingIOError: pass
print(n)`;

everyone("--pids bounds processes", async (p) => {
  const cwd = p.dir();
  const outcome = await p.isolate(["--pids", "20", "python3", "-c", FORKS], { cwd });
  const bounded = outcome.code === 125 && p.name === "user"
    ? await p.isolate(["--pids", "20", "--best-effort", "python3", "-c", FORKS], { cwd })
    : outcome;
  if (bounded !== outcome) {
    refused(outcome, /Cannot limit the sandbox to 20 processes/, /hint: add --best-effort/);
  }
  assert.equal(bounded.code, 0, bounded.stderr);
  const n = Number(bounded.stdout);
  assert.ok(n > 5 && n <= 20, `${n} processes`);
}, { needs: [program("python3"), controller("pids")] });

userOnly("--cpus without a control group is refused, --best-effort or not", async (p) => {
  const cwd = p.dir();
  for (const more of [[], ["--best-effort"]]) {
    const outcome = await p.isolate(["--cpus", "0.5", ...more, "true"], { cwd });
    if (outcome.code !== 0) {
      refused(outcome, /Cannot limit the sandbox to 0.5 processors/, /nothing but a control group/);
    }
  }
});

rootOnly("--cpus sets the group's quota", async (p) => {
  const cwd = p.dir();
  const group = "cat /proc/self/cgroup";
  const path = ok(await p.isolate(["--cpus", "0.5", "sh", "-c", group], { cwd }));
  assert.match(path, /cpu/);
  assert.equal((await p.isolate(["--cpus", "0.5", "true"], { cwd })).code, 0);
}, { needs: [controller("cpu")] });

everyone("--file-size: a larger file cannot be written", async (p) => {
  const cwd = p.dir();
  const outcome = await p.isolate([
    "--file-size",
    "64K",
    "sh",
    "-c",
    "head -c 65536 /dev/zero > a; head -c 65537 /dev/zero > b",
  ], { cwd });
  assert.notEqual(outcome.code, 0);
  assert.deepEqual(["a", "b"].map((f) => Deno.statSync(`${cwd}/${f}`).size), [65536, 65536]);
});

everyone("--cpu-time ends a process that computes, not one that sleeps", async (p) => {
  const cwd = p.dir();
  const spin = await p.isolate(["--cpu-time", "1", "sh", "-c", "while :; do :; done"], { cwd });
  assert.ok(spin.code === 137 || spin.code === 152, `status ${spin.code}`);
  ok(await p.isolate(["--cpu-time", "1", "sleep", "1.5"], { cwd }));
});

everyone("--time: status 124", async (p) => {
  const outcome = await p.isolate([
    "--time",
    "300ms",
    "sh",
    "-c",
    "echo a; trap '' TERM INT; while :; do sleep 1; done",
  ], {
    cwd: p.dir(),
  });
  assert.deepEqual([outcome.code, outcome.stdout], [124, "a\n"]);
});

everyone("--output: status 137, and not a byte more", async (p) => {
  const { code, stdout } = await p.isolate(["--output", "1000", "sh", "-c", "yes"], { cwd: p.dir() });
  assert.deepEqual([code, stdout.length], [137, 1000]);
});

everyone("--tmp-size: full inside only", async (p) => {
  const cwd = p.dir();
  const fill =
    "head -c 3000000 /dev/zero > /tmp/a && echo first; head -c 3000000 /dev/zero > /tmp/b; rm /tmp/*; " +
    "head -c 3000000 /dev/zero > ~/c && echo again; head -c 3000000 /dev/zero > /var/tmp/d; head -c 5000000 /dev/zero > here && echo here";
  const outcome = await p.isolate(["--tmp-size", "4M", "sh", "-c", fill], {
    cwd,
    env: { HOME: "/home/somebody" },
  });
  assert.equal(outcome.stdout, "first\nagain\nhere\n");
  assert.equal(outcome.stderr.match(/No space left on device/g)?.length, 2);
  assert.equal(await p.sh("stat -c %s here", cwd), "5000000");
  const shm = await p.isolate(["--tmp-size", "4M", "sh", "-c", "head -c 5000000 /dev/zero > /dev/shm/x"], {
    cwd,
  });
  assert.match(shm.stderr, /No space left on device/);
});

everyone("inodes run out inside only", async (p) => {
  const cwd = p.dir();
  const many = "import os\nn = 0\ntry:\n  while n < 100000:\n    open(f'/tmp/{n}', 'w').close(); n += 1\n" +
    "except OSError as e: print(e.strerror, n < 5000)";
  assert.equal(
    ok(await p.isolate(["--tmp-size", "1M", "python3", "-c", many], { cwd })),
    "No space left on device True",
  );
}, python);

everyone("a tmp mount is as small as --tmp-size", async (p) => {
  const cwd = p.dir();
  const outcome = await p.isolate([
    "--tmp-size",
    "1M",
    "-m",
    "tmp:/srv/t",
    "sh",
    "-c",
    "head -c 2000000 /dev/zero > /srv/t/f",
  ], { cwd });
  assert.match(outcome.stderr, /No space left on device/);
});

everyone("--core: whether and how large", async (p) => {
  const cwd = p.dir();
  const limit = ["sh", "-c", "ulimit -Sc; ulimit -Hc"];
  assert.equal(ok(await p.isolate(["--core", "0", ...limit], { cwd })), "0\n0");
  const outside = await p.sh("ulimit -Hc", cwd);
  if (outside !== "0") assert.equal(ok(await p.isolate(["--core", "1M", ...limit], { cwd })), "2048\n2048");
});

userOnly("an ordinary user's sandbox cannot fork without end", async (p) => {
  const limit = Number(ok(await p.isolate(["bash", "-c", "ulimit -Hu"], { cwd: p.dir() })));
  assert.ok(limit > 0 && limit < 100_000, String(limit));
});

everyone("a limit leaves nothing behind", async (p) => {
  const dir = p.dir();
  const before = await listing(dir);
  const groups = () =>
    p.sh("find /sys/fs/cgroup -maxdepth 6 -type d -name '*cordon*' 2>/dev/null | sort || true", dir);
  const was = await groups();
  const limits = [
    "--time",
    "5",
    "--tmp-size",
    "1M",
    ...(p.name === "root" ? ["--memory", "64M", "--pids", "50"] : []),
  ];
  ok(await p.isolate([...limits, "true"], { cwd: dir }));
  assert.equal(await listing(dir), before);
  assert.equal(await groups(), was);
}, { needs: [controller("memory"), controller("pids")] });

everyone("sizes, counts and times that are none", async (p) => {
  const cwd = p.dir();
  const bad: [string, string][] = [
    ["--memory", "-1"],
    ["--memory", "lots"],
    ["--memory", "0"],
    ["--memory", "9223372036854775808"],
    ["--memory", "8388608T"],
    ["--memory", "1.5"],
    ["--memory", ""],
    ["--tmp-size", "0"],
    ["--tmp-size", "1e9"],
    ["--file-size", "99999999999999999999999999"],
    ["--pids", "0"],
    ["--pids", "-5"],
    ["--pids", "1.5"],
    ["--cpus", "0"],
    ["--cpus", "NaN"],
    ["--time", "0"],
    ["--time", "-3s"],
    ["--time", "1e400"],
    ["--cpu-time", "soon"],
    ["--output", "0x10"],
    ["--core", "∞"],
  ];
  for (const [option, value] of bad) {
    const said = refused(await p.isolate([`${option}=${value}`, "true"], { cwd }), /Wanted /);
    assert.ok(said.includes(`Cannot use ${JSON.stringify(value)} for ${option}`), said);
  }
  // The largest that is a size is one.
  for (const option of ["--tmp-size", "--file-size", "--core"]) {
    ok(await p.isolate([`${option}=9223372036854775807`, "true"], { cwd }));
  }
});
