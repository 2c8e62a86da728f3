/**
 * The control groups of one sandbox: what to make is planned without I/O, made before the sandbox starts, joined by
 * its init, and removed by the monitor afterwards. A monitor that was killed leaves an empty group, which
 * `sweepCgroups` removes at the next start.
 */

import { CordonError } from "../../errors.ts";
import {
  type CgroupSupport,
  type CgroupSystem,
  type Controller,
  CONTROLLERS,
  realCgroupSystem,
  SUPERVISOR,
  words,
} from "../../host/cgroups.ts";
import { groupName } from "./cgroup_sweep.ts";

/** What the group as a whole may use; absent means no limit. */
export interface GroupLimits {
  /** Bytes, swap included. */
  memoryBytes?: number;
  /** Processes and threads, those of cordon's init not counted. */
  pids?: number;
  /** Processors' worth of time. */
  cpus?: number;
}

interface Setting {
  file: string;
  value: string;
  /** The kernel may lack this file (no swap accounting, before 4.19); without it the limit still holds. */
  optional?: boolean;
}

/** Groups to make: one on v2; on v1 one for each hierarchy. */
export interface CgroupPlan {
  groups: { parent: string; version: 1 | 2; controllers: Controller[]; settings: Setting[] }[];
  /** Move what stands in the v2 parent into its supervisor group first. */
  evacuate: boolean;
}

/** Where to read whether the memory limit ended something: the line `key N`, N > 0 when it did. */
export interface OomEvents {
  path: string;
  key: string;
}

/** Groups that exist. All paths are absolute, outside the sandbox. */
export interface Cgroup {
  /** A process joins by writing "0" to each; open them before entering a cgroup namespace. */
  procsFiles: string[];
  /** To be removed with rmdir when all processes are gone. */
  dirs: string[];
  oom?: OomEvents;
  /** Writing "1" kills all that is inside (v2, since Linux 5.14). */
  killFile?: string;
}

/** init itself stands in the group and needs a place beside the target's processes. */
const INIT_PIDS = 1;
const CPU_PERIOD_US = 100_000;
/** The kernel's smallest quota (sched-bwc). */
const CPU_MIN_QUOTA_US = 1_000;

/**
 * Lays out the groups for the limits. Every limit given must be one that `support` offers by `cgroup1` or `cgroup2`;
 * the caller (`planLimits`) has dealt with the others.
 */
export function planCgroup(limits: GroupLimits, support: CgroupSupport): CgroupPlan {
  const plan: CgroupPlan = { groups: [], evacuate: false };
  for (const controller of CONTROLLERS) {
    const at = support.controllers[controller];
    if (at.by !== "cgroup1" && at.by !== "cgroup2") continue;
    const version = at.by === "cgroup1" ? 1 : 2;
    const settings = controllerSettings(controller, limits, version);
    if (settings.length === 0) continue;
    const group = plan.groups.find((g) => g.parent === at.parent);
    if (group) {
      group.controllers.push(controller);
      group.settings.push(...settings);
    } else {
      plan.groups.push({ parent: at.parent, version, controllers: [controller], settings });
    }
    if (version === 2) plan.evacuate = support.evacuate;
  }
  return plan;
}

function controllerSettings(controller: Controller, limits: GroupLimits, version: 1 | 2): Setting[] {
  switch (controller) {
    case "memory": {
      if (limits.memoryBytes === undefined) return [];
      const value = String(limits.memoryBytes);
      return version === 1
        // The order matters: memsw may never be below the plain limit.
        ? [{ file: "memory.limit_in_bytes", value }, {
          file: "memory.memsw.limit_in_bytes",
          value,
          optional: true,
        }]
        : [
          { file: "memory.max", value },
          { file: "memory.swap.max", value: "0", optional: true },
          { file: "memory.oom.group", value: "1", optional: true },
        ];
    }
    case "pids":
      return limits.pids === undefined ? [] : [{ file: "pids.max", value: String(limits.pids + INIT_PIDS) }];
    case "cpu": {
      if (limits.cpus === undefined) return [];
      const quota = Math.round(limits.cpus * CPU_PERIOD_US);
      if (quota < CPU_MIN_QUOTA_US) {
        throw new CordonError(`A processor limit of ${limits.cpus} is too small`, {
          why: `the kernel's smallest is ${CPU_MIN_QUOTA_US / CPU_PERIOD_US} of one processor`,
        });
      }
      return version === 1
        ? [{ file: "cpu.cfs_period_us", value: String(CPU_PERIOD_US) }, {
          file: "cpu.cfs_quota_us",
          value: String(quota),
        }]
        : [{ file: "cpu.max", value: `${quota} ${CPU_PERIOD_US}` }];
    }
  }
}

