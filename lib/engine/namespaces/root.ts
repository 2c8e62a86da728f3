/**
 * Plans the root of a sandbox: system directories read-only, a private /proc, a minimal /dev, a generated /etc, empty
 * /tmp and HOME, then the mounts asked for. The result is a list of steps; nothing is changed here.
 */
import { posix } from "node:path";
import { CordonError } from "../../errors.ts";
import type { FileSystem } from "../../host/fs.ts";
import type { Mount, Spec } from "../../spec/spec.ts";
import { errnoName, errnoText } from "../../../ffi/errno.ts";
import { etcFiles, HOST_ETC } from "./etc.ts";
import type { Step } from "./steps.ts";
import { isBelow, quote, RootTree } from "./tree.ts";

/** Top-level names that hold the system's programs and libraries. */
const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
const DEVICES = ["null", "zero", "full", "random", "urandom", "tty"];
const DEVICE_LINKS: [string, string][] = [
  ["ptmx", "pts/ptmx"],
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
];
const WORLD_WRITABLE = 0o1777;

/** The steps that assemble the root of this Spec on this host. Throws for mounts that cannot be made. */
export function planRoot(spec: Spec, fs: FileSystem): Step[] {
  const whole = spec.mounts.findLast((m) => m.dest === "/");
  const tree = whole ? wholeRoot(whole, fs) : minimalRoot(spec, fs);
  devices(tree, fs);
  tree.steps.push({ do: "proc", dest: "/proc", nested: spec.nested, root: spec.user.uid === 0 });
  tree.addArea({ dest: "/proc", own: false, source: "/proc", readOnly: false });
  if (!whole) {
    tree.directory(tree.canonical(spec.user.home));
    for (const { path, content } of spec.files ?? []) {
      tree.directory(posix.dirname(path), 0o700);
      tree.file(path, content);
    }
    tree.canonical(spec.workdir.path); // both of its names work, should it be shown
  }
  // A private /proc is always there; the host's would show every process of the machine.
  const rest = spec.mounts.filter((m) => m.dest !== "/" && !(m.dest === "/proc" && m.source === "/proc"));
  for (const mount of inOrder(rest, tree, fs)) addMount(tree, mount, { spec, fs });
  if (spec.root.readOnly) tree.steps.push({ do: "seal" });
  return tree.steps;
}

function minimalRoot(spec: Spec, fs: FileSystem): RootTree {
  const tree = new RootTree(fs, { dest: "/", own: true, readOnly: false });
  for (const path of SYSTEM) {
    const type = fs.lstat(path);
    if (type === "symlink") tree.link(path, fs.readlink(path)!);
    else if (type === "directory") bind(tree, { source: path, dest: path, readOnly: true });
  }
  tree.directory("/proc");
  for (const path of ["/run", "/var", "/home"]) tree.directory(path);
  for (const path of ["/tmp", "/var/tmp"]) tree.directory(path, WORLD_WRITABLE);
  if (spec.root.etc) etc(tree, spec, fs);
  return tree;
}

/** A directory of the host as the whole root. Places for /proc and /dev must be in it. */
function wholeRoot(mount: Mount, fs: FileSystem): RootTree {
  if (mount.kind !== "bind") throw new CordonError(`The root cannot be a ${mount.kind} mount`);
  const source = realSource(mount, fs)!;
  for (const needed of ["/proc", "/dev"]) {
    const path = source === "/" ? needed : source + needed;
    if (fs.lstat(path) !== "directory") {
      throw new CordonError(`Root ${source} has no directory ${needed}`, { hint: `mkdir ${quote(path)}` });
    }
  }
  const tree = new RootTree(fs, { dest: "/", own: false, source, readOnly: mount.readOnly });
  tree.steps.push({ do: "root", source, readOnly: mount.readOnly });
  return tree;
}

