import assert from "node:assert/strict";
import { parseCgroupMounts, parseOwnGroups, probeCgroups } from "../../../lib/host/cgroups.ts";
import { FakeCgroups, OWN_PID, V2_MOUNT, v2Group } from "../../helpers/fake_cgroups.ts";

const ROOT = "/sys/fs/cgroup";
const SESSION = "/user.slice/user-1000.slice/session-3.scope";
const MANAGER = `${ROOT}/user.slice/user-1000.slice/user@1000.service`;
const ALL = "cpuset cpu io memory pids";

function v2Machine(own: string, files: Record<string, string>): Record<string, string> {
  return { "/proc/self/cgroup": `0::${own}\n`, "/proc/self/mountinfo": V2_MOUNT, ...files };
}

Deno.test("own groups are found by controller, also where two share a hierarchy", () => {
  const groups = parseOwnGroups("12:cpu,cpuacct:/a\n11:memory:/b:c\n1:name=systemd:/d\n0::/e\n");
  assert.equal(groups.get("cpu"), "/a");
  assert.equal(groups.get("memory"), "/b:c");
  assert.equal(groups.get(""), "/e");
});

Deno.test("cgroup mounts are told from other mounts, with escaped names", () => {
  const mounts = parseCgroupMounts(
    "1 0 0:1 / /proc rw - proc proc rw\n" +
      "2 0 0:2 /docker/x /sys/fs/c\\040g rw master:1 - cgroup cgroup rw,cpu,cpuacct\n" + V2_MOUNT,
  );
  assert.deepEqual(mounts.map((m) => [m.version, m.mountPoint, m.mountRoot]), [
    [1, "/sys/fs/c g", "/docker/x"],
    [2, "/sys/fs/cgroup", "/"],
  ]);
});

Deno.test("v2: a delegated group that holds only us is used after moving aside", () => {
  const base = `${MANAGER}/app.slice/mine.scope`;
  const support = probeCgroups(
    new FakeCgroups({
      files: v2Machine(
        base.slice(ROOT.length),
        v2Group(base, { controllers: "memory pids", procs: `${OWN_PID}\n` }),
      ),
    }),
  );
  assert.deepEqual(support.controllers.memory, { by: "cgroup2", parent: base });
  assert.deepEqual(support.controllers.pids, { by: "cgroup2", parent: base });
  assert.equal(support.controllers.cpu.by, "none");
  assert.equal(support.evacuate, true);
});

Deno.test("v2: a second cordon of the same scope starts from its supervisor group", () => {
  const base = `${MANAGER}/app.slice/mine.scope`;
  const own = `${base}/cordon-supervisor`;
  const support = probeCgroups(
    new FakeCgroups({
      files: v2Machine(own.slice(ROOT.length), {
        ...v2Group(base, { controllers: ALL, subtree: "memory" }),
        ...v2Group(own, { controllers: "memory", procs: `1 ${OWN_PID}` }),
      }),
    }),
  );
  assert.deepEqual(support.controllers.memory, { by: "cgroup2", parent: base });
  assert.equal(support.evacuate, false);
});

Deno.test("v2: from a login session a scope is asked of the user's systemd", () => {
  const files = v2Machine(SESSION, {
    ...v2Group(ROOT + SESSION, { controllers: ALL, procs: `${OWN_PID}\n44` }),
    [`${MANAGER}/cgroup.controllers`]: "memory pids",
    "/run/user/1000/systemd/private": "",
    "/run/systemd/private": "",
  });
  const machine = {
    files,
    readOnly: (path: string) => path.includes("session-3"),
    programs: { "systemd-run": "/usr/bin/systemd-run" },
  };
  const support = probeCgroups(new FakeCgroups(machine));
  assert.deepEqual(support.controllers.memory, { by: "reexec" });
  assert.deepEqual(support.reexec?.env, { XDG_RUNTIME_DIR: "/run/user/1000" });
  const argv = support.reexec?.argv ?? [];
  assert.deepEqual(argv.slice(0, 3), ["/usr/bin/systemd-run", "--user", "--scope"]);
  assert.match(argv.join(" "), /--unit=cordon-500-[0-9a-f]{16}\.scope -p Delegate=yes --$/);
  // systemd delegates memory and pids to users by default, not cpu.
  const cpu = support.controllers.cpu;
  assert.ok(cpu.by === "none" && /Delegate=cpu/.test(cpu.hint ?? ""));
});

