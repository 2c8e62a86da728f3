/** A group in which limits can be set, where the service manager of this user gives one (systemd-run(1)). */
import { startAgain } from "../engine/namespaces/engine.ts";
import { probeCgroups } from "../host/cgroups.ts";
import type { Host } from "../host/host.ts";

/**
 * Starts this process again in a scope of its own, where that is what its limits take and the manager plays along.
 * Otherwise it returns, and the limits that cannot be held are told later.
 */
export function enterScope(host: Host): void {
  const { reexec } = probeCgroups();
  if (!reexec) return;
  const [program = "", ...args] = reexec.argv;
  const tried = new Deno.Command(program, {
    // The name is for the real one.
    args: [...args.filter((word) => !word.startsWith("--unit=")), "true"],
    env: reexec.env,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).outputSync();
  if (tried.success) startAgain(reexec, host);
}
