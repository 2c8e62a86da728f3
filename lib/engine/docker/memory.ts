/** Whether memory ran out, from the engines that do not say so: Podman on cgroup v1 enforces the limit in silence. */
import type { DockerClient } from "./client.ts";

/**
 * Reads the group of a container that has just ended: it stands until the engine has noticed. False when there is
 * nothing to read, as with an engine on another machine.
 */
export async function outOfMemory({ engine, facts }: DockerClient, id: string): Promise<boolean> {
  if (engine.name !== "podman" || facts.cgroupVersion === "2" || engine.endpoint.kind !== "unix") {
    return false;
  }
  const group = facts.cgroupDriver === "systemd"
    ? `machine.slice/libpod-${id}.scope`
    : `libpod_parent/libpod-${id}`;
  try {
    const text = await Deno.readTextFile(`/sys/fs/cgroup/memory/${group}/memory.oom_control`);
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) > 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return false;
    // ENODEV: it went away between opening and reading.
    if (error instanceof Error && /os error 19\b/.test(error.message)) return false;
    throw error;
  }
}
