import assert from "node:assert/strict";
import { createCgroup, planCgroup, removeCgroup } from "../../../lib/engine/namespaces/cgroup.ts";
import { sweepCgroups } from "../../../lib/engine/namespaces/cgroup_sweep.ts";
import { type CgroupSupport, probeCgroups, realCgroupSystem } from "../../../lib/host/cgroups.ts";
import { root, test } from "../../helpers/need.ts";
import { FakeCgroups, OWN_PID, statLine, v2Group } from "../../helpers/fake_cgroups.ts";

const BASE = "/sys/fs/cgroup/mine";
const MIB = 1 << 20;

function v2Support(evacuate = true): CgroupSupport {
  const at = { by: "cgroup2", parent: BASE } as const;
  return { controllers: { memory: at, pids: at, cpu: at }, evacuate };
}

function v2System(procs = String(OWN_PID)) {
  return new FakeCgroups({ files: v2Group(BASE, { controllers: "memory pids cpu", procs }) });
}

const ALL = { memoryBytes: 64 * MIB, pids: 10, cpus: 0.5 };

Deno.test("v2: processes leave the parent before controllers are enabled, then the group is made", () => {
  const system = v2System(`${OWN_PID}\n44`);
  const made = createCgroup(planCgroup(ALL, v2Support()), system);
  const dir = made.dirs[0]!;
  assert.match(dir, /^\/sys\/fs\/cgroup\/mine\/cordon-4026531836-500-77-[0-9a-f]{16}$/);
  assert.deepEqual(system.log, [
    `mkdir ${BASE}/cordon-supervisor`,
    `write ${BASE}/cordon-supervisor/cgroup.procs ${OWN_PID}`,
    `write ${BASE}/cordon-supervisor/cgroup.procs 44`,
    `write ${BASE}/cgroup.subtree_control +memory +pids +cpu`,
    `mkdir ${dir}`,
    `write ${dir}/memory.max ${64 * MIB}`,
    `write ${dir}/memory.swap.max 0`,
    `write ${dir}/memory.oom.group 1`,
    `write ${dir}/pids.max 11`,
    `write ${dir}/cpu.max 50000 100000`,
  ]);
  assert.deepEqual(made, {
    procsFiles: [`${dir}/cgroup.procs`],
    dirs: [dir],
    oom: { path: `${dir}/memory.events`, key: "oom_kill" },
    killFile: `${dir}/cgroup.kill`,
  });
  removeCgroup(made, system);
  assert.equal(system.exists(dir), false);
});

Deno.test("v2: controllers already enabled are not written again", () => {
  const system = new FakeCgroups({
    files: v2Group(BASE, { controllers: "memory pids", subtree: "memory pids" }),
  });
  createCgroup(planCgroup({ pids: 1 }, v2Support(false)), system);
  assert.deepEqual(system.log.filter((line) => line.includes("subtree_control")), []);
});

Deno.test("v1: one group in each hierarchy, the swap limit after the memory limit", () => {
  const files: Record<string, string> = {};
  for (
    const file of [
      "memory/memory.limit_in_bytes",
      "memory/memory.memsw.limit_in_bytes",
      "memory/cgroup.procs",
    ]
  ) {
    files[`/cg/${file}`] = "";
  }
  for (
    const file of ["pids/pids.max", "pids/cgroup.procs", "cpu/cpu.cfs_period_us", "cpu/cpu.cfs_quota_us"]
  ) {
    files[`/cg/${file}`] = "";
  }
  const support: CgroupSupport = {
    controllers: {
      memory: { by: "cgroup1", parent: "/cg/memory" },
      pids: { by: "cgroup1", parent: "/cg/pids" },
      cpu: { by: "cgroup1", parent: "/cg/cpu" },
    },
    evacuate: false,
  };
  const system = new FakeCgroups({ files, uid: 0 });
  const made = createCgroup(planCgroup(ALL, support), system);
  const [memory, pids, cpu] = made.dirs;
  assert.deepEqual(system.log, [
    `mkdir ${memory}`,
    `write ${memory}/memory.limit_in_bytes ${64 * MIB}`,
    `write ${memory}/memory.memsw.limit_in_bytes ${64 * MIB}`,
    `mkdir ${pids}`,
    `write ${pids}/pids.max 11`,
    `mkdir ${cpu}`,
    `write ${cpu}/cpu.cfs_period_us 100000`,
    `write ${cpu}/cpu.cfs_quota_us 50000`,
  ]);
  assert.deepEqual(made.oom, { path: `${memory}/memory.oom_control`, key: "oom_kill" });
  assert.equal(made.killFile, undefined);
});

