/**
 * Control groups for a server that starts as root and becomes another user: one of its own in each hierarchy, in which
 * that user may make those of its executions (as Delegate= of systemd.resource-control(5) does for a service).
 */
import { createCgroup, planCgroup } from "../engine/namespaces/cgroup.ts";
import { makerIsGone } from "../engine/namespaces/cgroup_sweep.ts";
import {
  type CgroupSupport,
  type CgroupSystem,
  CONTROLLERS,
  probeCgroups,
  realCgroupSystem,
} from "../host/cgroups.ts";
import { CordonError, reasonOf } from "../errors.ts";

/** What a group of everybody's has to hold: what is no limit. */
const UNLIMITED: Record<string, string> = {
  "memory.memsw.limit_in_bytes": "-1",
  "memory.limit_in_bytes": "-1",
  "memory.max": "max",
  "memory.swap.max": "max",
  "memory.oom.group": "0",
  "pids.max": "max",
  "cpu.cfs_quota_us": "-1",
  "cpu.max": "max 100000",
};
/** What the kernel wants to see written by whoever makes groups below (cgroups(7), delegation). */
const DELEGATED = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks"];
const LARGE = { memoryBytes: 2 ** 50, pids: 2 ** 20, cpus: navigator.hardwareConcurrency };

/** Makes the groups, gives them to the user and moves this process there. @throws CordonError */
export function delegateGroups(user: { uid: number; gid: number }): void {
  const support = probeCgroups();
  sweep(support, realCgroupSystem);
  const { procsFiles, dirs } = createCgroup(planCgroup(LARGE, support));
  try {
    for (const dir of dirs) {
      for (const [file, value] of Object.entries(UNLIMITED)) {
        if (realCgroupSystem.exists(`${dir}/${file}`)) realCgroupSystem.write(`${dir}/${file}`, value);
      }
      Deno.chownSync(dir, user.uid, user.gid);
      for (const file of DELEGATED) {
        if (realCgroupSystem.exists(`${dir}/${file}`)) Deno.chownSync(`${dir}/${file}`, user.uid, user.gid);
      }
    }
    for (const file of procsFiles) realCgroupSystem.write(file, String(Deno.pid));
  } catch (cause) {
    throw new CordonError("Cannot give the server control groups of its own", {
      why: reasonOf(cause),
      cause,
    });
  }
}

/** Removes what dead servers left: they could not, being nobody who may change the group above. */
function sweep({ controllers }: CgroupSupport, system: CgroupSystem): void {
  const parents = new Set(CONTROLLERS.flatMap((name) => {
    const at = controllers[name];
    return at.by === "cgroup1" || at.by === "cgroup2" ? [at.parent] : [];
  }));
  for (const parent of parents) {
    for (const name of system.list(parent)) {
      if (makerIsGone(name, system)) remove(`${parent}/${name}`, system);
    }
  }
}

function remove(dir: string, system: CgroupSystem): void {
  for (const name of system.list(dir)) remove(`${dir}/${name}`, system);
  try {
    system.rmdir(dir);
  } catch (error) {
    // Something still ends in there: the next start finds it.
    if (!(error instanceof Error)) throw error;
  }
}
