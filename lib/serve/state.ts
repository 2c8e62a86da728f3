/** Where the daemon keeps what must survive it. */
import { CordonError, reasonOf } from "../errors.ts";
import type { Host } from "../host/host.ts";

/** As systemd names it (StateDirectory= of systemd.exec(5)), else /var/lib for root, else the XDG base directory. */
export function stateDirectory({ uid, env, home }: Pick<Host, "uid" | "env" | "home">): string {
  const given = env["STATE_DIRECTORY"]?.split(":")[0];
  if (given) return given;
  if (uid === 0) return "/var/lib/cordon";
  return `${env["XDG_STATE_HOME"] || `${home}/.local/state`}/cordon`;
}

/** Makes it, private to its owner. @throws CordonError when it cannot be used, or others may enter it */
export function prepareState(path: string, owner?: { uid: number; gid: number }): void {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    if (owner) Deno.chownSync(path, owner.uid, owner.gid);
    Deno.chmodSync(path, 0o700);
  } catch (cause) {
    throw new CordonError(`Cannot use the state directory ${path}`, { why: reasonOf(cause), cause });
  }
}