Deno.test("a failing step says which file and leaves no group", () => {
  const system = v2System();
  system.fail = (action) => {
    if (action.includes("memory.max")) throw Object.assign(new Error("denied"), { code: "EACCES" });
  };
  assert.throws(() => createCgroup(planCgroup(ALL, v2Support()), system), /memory\.max: EACCES/);
  assert.deepEqual(system.list(BASE), ["cordon-supervisor"]);
});

Deno.test("a processor limit below what the kernel can do is refused", () => {
  assert.throws(() => planCgroup({ cpus: 0.001 }, v2Support()), /limit of 0\.001 is too small/);
});

Deno.test("the sweep takes only abandoned groups of this user and pid namespace", () => {
  const id = "0123456789abcdef";
  const name = (ns: number, pid: number, start: number) => `cordon-${ns}-${pid}-${start}-${id}`;
  const dead = name(4026531836, 600, 5);
  const reused = name(4026531836, 601, 5);
  const zombie = name(4026531836, 602, 5);
  const kept = [
    name(4026531836, OWN_PID, 77), // alive
    name(4026531999, 600, 5), // another pid namespace: the pid means nothing here
    name(4026531836, 603, 5), // another user's
    "cordon-supervisor",
    "cordon-1-2-3-x",
    "somebody-elses",
  ];
  const files: Record<string, string> = {
    ...v2Group(BASE, { controllers: "memory" }),
    "/proc/601/stat": statLine(601, 6),
    "/proc/602/stat": statLine(602, 5, "Z"),
  };
  for (const dir of [dead, reused, zombie, ...kept]) files[`${BASE}/${dir}/cgroup.procs`] = "900";
  files[`${BASE}/${dead}/cgroup.kill`] = "";
  const system = new FakeCgroups({ files, owners: { [`${BASE}/${kept[2]}`]: 1234 } });
  const result = sweepCgroups(v2Support(), system);
  assert.deepEqual(result, { removed: [dead, reused, zombie].map((n) => `${BASE}/${n}`), left: [] });
  assert.deepEqual(system.list(BASE).sort(), [...kept].sort());
  assert.deepEqual(system.log.filter((line) => !line.startsWith("rmdir")), [
    `write ${BASE}/${dead}/cgroup.kill 1`,
    "kill 900",
  ]);
});

const canMakeGroups = {
  what: "memory and pids control groups below our own",
  met() {
    const { controllers } = probeCgroups();
    for (const at of [controllers.memory, controllers.pids]) {
      if (at.by === "none") return at.why;
      if (at.by === "reexec") return "only through a systemd scope";
    }
    return true;
  },
};

/** Runs a shell that joins the group as init would, then executes the script. */
function inGroup(group: { procsFiles: string[] }, script: string): Deno.ChildProcess {
  const join = group.procsFiles.map((file) => `echo 0 > '${file}'`).join(" && ");
  return new Deno.Command("/bin/sh", {
    args: ["-c", `${join} && ${script}`],
    stdout: "piped",
    stderr: "null",
  })
    .spawn();
}

test(
  "the kernel holds a real group to its memory and pids limits",
  { needs: [root, canMakeGroups] },
  async () => {
    const group = createCgroup(planCgroup({ memoryBytes: 32 * MIB, pids: 4 }, probeCgroups()));
    try {
      // tail keeps the one endless line in memory.
      const greedy = await inGroup(group, "tail /dev/zero; exec sh -c 'exit $0' $?").output();
      assert.notEqual(greedy.code, 0);
      const events = realCgroupSystem.read(group.oom!.path);
      assert.match(events, new RegExp(`^${group.oom!.key} [1-9]`, "m"));
      // The shell and three more fit beside init's place; the rest cannot be forked.
      const forks = await inGroup(group, "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait").output();
      assert.notEqual(forks.code, 0);
      const few = await inGroup(group, "sleep 0 & sleep 0 & wait").output();
      assert.equal(few.code, 0);
    } finally {
      removeCgroup(group);
    }
    for (const dir of group.dirs) assert.equal(realCgroupSystem.exists(dir), false);
  },
);

test("a group whose maker was killed goes at the next start, with what runs in it", {
  needs: [root, canMakeGroups],
}, async () => {
  const support = probeCgroups();
  const maker = new Deno.Command("sleep", { args: ["1000"] }).spawn();
  const group = createCgroup(planCgroup({ memoryBytes: 32 * MIB, pids: 4 }, support), {
    ...realCgroupSystem,
    pid: () => maker.pid,
  });
  const left = inGroup(group, "echo in; exec sleep 1000");
  const reader = left.stdout.getReader();
  await reader.read();
  assert.deepEqual(sweepCgroups(support).removed.filter((dir) => group.dirs.includes(dir)), []);
  maker.kill("SIGKILL");
  await maker.status;
  const swept = sweepCgroups(support);
  assert.deepEqual(group.dirs.filter((dir) => !swept.removed.includes(dir)), []);
  assert.equal((await left.status).signal, "SIGKILL");
  await reader.cancel();
});
