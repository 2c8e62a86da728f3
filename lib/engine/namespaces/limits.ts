/**
 * Decides how each limit is enforced, without I/O. A limit on the sandbox as a whole takes a control group; where
 * none can be had, resource limits (getrlimit(2)) hold each process on its own, and only if the caller accepts that.
 */

import { CordonError } from "../../errors.ts";
import type { CgroupSupport, Reexec } from "../../host/cgroups.ts";
import type { Host, RlimitName } from "../../host/host.ts";
import type { Limits } from "../../spec/spec.ts";
import { type CgroupPlan, type GroupLimits, planCgroup } from "./cgroup.ts";

/**
 * What enforces a limit: `cgroup1`/`cgroup2` hold the sandbox as a whole, `rlimit` is what the option promises for
 * each process, `per-process` is a resource limit standing in for a group's, `timer` is init's alarm, `pipe` counts
 * what passes, `tmpfs` is the size of the root.
 */
export type Enforcer = "cgroup1" | "cgroup2" | "per-process" | "rlimit" | "timer" | "pipe" | "tmpfs";

export type LimitName = Exclude<keyof Limits, "bestEffort">;

export interface Enforcement {
  /** In the unit of the limit's name. May be lower than asked: nobody can raise what they inherited. */
  value: number;
  by: Enforcer;
  /** Not asked for; cordon's own guard. */
  byDefault?: true;
}

/** For prlimit(2), in the target, after it has entered its user namespace. */
export interface Rlimit {
  resource: RlimitName;
  soft: bigint;
  hard: bigint;
}

export interface LimitPlan {
  rlimits: Rlimit[];
  cgroup?: CgroupPlan;
  /** Start again through this first, then plan anew: there the limits can be had. */
  reexec?: Reexec;
  /** Goes into the result object. */
  enforced: Partial<Record<LimitName, Enforcement>>;
}

export interface LimitFacts {
  host: Pick<Host, "uid" | "kernel" | "rlimits" | "tasks">;
  /** Needed when memory, pids or cpus are limited; probing is left out otherwise. */
  cgroups?: CgroupSupport | undefined;
}

/**
 * Room for an ordinary user's sandbox when nothing was asked: what RHEL gives a whole login, far above what a
 * notebook with its thread pools takes, far below what makes a machine unusable.
 */
export const DEFAULT_TASKS = 4096;
/** Init and the target's first process are counted too. */
const INIT_PIDS = 1;

/** Whether planning needs to know the control groups. */
export function needsCgroups(limits: Limits): boolean {
  return limits.memoryBytes !== undefined || limits.pids !== undefined || limits.cpus !== undefined;
}

/**
 * @throws CordonError for a limit that cannot be enforced as asked: a group limit without a control group (and
 * without `bestEffort`), `cpus` without one in any case, `pids` for root without one
 */
export function planLimits(limits: Limits, facts: LimitFacts): LimitPlan {
  const plan: LimitPlan = { rlimits: [], enforced: {} };
  planGroup(limits, facts, plan);
  planEach(limits, facts, plan);
  if (limits.pids === undefined) addTaskGuard(facts, plan);
  if (limits.wallSeconds !== undefined) {
    plan.enforced.wallSeconds = { value: limits.wallSeconds, by: "timer" };
  }
  if (limits.outputBytes !== undefined) plan.enforced.outputBytes = { value: limits.outputBytes, by: "pipe" };
  plan.enforced.tmpBytes = { value: limits.tmpBytes, by: "tmpfs" };
  return plan;
}

/** The limits that mean the sandbox as a whole. */
function planGroup(limits: Limits, facts: LimitFacts, plan: LimitPlan): void {
  if (!needsCgroups(limits)) return;
  const { cgroups } = facts;
  if (!cgroups) throw new Error("group limits were planned without probing the control groups");
  const inGroup: GroupLimits = {};
  for (const [name, controller] of GROUP_LIMITS) {
    const value = limits[name];
    if (value === undefined) continue;
    const at = cgroups.controllers[controller];
    if (at.by === "none") {
      addStandIn(name, value, { limits, facts, plan, why: at.why, hint: at.hint });
      continue;
    }
    inGroup[name] = value;
    plan.enforced[name] = { value, by: at.by === "cgroup1" ? "cgroup1" : "cgroup2" };
    if (at.by === "reexec" && cgroups.reexec) plan.reexec = cgroups.reexec;
  }
  if (plan.reexec) return;
  const groups = planCgroup(inGroup, cgroups);
  if (groups.groups.length > 0) plan.cgroup = groups;
}

const GROUP_LIMITS = [["memoryBytes", "memory"], ["pids", "pids"], ["cpus", "cpu"]] as const;

