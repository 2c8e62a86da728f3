/** What the host shows of doors: the impure half of `doors.ts`. */
import { hostFs, textOf } from "../host/fs.ts";
import type { Host } from "../host/host.ts";
import type { DoorFacts } from "./doors.ts";

export function doorFacts({ uid, user, home, env }: Host): DoorFacts {
  return {
    uid,
    user,
    home,
    env,
    sshConfig: textOf(`${home}/.ssh/config`) + "\n" + textOf("/etc/ssh/ssh_config"),
    listening: textOf("/proc/net/unix"),
    look(path) {
      try {
        const { isDirectory, isSymlink, uid } = Deno.lstatSync(path);
        return { type: isDirectory ? "directory" : isSymlink ? "symlink" : "other", uid: uid ?? 0 };
      } catch {
        return undefined; // not there, or in a directory that this user cannot search: no door for him
      }
    },
    real(path) {
      const real = hostFs.realpath(path);
      return typeof real === "string" ? real : path;
    },
  };
}

/**
 * Makes tmux's directory, as tmux does: a server that is started outside later would otherwise open a door that could
 * not be closed before it was there.
 */
export function makeDoorframes({ uid, env }: Pick<Host, "uid" | "env">): void {
  try {
    Deno.mkdirSync(`${env["TMUX_TMPDIR"] || "/tmp"}/tmux-${uid}`, { mode: 0o700 });
  } catch { /* it is there already, or tmux could not make it either */ }
}
