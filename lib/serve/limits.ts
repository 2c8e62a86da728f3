/** What an execution gets when nothing is said, as far as this host can enforce it. Pure. */
import type { CgroupSupport } from "../host/cgroups.ts";
import type { Limits } from "../spec/spec.ts";

const WANTED = { memoryBytes: 512 * 2 ** 20, pids: 128, cpus: 1 } as const;

/** The limits, and what must be told of those that hold less or not at all. */
export function defaultLimits({ controllers }: CgroupSupport): { limits: Limits; notes: string[] } {
  const limits: Limits = { wallSeconds: 60, tmpBytes: 256 * 2 ** 20, coreBytes: 0, bestEffort: false };
  const notes: string[] = [];
  // A group that takes a new start cannot be had for one execution: it counts as none.
  const held = (name: "memory" | "pids" | "cpu") => controllers[name].by.startsWith("cgroup");
  if (held("memory")) limits.memoryBytes = WANTED.memoryBytes;
  else notes.push("no memory limit: this user has no control group for it");
  if (held("pids")) limits.pids = WANTED.pids;
  else notes.push("no limit of 128 processes: this user has no control group for it");
  if (held("cpu")) limits.cpus = WANTED.cpus;
  else notes.push("no processor limit: this user has no control group for it");
  return { limits, notes };
}