function devices(tree: RootTree, fs: FileSystem): void {
  if (!tree.areaOf("/dev").own) {
    tree.steps.push({
      do: "tmpfs",
      dest: "/dev",
      own: false,
      readOnly: false,
      bytes: 64 << 20,
      mode: 0o755,
    });
    tree.addArea({ dest: "/dev", own: true, readOnly: false });
  }
  for (const name of DEVICES) {
    const path = `/dev/${name}`;
    if (fs.stat(path) !== undefined) {
      // A read-only mount does not hinder writing to a device; it keeps root inside from changing the node's mode.
      bind(tree, { source: path, dest: path, readOnly: true, devices: true, file: true });
    }
  }
  tree.directory("/dev/shm", WORLD_WRITABLE);
  tree.directory("/dev/pts");
  tree.steps.push({ do: "devpts", dest: "/dev/pts" });
  for (const [name, target] of DEVICE_LINKS) tree.link(`/dev/${name}`, target);
  tree.file("/dev/console");
  tree.steps.push({ do: "console", dest: "/dev/console" });
}

function etc(tree: RootTree, spec: Spec, fs: FileSystem): void {
  const online = spec.network.mode !== "none";
  for (const [path, content] of etcFiles(spec)) {
    if (!online || path !== "/etc/hosts") tree.file(path, content);
  }
  const shared = online ? [...HOST_ETC, "/etc/hosts", "/etc/resolv.conf"] : HOST_ETC;
  for (const path of shared) {
    const type = fs.lstat(path);
    if (type === "symlink" && path !== "/etc/resolv.conf") {
      tree.directory("/etc");
      tree.link(path, fs.readlink(path)!);
    } else if (type !== undefined) {
      const source = fs.realpath(path);
      if (typeof source === "string") {
        bind(tree, { source, dest: path, readOnly: true, file: fs.stat(source) !== "directory" });
      }
    }
  }
}

interface BindOptions {
  source: string;
  dest: string;
  readOnly: boolean;
  devices?: boolean;
  file?: boolean;
  optional?: boolean;
}

function bind(tree: RootTree, options: BindOptions): void {
  const { source, dest, readOnly, devices = false, file = false, optional = false } = options;
  const { own } = tree.mountPoint(dest, file ? "file" : "directory");
  tree.steps.push({ do: "bind", source, dest, own, readOnly, devices, optional });
  tree.addArea({ dest, own: false, source, readOnly });
}

/** Outer mounts before inner ones, whatever order they were asked in; equals in the order asked. */
function inOrder(mounts: Mount[], tree: RootTree, fs: FileSystem): Mount[] {
  const open = new Set<string>();
  const placed = mounts.flatMap((mount) => {
    const source = mount.source === undefined ? undefined : realSource(mount, fs, open);
    if (mount.source !== undefined && source === undefined) return []; // optional, and not there
    const typed = mount.atRealPath ? source! : mount.dest;
    const dest = tree.canonical(typed);
    if (dest === "/") {
      throw new CordonError(`Mount point ${mount.dest} leads to /`, {
        why: "symlinks on its path end there; a root is chosen by its name: -m /=DIR",
      });
    }
    return [{ mount: source === undefined ? { ...mount, dest } : { ...mount, dest, source }, dest }];
  });
  const depth = (path: string) => path.split("/").length;
  return placed.sort((a, b) => depth(a.dest) - depth(b.dest)).map(({ mount }) => mount);
}

const LOOKUP_FAILURES: Record<string, string> = {
  ENOENT: "there is no such file or directory",
  ENOTDIR: "a part of its path is a file, not a directory",
  EACCES: "a directory on its path may not be searched by this user",
  ELOOP: "its symlinks lead in a circle, or are too many",
  ENAMETOOLONG: "the name is longer than the system allows",
};

/**
 * The source's real path; undefined when it is optional and not there. `open` collects directories that were found open
 * to root.
 */
function realSource(mount: Mount, fs: FileSystem, open = new Set<string>()): string | undefined {
  const real = fs.realpath(mount.source!);
  if (typeof real === "string") {
    const directory = posix.dirname(real);
    if (!open.has(directory)) refuseClosed(real, fs);
    open.add(directory);
    return real;
  }
  const name = errnoName(real);
  if (mount.optional && (name === "ENOENT" || name === "ENOTDIR")) return undefined;
  throw new CordonError(`Mount source ${mount.source} cannot be used`, {
    why: LOOKUP_FAILURES[name] ?? `looking it up failed: ${errnoText(real)}`,
  });
}

