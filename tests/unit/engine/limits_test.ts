import assert from "node:assert/strict";
import { type LimitFacts, planLimits } from "../../../lib/engine/namespaces/limits.ts";
import { CordonError } from "../../../lib/errors.ts";
import type { CgroupSupport, ControllerSupport } from "../../../lib/host/cgroups.ts";
import { INFINITY } from "../../../lib/host/host.ts";
import type { Limits } from "../../../lib/spec/spec.ts";

const MIB = 1 << 20;
const NONE: ControllerSupport = { by: "none", why: "no delegation", hint: "ask the administrator" };

function facts(change: {
  uid?: number;
  kernel?: [number, number];
  nproc?: bigint;
  cgroups?: Partial<CgroupSupport["controllers"]>;
  reexec?: CgroupSupport["reexec"];
} = {}): LimitFacts {
  const free = { soft: INFINITY, hard: INFINITY };
  const [major, minor] = change.kernel ?? [6, 1];
  return {
    host: {
      uid: change.uid ?? 1000,
      kernel: { release: `${major}.${minor}.0`, major, minor },
      tasks: 300,
      rlimits: {
        CPU: free,
        FSIZE: free,
        DATA: free,
        CORE: free,
        NPROC: change.nproc === undefined ? free : { soft: change.nproc, hard: change.nproc },
      },
    },
    cgroups: {
      controllers: { memory: NONE, pids: NONE, cpu: NONE, ...change.cgroups },
      evacuate: false,
      ...(change.reexec ? { reexec: change.reexec } : {}),
    },
  };
}

function ask(limits: Partial<Limits>): Limits {
  return { tmpBytes: 256 * MIB, bestEffort: false, ...limits };
}

function refusal(limits: Partial<Limits>, host = facts()): CordonError {
  try {
    planLimits(ask(limits), host);
  } catch (error) {
    assert.ok(error instanceof CordonError);
    return error;
  }
  assert.fail("the limits were accepted");
}

Deno.test("asked for nothing: the size of /tmp and a high number of tasks", () => {
  const plan = planLimits(ask({}), facts());
  assert.deepEqual(plan, {
    rlimits: [{ resource: "NPROC", soft: 4096n, hard: 4096n }],
    enforced: {
      pids: { value: 4096, by: "rlimit", byDefault: true },
      tmpBytes: { value: 256 * MIB, by: "tmpfs" },
    },
  });
});

Deno.test("the guard on tasks is relative where the kernel counts the user's whole host", () => {
  const plan = planLimits(ask({}), facts({ kernel: [5, 13] }));
  assert.equal(plan.rlimits[0]?.soft, 4396n);
  assert.equal(planLimits(ask({}), facts({ kernel: [5, 14] })).rlimits[0]?.soft, 4096n);
});

Deno.test("the guard never gives more than the caller has, and root has none", () => {
  assert.equal(planLimits(ask({}), facts({ nproc: 512n })).rlimits[0]?.soft, 512n);
  assert.deepEqual(planLimits(ask({}), facts({ uid: 0 })).rlimits, []);
});

Deno.test("control groups hold what they can", () => {
  const parent = "/cg";
  const at = { by: "cgroup2", parent } as const;
  const plan = planLimits(
    ask({ memoryBytes: 64 * MIB, pids: 20, cpus: 1.5 }),
    facts({ cgroups: { memory: at, pids: at, cpu: { by: "cgroup1", parent: "/v1" } } }),
  );
  assert.deepEqual(plan.enforced.memoryBytes, { value: 64 * MIB, by: "cgroup2" });
  assert.deepEqual(plan.enforced.pids, { value: 20, by: "cgroup2" });
  assert.deepEqual(plan.enforced.cpus, { value: 1.5, by: "cgroup1" });
  assert.deepEqual(plan.cgroup?.groups.map((g) => [g.parent, g.controllers]), [
    ["/cg", ["memory", "pids"]],
    ["/v1", ["cpu"]],
  ]);
  assert.deepEqual(plan.rlimits, []);
});

Deno.test("a scope is asked for before anything is made", () => {
  const reexec = { argv: ["systemd-run", "--"], env: {} };
  const plan = planLimits(
    ask({ memoryBytes: MIB, bestEffort: true }),
    facts({ cgroups: { memory: { by: "reexec" } }, reexec }),
  );
  assert.deepEqual(plan.reexec, reexec);
  assert.equal(plan.cgroup, undefined);
  assert.equal(plan.enforced.memoryBytes?.by, "cgroup2");
});

Deno.test("without a control group a memory limit is refused, with the cause and both ways out", () => {
  const error = refusal({ memoryBytes: 64 * MIB });
  assert.equal(error.message, "Cannot limit the memory of the sandbox to 64M");
  assert.equal(error.why, "no delegation");
  assert.match(error.hint ?? "", /ask the administrator\nor add --best-effort/);
});

Deno.test("best effort: each process on its own, and reported so", () => {
  const plan = planLimits(ask({ memoryBytes: 64 * MIB, pids: 20, bestEffort: true }), facts());
  assert.deepEqual(plan.rlimits, [
    { resource: "DATA", soft: BigInt(64 * MIB), hard: BigInt(64 * MIB) },
    { resource: "NPROC", soft: 21n, hard: 21n },
  ]);
  assert.deepEqual(plan.enforced.memoryBytes, { value: 64 * MIB, by: "per-process" });
  assert.deepEqual(plan.enforced.pids, { value: 20, by: "per-process" });
});

Deno.test("processors need a control group, best effort or not", () => {
  assert.match(refusal({ cpus: 2, bestEffort: true }).why ?? "", /nothing but a control group/);
});

Deno.test("root's processes cannot be counted without a control group", () => {
  assert.match(refusal({ pids: 5, bestEffort: true }, facts({ uid: 0 })).why ?? "", /exempts root/);
});

Deno.test("limits that mean each process need no permission", () => {
  const plan = planLimits(ask({ cpuSeconds: 1.5, fileBytes: 10, coreBytes: 0 }), facts({ uid: 0 }));
  assert.deepEqual(plan.rlimits, [
    { resource: "CPU", soft: 2n, hard: 3n },
    { resource: "FSIZE", soft: 10n, hard: 10n },
    { resource: "CORE", soft: 0n, hard: 0n },
  ]);
  assert.equal(plan.enforced.cpuSeconds?.by, "rlimit");
});

Deno.test("what was inherited cannot be raised, and the result says what holds", () => {
  const host = facts({ uid: 0 });
  host.host.rlimits.FSIZE = { soft: 4n, hard: 8n };
  const plan = planLimits(ask({ fileBytes: 100 }), host);
  assert.deepEqual(plan.rlimits, [{ resource: "FSIZE", soft: 8n, hard: 8n }]);
  assert.equal(plan.enforced.fileBytes?.value, 8);
});

Deno.test("time and output are ours to count", () => {
  const { enforced } = planLimits(ask({ wallSeconds: 5, outputBytes: 99 }), facts());
  assert.deepEqual(enforced.wallSeconds, { value: 5, by: "timer" });
  assert.deepEqual(enforced.outputBytes, { value: 99, by: "pipe" });
});
