/** The mounts of this process' namespace, and which of them a recursive bind takes along. proc_pid_mountinfo(5). */
import { MS } from "../../ffi/constants.ts";
import { decodeOs } from "./bytes.ts";

export interface HostMount {
  id: number;
  /** Id of the mount it stands on; that one is not listed when it lies outside our root. */
  parent: number;
  /** Where it is mounted. */
  point: string;
  /** Those of its flags that a remount has to repeat: mount(2). */
  flags: number;
}

/** A mount that a recursive bind takes along. */
export interface Taken {
  /** From the source: empty for the source itself, else it starts with a slash. */
  path: string;
  /** Undefined when the mount is not listed, because it is mounted outside our root. */
  flags: number | undefined;
  /**
   * `stack`: another one stands on its root and cannot be taken from there. `above`: another one stands on a directory
   * above it, which may be given another name outside.
   */
  covered?: "stack" | "above";
}

const FLAGS: Record<string, number> = {
  ro: MS.RDONLY,
  nosuid: MS.NOSUID,
  nodev: MS.NODEV,
  noexec: MS.NOEXEC,
  nosymfollow: MS.NOSYMFOLLOW,
};

/** Reads the mounts of this process. */
export function readMounts(): HostMount[] {
  return parseMounts(decodeOs(Deno.readFileSync("/proc/self/mountinfo")));
}

export function parseMounts(text: string): HostMount[] {
  const mounts: HostMount[] = [];
  for (const line of text.split("\n")) {
    const [id, parent, , root = "", point, options] = line.split(" ");
    if (point === undefined || options === undefined) continue;
    if (root.startsWith("mnt:[")) continue; // a namespace's file: none of these gets into a new mount namespace
    const flags = options.split(",").reduce((all, option) => all | (FLAGS[option] ?? 0), 0);
    mounts.push({ id: Number(id), parent: Number(parent), point: unescape(point), flags });
  }
  return mounts;
}

/** Blank, tab, newline and backslash stand in mountinfo in octal. */
export function unescape(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}

interface Found {
  id: number;
  flags: number | undefined;
}

export class MountTable {
  readonly #below = new Map<number, HostMount[]>();
  /** What is not listed. */
  readonly #top: Found = { id: -1, flags: undefined };

  constructor(mounts: readonly HostMount[]) {
    const ids = new Set(mounts.map(({ id }) => id));
    for (const mount of mounts) {
      const parent = ids.has(mount.parent) && mount.parent !== mount.id ? mount.parent : this.#top.id;
      const siblings = this.#below.get(parent);
      if (siblings) siblings.push(mount);
      else this.#below.set(parent, [mount]);
    }
  }

  #on(id: number): readonly HostMount[] {
    return this.#below.get(id) ?? [];
  }

  /** The mount that a path without symlinks leads to. */
  #find(path: string): Found {
    let at = this.#top;
    for (;;) {
      let next: HostMount | undefined;
      for (const mount of this.#on(at.id)) {
        if (isAt(path, mount.point) && (!next || mount.point.length <= next.point.length)) next = mount;
      }
      if (!next) return at;
      at = next;
    }
  }

  /** What a recursive bind of a path takes along, itself first. */
  taken(source: string): Taken[] {
    const top = this.#find(source), prefix = source === "/" ? 0 : source.length;
    const taken: Taken[] = [{ path: "", flags: top.flags }];
    const pending = this.#on(top.id).filter(({ point }) => point !== source && isAt(point, source));
    for (const mount of pending) {
      pending.push(...this.#on(mount.id));
      const found: Taken = { path: mount.point.slice(prefix), flags: mount.flags };
      if (this.#find(mount.point).id !== mount.id) {
        found.covered = this.#on(mount.id).some(({ point }) => point === mount.point) ? "stack" : "above";
      }
      taken.push(found);
    }
    return taken;
  }
}

/** Whether a path is that of a mount point or lies below it. */
function isAt(path: string, point: string): boolean {
  return point === "/" || path === point || path.startsWith(point + "/");
}