Deno.test("v2: a group that neighbours share is left alone where systemd can give us our own", () => {
  const base = `${MANAGER}/app.slice/terminal.scope`;
  const support = probeCgroups(
    new FakeCgroups({
      files: v2Machine(base.slice(ROOT.length), {
        ...v2Group(base, { controllers: ALL, procs: `${OWN_PID} 44` }),
        [`${MANAGER}/cgroup.controllers`]: ALL,
        "/run/user/1000/systemd/private": "",
      }),
      programs: { "systemd-run": "/usr/bin/systemd-run" },
      env: { XDG_RUNTIME_DIR: "/run/user/1000" },
    }),
  );
  assert.deepEqual(support.controllers.memory, { by: "reexec" });
  assert.deepEqual(support.reexec?.env, {});
  assert.equal(support.evacuate, false);
});

Deno.test("v2: in the scope we asked for there is no second start", () => {
  const base = `${MANAGER}/app.slice/cordon-9-0123456789abcdef.scope`;
  const support = probeCgroups(
    new FakeCgroups({
      files: v2Machine(base.slice(ROOT.length), {
        ...v2Group(base, { controllers: "memory", procs: String(OWN_PID) }),
        [`${MANAGER}/cgroup.controllers`]: ALL,
        "/run/user/1000/systemd/private": "",
      }),
      programs: { "systemd-run": "/usr/bin/systemd-run" },
    }),
  );
  assert.equal(support.controllers.memory.by, "cgroup2");
  assert.equal(support.controllers.cpu.by, "none");
  assert.equal(support.reexec, undefined);
});

Deno.test("v2: root at the root of the hierarchy has nothing to move", () => {
  const files = v2Machine("/", v2Group(ROOT, { controllers: ALL, procs: "1\n2" }));
  delete files[`${ROOT}/cgroup.type`];
  const support = probeCgroups(new FakeCgroups({ files, uid: 0 }));
  assert.deepEqual(support.controllers.cpu, { by: "cgroup2", parent: ROOT });
  assert.equal(support.evacuate, false);
});

Deno.test("v2: a read-only cgroup mount, as in a container, offers nothing", () => {
  const files = v2Machine("/", v2Group(ROOT, { controllers: ALL, procs: "1" }));
  const support = probeCgroups(new FakeCgroups({ files, uid: 0, readOnly: () => true }));
  const memory = support.controllers.memory;
  assert.ok(memory.by === "none");
  assert.match(memory.why, /not delegated/);
  assert.equal(memory.hint, undefined);
});

Deno.test("v1: each controller has its own parent, seen through the mount's root", () => {
  const files = {
    "/proc/self/cgroup": "4:memory:/docker/abc/job\n3:pids:/docker/abc\n2:cpu,cpuacct:/elsewhere\n",
    "/proc/self/mountinfo": "31 23 0:1 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
      "32 23 0:2 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n" +
      "33 23 0:3 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
    "/sys/fs/cgroup/memory/job/cgroup.procs": "",
    "/sys/fs/cgroup/pids/cgroup.procs": "",
  };
  const support = probeCgroups(new FakeCgroups({ files, uid: 0 }));
  assert.deepEqual(support.controllers.memory, { by: "cgroup1", parent: "/sys/fs/cgroup/memory/job" });
  assert.deepEqual(support.controllers.pids, { by: "cgroup1", parent: "/sys/fs/cgroup/pids" });
  const cpu = support.controllers.cpu;
  assert.ok(cpu.by === "none" && /not visible/.test(cpu.why));
});

Deno.test("v1: an ordinary user learns that only root can", () => {
  const support = probeCgroups(
    new FakeCgroups({
      files: {
        "/proc/self/cgroup": "4:memory:/\n",
        "/proc/self/mountinfo": "31 23 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        "/sys/fs/cgroup/memory/cgroup.procs": "",
      },
      readOnly: () => true,
    }),
  );
  const memory = support.controllers.memory;
  assert.ok(memory.by === "none" && /only root/.test(memory.why));
  assert.equal(support.controllers.pids.by, "none");
});