/** Sources are opened again inside, where root may do only what permissions let it. */
function refuseClosed(source: string, fs: FileSystem): void {
  const closed = fs.closedToRoot(source);
  if (closed === undefined) return;
  throw new CordonError(`Mount source ${source} cannot be used`, {
    why: `inside, root has no power over the files of others, and ${closed} is closed to them`,
    hint: `run it as the owner of ${quote(closed)}`,
  });
}

function addMount(tree: RootTree, mount: Mount, { spec, fs }: { spec: Spec; fs: FileSystem }): void {
  const { dest, readOnly, devices, optional } = mount;
  switch (mount.kind) {
    case "bind": {
      const source = mount.source!;
      return bind(tree, { source, dest, readOnly, devices, optional, file: fs.stat(source) !== "directory" });
    }
    case "hide":
      return hide(tree, mount, fs);
    case "tmp": {
      const place = tree.hostPath(dest);
      if (optional && place !== undefined && fs.stat(place) === undefined) return;
      const { own } = tree.mountPoint(dest, "directory");
      tree.steps.push({
        do: "tmpfs",
        dest,
        own,
        readOnly,
        bytes: mount.bytes ?? spec.limits.tmpBytes,
        mode: mount.mode ?? WORLD_WRITABLE,
        ...(optional && { unlessGone: true }),
      });
      tree.addArea({ dest, own: true, readOnly });
      return;
    }
    case "overlay": {
      const source = mount.source!;
      if (fs.stat(source) !== "directory") {
        throw new CordonError(`Overlay source ${source} is not a directory`);
      }
      const { own } = tree.mountPoint(dest, "directory");
      tree.steps.push({ do: "overlay", source, dest, own });
      tree.addArea({ dest, own: false, source, readOnly: false });
      return;
    }
    case "copy": {
      const source = mount.source!;
      const type = fs.stat(source);
      if (type !== "directory" && type !== "file") {
        throw new CordonError(`Copy source ${source} is neither a file nor a directory`);
      }
      if (!fs.readable(source)) {
        throw new CordonError(`Copy source ${source} cannot be read`, { why: "this user may not read it" });
      }
      if (!tree.areaOf(dest).own) {
        throw new CordonError(`Copy ${dest} lies inside the mount at ${tree.areaOf(dest).dest}`, {
          why: "a copy goes to the sandbox's own memory, not into a directory of the host",
        });
      }
      tree.mountPoint(dest, type);
      tree.steps.push({ do: "copy", source, dest, type, readOnly });
      tree.addArea({ dest, own: false, source, readOnly });
    }
  }
}

/** Covers what stands at a place: a directory with an empty one, anything else with /dev/null. */
function hide(tree: RootTree, mount: Mount, fs: FileSystem): void {
  const { dest } = mount;
  const host = tree.hostPath(dest);
  const standing = host === undefined ? tree.typeOf(dest) ?? fs.stat(dest) : fs.stat(host);
  if (host !== undefined && standing === undefined && mount.optional) return;
  if (standing === "directory") {
    const { own } = tree.mountPoint(dest, "directory");
    tree.steps.push({
      do: "tmpfs",
      dest,
      own,
      readOnly: true,
      bytes: 4096,
      mode: 0o555,
      ...(mount.optional && { unlessGone: true }),
    });
    tree.addArea({ dest, own: true, readOnly: true });
    return;
  }
  const { own } = tree.mountPoint(dest, "file");
  tree.steps.push({
    do: "bind",
    source: "/dev/null",
    dest,
    own,
    readOnly: true,
    devices: true,
    optional: false,
    ...(mount.optional && { unlessGone: true }),
  });
  tree.addArea({ dest, own: false, source: "/dev/null", readOnly: true });
}

/** Mounts that let what runs inside write where the caller keeps start-up files: HOME or a directory above it. */
export function exposesHome(spec: Spec, fs: FileSystem): Mount | undefined {
  const home = fs.realpath(spec.user.home);
  if (typeof home !== "string" || home === "/") return undefined;
  return spec.mounts.find((mount) => {
    if (mount.kind !== "bind" || mount.readOnly) return false;
    const source = fs.realpath(mount.source!);
    return typeof source === "string" && isBelow(home, source);
  });
}