/**
 * Makes the groups and sets their limits. Whatever was made is removed again when a step fails.
 * @throws CordonError naming the file or directory and the kernel's answer
 */
export function createCgroup(plan: CgroupPlan, system: CgroupSystem = realCgroupSystem): Cgroup {
  const name = groupName(system);
  const made: Cgroup = { procsFiles: [], dirs: [] };
  try {
    for (const group of plan.groups) {
      if (group.version === 2) prepareParent(group.parent, group.controllers, { plan, system });
      const dir = `${group.parent}/${name}`;
      step(`Making the control group ${dir}`, () => system.mkdir(dir));
      made.dirs.push(dir);
      for (const { file, value, optional } of group.settings) {
        if (optional && !system.exists(`${dir}/${file}`)) continue;
        step(`Writing ${value} to ${dir}/${file}`, () => system.write(`${dir}/${file}`, value));
      }
      made.procsFiles.push(`${dir}/cgroup.procs`);
      if (group.controllers.includes("memory")) made.oom = oomEvents(dir, group.version);
      if (system.exists(`${dir}/cgroup.kill`)) made.killFile = `${dir}/cgroup.kill`;
    }
    return made;
  } catch (error) {
    removeCgroup(made, system);
    throw error;
  }
}

function oomEvents(dir: string, version: 1 | 2): OomEvents {
  // Both files hold the count of processes killed under the same key (v1 since 4.13).
  return { path: `${dir}/${version === 1 ? "memory.oom_control" : "memory.events"}`, key: "oom_kill" };
}

/** Enables the controllers for the parent's children, after moving out what the kernel does not want to see there. */
function prepareParent(
  parent: string,
  controllers: Controller[],
  { plan, system }: { plan: CgroupPlan; system: CgroupSystem },
): void {
  const enabled = words(system.read(`${parent}/cgroup.subtree_control`));
  const missing = controllers.filter((name) => !enabled.includes(name));
  if (plan.evacuate) evacuate(parent, system);
  if (missing.length === 0) return;
  const value = missing.map((name) => `+${name}`).join(" ");
  const file = `${parent}/cgroup.subtree_control`;
  step(`Writing ${value} to ${file}`, () => system.write(file, value));
}

/** Repeats because a process may fork between the reading of the list and its own move. */
function evacuate(parent: string, system: CgroupSystem): void {
  const supervisor = `${parent}/${SUPERVISOR}`;
  if (!system.exists(supervisor)) {
    step(`Making the control group ${supervisor}`, () => {
      try {
        system.mkdir(supervisor);
      } catch (error) {
        // Another cordon of the same scope was faster.
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      }
    });
  }
  for (let round = 0; round < 100; round++) {
    const pids = words(system.read(`${parent}/cgroup.procs`));
    if (pids.length === 0) return;
    for (const pid of pids) {
      step(`Moving process ${pid} to ${supervisor}`, () => {
        try {
          system.write(`${supervisor}/cgroup.procs`, pid);
        } catch (error) {
          if (system.exists(`/proc/${pid}`)) throw error;
        }
      });
    }
  }
  throw new CordonError(`The control group ${parent} does not become empty`, {
    why: "new processes keep appearing in it, so the kernel allows no limits below it",
  });
}

/** Removes the directories of groups that are empty. What still holds processes stays for `sweepCgroups`. */
export function removeCgroup(group: Cgroup, system: CgroupSystem = realCgroupSystem): void {
  for (const dir of group.dirs) {
    try {
      system.rmdir(dir);
    } catch (error) {
      if (system.exists(dir) && codeOf(error) !== "EBUSY") throw error;
    }
  }
}

function step(what: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (error instanceof CordonError) throw error;
    const code = codeOf(error);
    throw new CordonError(code ? `${what}: ${code}` : `${what} failed`, {
      why: plainReason(error),
      cause: error,
    });
  }
}

function plainReason(error: unknown): string {
  switch (codeOf(error)) {
    case "EBUSY":
      return "processes stand in the parent group itself, where the kernel allows none beside limits";
    case "EACCES":
    case "EPERM":
      return "this user may not change it";
    case "EROFS":
      return "the cgroup file system is mounted read-only (a container's default)";
    case "ENOSPC":
    case "EAGAIN":
      return "the kernel's limit on the number of groups is reached (cgroup.max.descendants)";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

/** The errno name, where Deno gives one. */
function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" ? code : undefined;
}