interface Missing {
  limits: Limits;
  facts: LimitFacts;
  plan: LimitPlan;
  why: string;
  hint: string | undefined;
}

/** A resource limit in place of a group limit, if there is one and the caller takes it. */
function addStandIn(name: "memoryBytes" | "pids" | "cpus", value: number, missing: Missing): void {
  const { limits, facts, plan, why, hint } = missing;
  const { host } = facts;
  switch (name) {
    case "cpus":
      throw new CordonError(`Cannot limit the sandbox to ${value} processors`, {
        why: `${why}; nothing but a control group limits this`,
        hint,
      });
    case "pids": {
      const what = `Cannot limit the sandbox to ${value} processes`;
      if (host.uid === 0) {
        throw new CordonError(what, { why: `${why}; the kernel exempts root from RLIMIT_NPROC`, hint });
      }
      if (!limits.bestEffort) throw withBestEffort(what, why, hint);
      const count = countedTasks(host) + value + INIT_PIDS;
      const set = addRlimit(plan, host, { resource: "NPROC", soft: BigInt(count) });
      plan.enforced.pids = { value: Math.min(value, Number(set)), by: "per-process" };
      return;
    }
    case "memoryBytes": {
      if (!limits.bestEffort) {
        throw withBestEffort(`Cannot limit the memory of the sandbox to ${formatBytes(value)}`, why, hint);
      }
      // RLIMIT_DATA and not RLIMIT_AS: address space that is only reserved kills Node and Java.
      const set = addRlimit(plan, host, { resource: "DATA", soft: BigInt(value) });
      plan.enforced.memoryBytes = { value: Number(set), by: "per-process" };
    }
  }
}

function withBestEffort(what: string, why: string, hint: string | undefined): CordonError {
  const instead = "add --best-effort to limit each process on its own instead";
  return new CordonError(what, { why, hint: hint ? `${hint}\nor ${instead}` : instead });
}

/** Adds the limits that mean each process. */
export function planEach(limits: Limits, facts: Pick<LimitFacts, "host">, plan: LimitPlan): void {
  const { host } = facts;
  if (limits.cpuSeconds !== undefined) {
    const seconds = Math.max(1, Math.ceil(limits.cpuSeconds));
    // One second between SIGXCPU and SIGKILL for a program that wants to say something.
    const set = addRlimit(plan, host, {
      resource: "CPU",
      soft: BigInt(seconds),
      hard: BigInt(seconds + 1),
    });
    plan.enforced.cpuSeconds = { value: Number(set), by: "rlimit" };
  }
  if (limits.fileBytes !== undefined) {
    const set = addRlimit(plan, host, { resource: "FSIZE", soft: BigInt(limits.fileBytes) });
    plan.enforced.fileBytes = { value: Number(set), by: "rlimit" };
  }
  if (limits.coreBytes !== undefined) {
    const set = addRlimit(plan, host, { resource: "CORE", soft: BigInt(limits.coreBytes) });
    plan.enforced.coreBytes = { value: Number(set), by: "rlimit" };
  }
}

/** A high limit on tasks, so that a fork bomb ends in EAGAIN. Root is exempt from it in the kernel. */
function addTaskGuard(facts: LimitFacts, plan: LimitPlan): void {
  const { host } = facts;
  if (host.uid === 0) return;
  const wanted = BigInt(countedTasks(host) + DEFAULT_TASKS);
  const { soft } = host.rlimits.NPROC;
  const set = addRlimit(plan, host, { resource: "NPROC", soft: wanted < soft ? wanted : soft });
  plan.enforced.pids = { value: Number(set), by: "rlimit", byDefault: true };
}

/**
 * How many tasks count against RLIMIT_NPROC before the sandbox has any. Since Linux 5.14 each user namespace counts
 * its own; before, every task of the user on the host counts, of which all tasks of the host are an upper bound that
 * costs one read.
 */
function countedTasks(host: LimitFacts["host"]): number {
  const { major, minor } = host.kernel;
  return major > 5 || (major === 5 && minor >= 14) ? 0 : host.tasks;
}

/** Adds the limit, cut to the inherited hard limit, which no capability of a user namespace can raise. */
function addRlimit(
  plan: LimitPlan,
  host: LimitFacts["host"],
  wanted: { resource: RlimitName; soft: bigint; hard?: bigint },
): bigint {
  const cap = host.rlimits[wanted.resource].hard;
  const least = (value: bigint) => value < cap ? value : cap;
  const soft = least(wanted.soft);
  plan.rlimits.push({ resource: wanted.resource, soft, hard: least(wanted.hard ?? wanted.soft) });
  return soft;
}

function formatBytes(bytes: number): string {
  for (const [unit, size] of [["G", 2 ** 30], ["M", 2 ** 20], ["K", 2 ** 10]] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes} bytes`;
}
