/**
 * The new root while it is being planned: which of its paths are our own (on the root tmpfs, ours to create) and which
 * lie inside something mounted. Planning looks at the host and changes nothing.
 */
import { posix } from "node:path";
import { CordonError } from "../../errors.ts";
import type { FileSystem } from "../../host/fs.ts";
import type { Step } from "./steps.ts";

/** Something mounted in the new root. `own` areas are empty file systems of ours, in which mount points may be made. */
export interface Area {
  dest: string;
  own: boolean;
  /** Host path that shows there, for binds. */
  source?: string;
  readOnly: boolean;
}

const MAX_SYMLINKS = 40;

export class RootTree {
  readonly steps: Step[] = [];
  readonly #areas = new Map<string, Area>();
  /** Directories above something made or mounted. */
  readonly #outer = new Set<string>();
  /** Paths that are no symlinks on the host. */
  readonly #plain = new Set<string>();
  readonly #made = new Map<string, "directory" | "file" | "symlink">([["/", "directory"]]);
  /** Symlinks on the way to mount points, and what they say. */
  readonly #ways = new Map<string, string>();
  readonly #fs: FileSystem;

  constructor(fs: FileSystem, root: Area) {
    this.#fs = fs;
    this.#areas.set(root.dest, root);
  }

  /** The innermost area that holds `path`. */
  areaOf(path: string): Area {
    for (let at = path;; at = parentOf(at)) {
      const area = this.#areas.get(at);
      if (area) return area;
    }
  }

  /** The host path that shows at `path` inside, when it lies in a bind. */
  hostPath(path: string): string | undefined {
    const area = this.areaOf(path);
    if (area.source === undefined) return undefined;
    return posix.join(area.source, path.slice(area.dest === "/" ? 0 : area.dest.length));
  }

  #note(path: string, type: "directory" | "file" | "symlink"): void {
    this.#made.set(path, type);
    this.#noteOuter(path);
  }

  /** Notes the directories above a path. */
  #noteOuter(path: string): void {
    for (let at = parentOf(path); !this.#outer.has(at); at = parentOf(at)) this.#outer.add(at);
  }

  /**
   * Notes something mounted; what was mounted or made below its mount point is covered by it. Ways to other mount points
   * are made anew on ground of our own.
   */
  addArea(area: Area): void {
    const { dest } = area;
    const ways = area.own
      ? [...this.#ways].filter(([path]) => isBelow(path, dest) && path !== dest && this.#made.has(path))
      : [];
    // Thousands of mounts are usual; that one covers others is not.
    if (this.#outer.has(dest)) {
      for (const old of this.#areas.keys()) if (isBelow(old, dest)) this.#areas.delete(old);
      if (area.own) {
        for (const path of this.#made.keys()) if (isBelow(path, dest)) this.#made.delete(path);
      }
    }
    this.#areas.set(dest, area);
    this.#noteOuter(dest);
    if (area.own) this.#made.set(dest, "directory");
    for (const [path, target] of ways) this.#symlink(path, target);
  }

  /**
   * `path` with the host's symlinks resolved as far as it lies on our own ground; each symlink met is made anew inside,
   * so that both names work (`/u -> /m/home`). What lies inside a bind is left as it is: that is looked up inside, at
   * the time of mounting, and cannot leave the new root.
   */
  canonical(path: string): string {
    const pending = path.split("/").filter(Boolean);
    let at = "";
    let followed = 0;
    while (pending.length > 0) {
      const next = `${at}/${pending.shift()!}`;
      if (!this.areaOf(next).own) return posix.join(next, ...pending);
      if (this.#made.get(next) !== "directory" && this.#isSymlink(next)) {
        if (++followed > MAX_SYMLINKS) {
          throw new CordonError(`Mount point ${path} runs through more than ${MAX_SYMLINKS} symlinks`);
        }
        const target = this.#fs.readlink(next)!;
        this.#symlink(next, target);
        this.#ways.set(next, target);
        pending.unshift(...posix.resolve(at || "/", target).split("/").filter(Boolean));
        at = "";
      } else at = next;
    }
    return at || "/";
  }

  /** Whether the host has a symlink there; what is none is looked at once. */
  #isSymlink(path: string): boolean {
    if (this.#plain.has(path)) return false;
    if (this.#fs.lstat(path) === "symlink") return true;
    this.#plain.add(path);
    return false;
  }

  #symlink(path: string, target: string): void {
    if (this.#made.has(path)) return;
    this.directory(posix.dirname(path));
    this.#note(path, "symlink");
    this.steps.push({ do: "symlink", path, target });
  }

  /** Makes a directory and its parents on our own ground; inside a bind it does nothing. */
  directory(path: string, mode = 0o755): void {
    if (this.#made.has(path) || !this.areaOf(path).own) return;
    this.directory(posix.dirname(path));
    this.#note(path, "directory");
    this.steps.push({ do: "directory", path, mode });
  }

  /** Makes a file with this content on our own ground. */
  file(path: string, content = ""): void {
    if (this.#made.has(path)) return;
    this.directory(posix.dirname(path));
    this.#note(path, "file");
    this.steps.push({ do: "file", path, content });
  }

  /** A symlink of our own making. */
  link(path: string, target: string): void {
    this.#symlink(path, target);
  }

  /** What was made at a path of our own ground. */
  typeOf(path: string): "directory" | "file" | "symlink" | undefined {
    return this.#made.get(path);
  }

  /**
   * Makes sure that something of this type stands at `dest` to be mounted on. Tells whether the place is our own, so
   * that its path can be trusted. A missing place inside a bind is an error: making it would change the host.
   */
  mountPoint(dest: string, type: "directory" | "file"): { own: boolean } {
    const area = this.areaOf(dest);
    if (area.own) {
      const made = this.#made.get(dest);
      if (made && made !== type && dest !== area.dest) throw wrongType(dest, made, type);
      if (type === "directory") this.directory(dest);
      else this.file(dest);
      return { own: true };
    }
    const host = this.hostPath(dest)!;
    const found = this.#fs.stat(host);
    if (found === undefined) {
      throw new CordonError(`Mount point ${dest} does not exist inside the mount at ${area.dest}`, {
        why: `making it would leave ${host} behind on the host`,
        hint: `${type === "directory" ? "mkdir -p" : "touch"} ${quote(host)}`,
      });
    }
    const isDirectory = found === "directory";
    if (isDirectory !== (type === "directory")) throw wrongType(dest, found, type);
    return { own: false };
  }
}

function wrongType(dest: string, found: string, wanted: string): CordonError {
  const name = found === "other" ? "special file" : found;
  return new CordonError(`Mount point ${dest} is a ${name} and what goes there is a ${wanted}`, {
    why: "a directory can only be mounted on a directory, a file only on a file",
  });
}

/** The directory above an absolute path; `/` is above itself. */
function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** Whether `path` is `directory` or lies below it. */
export function isBelow(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(directory + "/");
}

/** A word as sh reads it. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
