/** What the policy asks of this machine's own files. */
import { posix } from "node:path";
import { CordonError, reasonOf } from "../../errors.ts";
import type { Places } from "./verdict.ts";

const OTHERS_WRITE = 0o022, STICKY = 0o1000;

/** `trusted`: users whose directories count as nobody else's, beside root; the server's own when absent. */
export function realPlaces(trusted: readonly number[] = [Deno.uid() ?? 0]): Places {
  const owners = [0, ...trusted];
  return {
    realpath(path) {
      try {
        return Deno.realPathSync(path);
      } catch (error) {
        if (error instanceof Error) return undefined;
        throw error;
      }
    },
    exchangeable(path) {
      for (let place = path; place !== "/"; place = posix.dirname(place)) {
        const above = posix.dirname(place);
        const directory = look(above);
        if (directory === undefined || !owners.includes(directory.uid)) return above;
        if ((directory.mode & OTHERS_WRITE) === 0) continue;
        // Below a sticky directory (inode(7)) a name can be taken away by its owner and the directory's alone.
        const owner = look(place)?.uid;
        const kept = (directory.mode & STICKY) !== 0 && owner !== undefined && owners.includes(owner);
        if (!kept) return place;
      }
      return undefined;
    },
    sockets: () => boundSockets(read("/proc/net/unix")),
    mountsBelow: (path) =>
      mountPoints(read("/proc/self/mountinfo")).filter((one) => one.startsWith(`${path}/`)),
  };
}

function look(path: string): { uid: number; mode: number } | undefined {
  try {
    const { uid, mode } = Deno.lstatSync(path);
    return uid === null || mode === null ? undefined : { uid, mode };
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw new CordonError(`Cannot read ${path}`, { why: reasonOf(cause), cause });
  }
}

/** The paths in /proc/net/unix (proc_net(5)); abstract names, which begin with @, are no files. */
export function boundSockets(text: string): string[] {
  const paths = text.split("\n").flatMap((line) => {
    const path = /^\S+: \S+ \S+ \S+ \S+ \S+ +\d+ (\/.*)$/.exec(line)?.[1];
    return path === undefined ? [] : [path];
  });
  return [...new Set(paths)];
}

/** The fifth field of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export function mountPoints(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const point = line.split(" ")[4];
    return point === undefined
      ? []
      : [point.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)))];
  });
}
