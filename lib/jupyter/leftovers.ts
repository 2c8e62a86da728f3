/** What a crashed launch leaves behind, and how it is told from what a living one uses. */
import { join } from "node:path";
import { groupName, isGone, makerIsGone } from "../engine/namespaces/cgroup_sweep.ts";
import { CordonError } from "../errors.ts";
import { type CgroupSystem, realCgroupSystem } from "../host/cgroups.ts";

/** A name for a private directory of this process: random, and its maker's death can be told from it later. */
export function privateName(system: CgroupSystem = realCgroupSystem): string {
  return groupName(system);
}

/** The value of a container's label `cordon.launcher`: this process, for good. */
export function launcherLabel(system: CgroupSystem = realCgroupSystem): string {
  const [, namespace, pid, start] = groupName(system).split("-");
  return `${namespace}:${pid}:${start}`;
}

/**
 * Whether the process of a launcher label (`PID:STARTTIME`, after the number of its pid namespace where that is
 * known) has ended. Of a process in another pid namespace nothing can be told: it counts as alive.
 */
export function launcherIsGone(label: string, system: CgroupSystem = realCgroupSystem): boolean {
  const match = /^(?:(\d+):)?(\d+):(\d+)$/.exec(label);
  if (!match || (match[1] !== undefined && match[1] !== system.pidNamespace())) return false;
  return isGone({ pid: Number(match[2]), start: match[3]! }, system);
}

/** Directories in which launches make private ones. */
export function privateParents(env: Readonly<Record<string, string | undefined>>): string[] {
  return [...new Set([env["XDG_RUNTIME_DIR"], env["TMPDIR"], "/tmp"])]
    .filter((path): path is string => path?.startsWith("/") === true);
}

/** Removes the caller's private directories whose makers are dead. */
export function sweepDirectories(
  parents: readonly string[],
  system: CgroupSystem = realCgroupSystem,
): { removed: string[]; left: string[] } {
  const result: { removed: string[]; left: string[] } = { removed: [], left: [] };
  for (const parent of parents) {
    for (const name of directoriesIn(parent, system)) {
      const path = join(parent, name);
      if (system.owner(path) !== system.uid() || !makerIsGone(name, system)) continue;
      try {
        removeTree(path);
        result.removed.push(path);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        result.left.push(path);
      }
    }
  }
  return result;
}

/**
 * Removes a launch's directory if it is there. The kernel has written into it, and may have left directories that
 * nobody can enter, or more of them one in another than a path can name: chmod(1) and rm(1) know what to do.
 */
export function removeTree(path: string): void {
  try {
    return Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
  }
  for (const [program, ...args] of [["chmod", "-R", "u+rwx", "--", path], ["rm", "-rf", "--", path]]) {
    const { success, stderr } = new Deno.Command(program!, { args, stdout: "null", stderr: "piped" })
      .outputSync();
    if (success || program === "chmod") continue;
    const why = new TextDecoder().decode(stderr).trim().split("\n")[0];
    throw new CordonError(`Cannot remove ${path}`, { why });
  }
}

/** Symlinks are not among them. */
function directoriesIn(parent: string, system: CgroupSystem): string[] {
  try {
    return system.list(parent);
  } catch (error) {
    // There is no runtime directory without a login session.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return [];
    throw error;
  }
}
