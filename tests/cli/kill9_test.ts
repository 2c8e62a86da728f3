/** `kill -9` of monitor, init or target at random moments, set-up included: nothing survives. */
import assert from "node:assert/strict";
import { cordonArgv } from "../helpers/binary.ts";
import { everyone, ok, type Person, rootOnly } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";
import { PYTHON } from "../helpers/pty.ts";
import { run } from "../helpers/run.ts";
import { whileRunning } from "../helpers/processes.ts";
import { ordinaryUid } from "../helpers/user.ts";

const DRIVER = new URL("../helpers/kill9.py", import.meta.url).pathname;
const TARGET = "sleep 3600 & setsid sleep 3600 & exec sleep 3600";
const needs = [program(PYTHON), program("unshare")];

interface Found {
  hit: Record<string, number>;
  setup: number;
  survivors: unknown[];
  /** What changed: the mounts, or the names in TMPDIR, XDG_RUNTIME_DIR and the working directory. */
  left: Record<string, string[]>;
}

/** Runs the driver as this person in a pid namespace of its own. */
async function killings(
  p: Person,
  { dir, seed, times, most, command }: {
    dir: string;
    seed: number;
    times: number;
    most: number;
    command: string[];
  },
): Promise<Found> {
  await p.sh("mkdir -p tmp runtime; echo line >input; : >output", dir);
  Deno.copyFileSync(DRIVER, `${dir}/kill9.py`);
  const driver = [PYTHON, `${dir}/kill9.py`, String(seed), String(times), String(most), ...command];
  const id = String(ordinaryUid);
  const become = ["setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--inh-caps=-all", "--"];
  const argv = Deno.uid() === 0
    ? [
      "unshare",
      "--mount",
      "--pid",
      "--fork",
      "--mount-proc",
      "--kill-child",
      ...p.name === "user" ? become : [],
      ...driver,
    ]
    : [
      "unshare",
      "--user",
      "--map-current-user",
      "--mount",
      "--pid",
      "--fork",
      "--mount-proc",
      "--kill-child",
      ...driver,
    ];
  const env = { HOME: dir, TMPDIR: `${dir}/tmp`, XDG_RUNTIME_DIR: `${dir}/runtime` };
  return JSON.parse(ok(await run(argv, { cwd: dir, env, deadline: 240_000 })));
}

function nothingLeft(found: Found, times: number): void {
  assert.deepEqual(found.survivors, []);
  assert.deepEqual(found.left, {});
  assert.equal(Object.values(found.hit).reduce((sum, n) => sum + n), times);
}

everyone("killed 100 times from the start of the executable to the running target", async (p) => {
  const times = 100;
  const command = cordonArgv(["isolate", "-m", "tmp ro:/usr", "--", "sh", "-c", TARGET]);
  nothingLeft(await killings(p, { dir: p.dir(), seed: 1, times, most: 100, command }), times);
}, { needs });

everyone("killed 200 times within a saved sandbox's set-up and shortly after", async (p) => {
  const times = 200, dir = p.dir();
  await p.sh("mkdir tmp", dir);
  const emit = [
    "isolate",
    "--emit",
    "image",
    "-m",
    "tmp ro:/usr",
    "--output",
    "1M",
    "--",
    "sh",
    "-c",
    TARGET,
  ];
  assert.equal((await p.cordon(emit, { cwd: dir })).code, 0);
  const found = await killings(p, { dir, seed: 2, times, most: 12, command: [`${dir}/image`] });
  nothingLeft(found, times);
  assert.ok(found.setup > times / 20, `only ${found.setup} of ${times} during set-up`);
  assert.ok(Object.values(found.hit).every((n) => n > 0), JSON.stringify(found.hit));
}, { needs });

rootOnly("killed where programs in memory may not be executed, and the image is a file", async (p) => {
  const times = 60;
  const forbid = 'echo 2 >/proc/sys/vm/memfd_noexec && exec "$@"';
  const start = cordonArgv(["isolate", "-m", "tmp ro:/usr", "--", "sh", "-c", TARGET]);
  const command = ["sh", "-c", forbid, "sh", ...start];
  nothingLeft(await killings(p, { dir: p.dir(), seed: 3, times, most: 100, command }), times);
}, { needs: [...needs, { what: "the sysctl vm.memfd_noexec", met: noexecSwitch }] });

/** It belongs to the pid namespace: setting it in one of the test's own changes nothing outside. */
function noexecSwitch(): boolean | string {
  try {
    return Deno.statSync("/proc/sys/vm/memfd_noexec").isFile;
  } catch {
    return "this kernel has none (before Linux 6.3)";
  }
}

rootOnly("the control group of a killed sandbox goes at the next start", async (p) => {
  const groups = () =>
    Deno.readTextFileSync("/proc/self/cgroup").split("\n")
      .flatMap((line) => {
        const [, controllers = "", path = ""] = line.split(":");
        const base = controllers.includes("memory") ? `/sys/fs/cgroup/memory${path}` : undefined;
        return base === undefined ? [] : [...Deno.readDirSync(base)].map(({ name }) => name);
      }).filter((name) => name.startsWith("cordon-"));
  const limited = ["isolate", "-m", "ro:/usr", "--memory", "64M", "--"];
  let left: string[] = [];
  await whileRunning(p, cordonArgv([...limited, "sh", "-c", "echo r1y; exec sleep 600"]), async (s) => {
    await s.expect(/r1y/);
    const mine = groups().filter((name) => name.includes(`-${s.pid}-`));
    assert.equal(mine.length, 1);
    s.kill("SIGKILL");
    await s.end;
    left = mine;
  });
  assert.equal((await p.cordon([...limited, "true"])).code, 0);
  assert.deepEqual(groups().filter((name) => left.includes(name)), []);
}, { needs: [{ what: "a memory control group of version 1", met: memoryGroup }] });

function memoryGroup(): boolean | string {
  try {
    return Deno.statSync("/sys/fs/cgroup/memory/memory.limit_in_bytes").isFile;
  } catch {
    return "not mounted";
  }
}
