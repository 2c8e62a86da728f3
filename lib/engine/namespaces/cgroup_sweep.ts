/** Control groups that dead cordons left: how they are recognised, and their removal. */

import { CordonError } from "../../errors.ts";
import {
  type CgroupSupport,
  type CgroupSystem,
  CONTROLLERS,
  randomId,
  realCgroupSystem,
  words,
} from "../../host/cgroups.ts";

/**
 * Removes groups that dead cordons left beside where ours would be made, with whatever still runs in them. A group
 * is only touched when its name is one of ours, it belongs to our user, it was made in our pid namespace (a pid means
 * nothing elsewhere), and the process that made it is gone.
 * @returns directories removed, and those that could not be (a process in an unkillable sleep)
 */
export function sweepCgroups(
  support: CgroupSupport,
  system: CgroupSystem = realCgroupSystem,
): { removed: string[]; left: string[] } {
  const result: { removed: string[]; left: string[] } = { removed: [], left: [] };
  const parents = new Set<string>();
  for (const controller of CONTROLLERS) {
    const at = support.controllers[controller];
    if (at.by === "cgroup1" || at.by === "cgroup2") parents.add(at.parent);
  }
  for (const parent of parents) {
    for (const name of system.list(parent)) {
      const dir = `${parent}/${name}`;
      if (!isAbandoned(name, dir, system)) continue;
      (killAndRemove(dir, system) ? result.removed : result.left).push(dir);
    }
  }
  return result;
}

function killAndRemove(dir: string, system: CgroupSystem): boolean {
  for (let round = 0; round < 50; round++) {
    try {
      system.rmdir(dir);
      return true;
    } catch (error) {
      if (!system.exists(dir)) return true;
      if (!isBusy(error)) return false;
    }
    if (system.exists(`${dir}/cgroup.kill`)) {
      system.write(`${dir}/cgroup.kill`, "1");
    } else {
      // 0 stands for a process of another pid namespace.
      for (const pid of words(system.read(`${dir}/cgroup.procs`)).map(Number).filter((pid) => pid > 1)) {
        try {
          system.kill(pid);
        } catch (error) {
          if (system.exists(`/proc/${pid}`)) throw error;
        }
      }
    }
    system.pause(2);
  }
  return false;
}

const NAME = /^cordon-(\d+)-(\d+)-(\d+)-[0-9a-f]{16}$/;

/** `cordon-<pid namespace>-<pid>-<start time in ticks>-<random>`: enough to see later that its maker is dead. */
export function groupName(system: CgroupSystem): string {
  let own = makers.get(system);
  if (own === undefined) makers.set(system, own = maker(system));
  return `cordon-${own}-${randomId()}`;
}

/** It stays the same as long as we live, and a daemon needs it for each execution. */
const makers = new WeakMap<CgroupSystem, string>();

function maker(system: CgroupSystem): string {
  const pid = system.pid();
  const start = startTime(pid, system);
  if (start === undefined) {
    throw new CordonError(`Cannot read /proc/${pid}/stat`, { why: "/proc shows no processes of this user" });
  }
  return `${system.pidNamespace()}-${pid}-${start}`;
}

function isAbandoned(name: string, dir: string, system: CgroupSystem): boolean {
  return system.owner(dir) === system.uid() && makerIsGone(name, system);
}

/** Whether this is a name of {@link groupName} and the process that made it, in our pid namespace, has ended. */
export function makerIsGone(name: string, system: CgroupSystem): boolean {
  const match = NAME.exec(name);
  if (!match || match[1] !== system.pidNamespace()) return false;
  return isGone({ pid: Number(match[2]), start: match[3]! }, system);
}

/** Whether the process of this pid that started at this time (in ticks) has ended. */
export function isGone({ pid, start }: { pid: number; start: string }, system: CgroupSystem): boolean {
  return startTime(pid, system) !== start;
}

/** Field 22 of proc_pid_stat(5); the program name before it may hold spaces and parentheses. */
function startTime(pid: number, system: CgroupSystem): string | undefined {
  let text: string;
  try {
    text = system.read(`/proc/${pid}/stat`);
  } catch (error) {
    if (!system.exists(`/proc/${pid}`)) return undefined;
    throw error;
  }
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  // A dead process that nobody has waited for holds nothing any more.
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === "EBUSY";
}
