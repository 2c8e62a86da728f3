/**
 * Which limits the kernel can enforce for a group of processes here: what cgroup hierarchies there are, where our own
 * group stands in them, and whether we may make groups below it (cgroups(7), systemd.resource-control(5)).
 */
import { unescape } from "./mounts.ts";

export type Controller = "memory" | "pids" | "cpu";
export const CONTROLLERS: readonly Controller[] = ["memory", "pids", "cpu"];

/** The part of the system that cgroup code reads and changes; tests put a recorded tree here. */
export interface CgroupSystem {
  read(path: string): string;
  /** One write(2) to a file that exists. */
  write(path: string, text: string): void;
  mkdir(path: string): void;
  rmdir(path: string): void;
  list(path: string): string[];
  exists(path: string): boolean;
  /** Whether the file can be opened for writing by this process, as the kernel decides it. */
  writable(path: string): boolean;
  /** Numeric owner; -1 when the path does not exist. */
  owner(path: string): number;
  /** Inode of the pid namespace this process is in. */
  pidNamespace(): string;
  /** SIGKILL. */
  kill(pid: number): void;
  pause(milliseconds: number): void;
  /** Absolute path of a program on PATH. */
  which(program: string): string | undefined;
  uid(): number;
  pid(): number;
  env(name: string): string | undefined;
}

/** A command line prefix that runs us again in a group of our own, and what its environment must have besides. */
export interface Reexec {
  argv: string[];
  env: Record<string, string>;
}

/** How one controller can be had. */
export type ControllerSupport =
  /** Groups are made below `parent`. */
  | { by: "cgroup1" | "cgroup2"; parent: string }
  /** After starting again through {@link CgroupSupport.reexec}. */
  | { by: "reexec" }
  | { by: "none"; why: string; hint?: string };

export interface CgroupSupport {
  controllers: Record<Controller, ControllerSupport>;
  /**
   * v2: processes that stand in the parent itself and must move into its child {@link SUPERVISOR} before controllers
   * can be enabled there (otherwise EBUSY: "no internal processes" of cgroups(7)).
   */
  evacuate: boolean;
  reexec?: Reexec;
}

/** The v2 group that holds whatever stood in the delegated group itself. */
export const SUPERVISOR = "cordon-supervisor";

/** One cgroup mount of this mount namespace. */
export interface Hierarchy {
  version: 1 | 2;
  /** Controllers and names of a v1 hierarchy. */
  names: string[];
  mountPoint: string;
  /** The group that the mount shows as its root. */
  mountRoot: string;
}

/**
 * Looks where memory, pids and cpu limits can be set. Reads some five small files; makes and changes nothing.
 */
export function probeCgroups(system: CgroupSystem = realCgroupSystem): CgroupSupport {
  const hierarchies = parseCgroupMounts(readOr(system, "/proc/self/mountinfo"));
  const own = parseOwnGroups(readOr(system, "/proc/self/cgroup"));
  const v2 = probeV2(hierarchies, own, system);
  const controllers = {} as Record<Controller, ControllerSupport>;
  for (const controller of CONTROLLERS) {
    const v1 = hierarchies.find((h) => h.version === 1 && h.names.includes(controller));
    controllers[controller] = v1 ? probeV1(v1, controller, { own, system }) : v2.support(controller);
  }
  const needsReexec = CONTROLLERS.some((name) => controllers[name].by === "reexec");
  return {
    controllers,
    evacuate: v2.evacuate,
    ...(needsReexec && v2.reexec ? { reexec: v2.reexec } : {}),
  };
}

function probeV1(
  hierarchy: Hierarchy,
  controller: Controller,
  { own, system }: { own: Map<string, string>; system: CgroupSystem },
): ControllerSupport {
  const parent = ownDirectory(hierarchy, own.get(controller));
  if (parent === undefined) {
    return { by: "none", why: `our own ${controller} group is not visible under ${hierarchy.mountPoint}` };
  }
  if (system.writable(`${parent}/cgroup.procs`)) return { by: "cgroup1", parent };
  return {
    by: "none",
    why: system.uid() === 0
      ? `this is cgroup v1 and ${parent} is not writable for us`
      : `this host uses cgroup v1, where only root can make groups (${parent} is not ours)`,
  };
}

interface V2Probe {
  support(controller: Controller): ControllerSupport;
  evacuate: boolean;
  reexec?: Reexec;
}

function probeV2(hierarchies: Hierarchy[], own: Map<string, string>, system: CgroupSystem): V2Probe {
  const nowhere = (why: string, hint?: string): V2Probe => ({
    support: () => ({ by: "none", why, ...(hint ? { hint } : {}) }),
    evacuate: false,
  });
  const hierarchy = hierarchies.find((h) => h.version === 2);
  if (!hierarchy) return nowhere("no cgroup file system is mounted");
  const dir = ownDirectory(hierarchy, own.get(""));
  if (dir === undefined) return nowhere(`our own group is not visible under ${hierarchy.mountPoint}`);

  const inSupervisor = dir.endsWith(`/${SUPERVISOR}`);
  const base = inSupervisor ? dir.slice(0, -SUPERVISOR.length - 1) : dir;
  const writable = system.writable(`${base}/cgroup.procs`) &&
    system.writable(`${base}/cgroup.subtree_control`);
  // Only the root of the whole hierarchy has no cgroup.type, and only it may hold processes beside groups.
  const isRoot = !system.exists(`${base}/cgroup.type`);
  const others = isRoot
    ? []
    : words(readOr(system, `${base}/cgroup.procs`)).filter((pid) => Number(pid) !== system.pid());
  const here = words(readOr(system, `${base}/cgroup.controllers`));
  const inOwnScope = /\/cordon-[^/]*\.scope$/.test(base);
  const manager = inOwnScope ? undefined : systemdScope(hierarchy, system);
  // Neighbours in the same group belong to whoever made it: with a service manager at hand we ask for a group of our
  // own, and move them only where there is none (a container).
  const useHere = writable && (others.length === 0 || inOwnScope || !manager);
  const evacuate = useHere && !isRoot && !inSupervisor;

  return {
    evacuate,
    ...(manager ? { reexec: manager.reexec } : {}),
    support(controller) {
      if (useHere && here.includes(controller)) return { by: "cgroup2", parent: base };
      if (manager?.controllers.includes(controller)) return { by: "reexec" };
      if (manager || useHere) return notDelegated(controller, system);
      return {
        by: "none",
        why: `our group ${base} is not delegated to this user and there is no systemd user instance to ask`,
        ...(system.uid() !== 0 && system.exists("/run/systemd/private")
          ? { hint: `sudo loginctl enable-linger ${system.uid()}` }
          : {}),
      };
    },
  };
}

function notDelegated(controller: Controller, system: CgroupSystem): ControllerSupport {
  const why = `the ${controller} controller is not enabled for our group`;
  if (system.uid() === 0 || !system.exists("/run/systemd/private")) return { by: "none", why };
  return {
    by: "none",
    why,
    hint: "sudo mkdir -p /etc/systemd/system/user@.service.d && " +
      "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | " +
      "sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload   # then log in again",
  };
}

/**
 * The service manager that can give us a delegated scope: the user's own, or the system's for root. `--scope` makes
 * systemd-run execute the command in its own process, so pid, terminal and descriptors stay (systemd-run(1)).
 */
function systemdScope(
  hierarchy: Hierarchy,
  system: CgroupSystem,
): { reexec: Reexec; controllers: string[] } | undefined {
  const program = system.which("systemd-run");
  if (program === undefined) return undefined;
  const uid = system.uid();
  const unit = `cordon-${system.pid()}-${randomId()}.scope`;
  const tail = ["--scope", "--quiet", "--collect", `--unit=${unit}`, "-p", "Delegate=yes", "--"];
  if (uid === 0) {
    if (!system.exists("/run/systemd/private")) return undefined;
    const controllers = words(readOr(system, `${hierarchy.mountPoint}/cgroup.controllers`));
    return { reexec: { argv: [program, ...tail], env: {} }, controllers };
  }
  const runtimeDir = `/run/user/${uid}`;
  if (!system.exists(`${runtimeDir}/systemd/private`)) return undefined;
  const managerGroup = `${hierarchy.mountPoint}/user.slice/user-${uid}.slice/user@${uid}.service`;
  return {
    reexec: {
      argv: [program, "--user", ...tail],
      env: system.env("XDG_RUNTIME_DIR") ? {} : { XDG_RUNTIME_DIR: runtimeDir },
    },
    controllers: words(readOr(system, `${managerGroup}/cgroup.controllers`)),
  };
}

/** The directory of the group `path` on a mount that may show only part of the hierarchy. */
export function ownDirectory(hierarchy: Hierarchy, path: string | undefined): string | undefined {
  // "/.." at the start: the group lies outside our cgroup namespace.
  if (path === undefined || path.startsWith("/..")) return undefined;
  const { mountRoot, mountPoint } = hierarchy;
  if (mountRoot === "/") return path === "/" ? mountPoint : mountPoint + path;
  if (path === mountRoot) return mountPoint;
  return path.startsWith(`${mountRoot}/`) ? mountPoint + path.slice(mountRoot.length) : undefined;
}

/** `/proc/self/cgroup`: our group by controller (`""` for v2), proc_pid_cgroup(5). */
export function parseOwnGroups(text: string): Map<string, string> {
  const groups = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (!match) continue;
    for (const name of match[1]!.split(",")) groups.set(name, match[2]!);
  }
  return groups;
}

/** The cgroup mounts in `/proc/self/mountinfo`, proc_pid_mountinfo(5). */
export function parseCgroupMounts(text: string): Hierarchy[] {
  const found: Hierarchy[] = [];
  for (const line of text.split("\n")) {
    const [before, after] = line.split(" - ");
    if (before === undefined || after === undefined) continue;
    const [type, , superOptions = ""] = after.split(" ");
    if (type !== "cgroup" && type !== "cgroup2") continue;
    const fields = before.split(" ");
    found.push({
      version: type === "cgroup2" ? 2 : 1,
      names: type === "cgroup" ? superOptions.split(",") : [],
      mountRoot: unescape(fields[3] ?? "/"),
      mountPoint: unescape(fields[4] ?? "/"),
    });
  }
  return found;
}

/** The words of a text; control files separate by blanks or newlines. */
export function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

/** An absent or unreadable file says the same here as an empty one: this is not offered. */
function readOr(system: CgroupSystem, path: string): string {
  return attempt(() => system.read(path)) ?? "";
}

/** 16 hexadecimal digits nobody can guess. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** The machine itself. */
export const realCgroupSystem: CgroupSystem = {
  read: (path) => Deno.readTextFileSync(path),
  write: (path, text) => Deno.writeTextFileSync(path, text, { create: false }),
  mkdir: (path) => Deno.mkdirSync(path, { mode: 0o755 }),
  rmdir: (path) => Deno.removeSync(path),
  list: (path) => Array.from(Deno.readDirSync(path)).filter((e) => e.isDirectory).map((e) => e.name),
  exists: (path) => attempt(() => Deno.lstatSync(path)) !== undefined,
  writable(path) {
    const file = attempt(() => Deno.openSync(path, { write: true }));
    file?.close();
    return file !== undefined;
  },
  owner: (path) => attempt(() => Deno.lstatSync(path))?.uid ?? -1,
  pidNamespace: () => Deno.readLinkSync("/proc/self/ns/pid").replace(/\D/g, ""),
  kill: (pid) => Deno.kill(pid, "SIGKILL"),
  pause: (milliseconds) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  },
  which(program) {
    const dirs = (Deno.env.get("PATH") ?? "/usr/bin:/bin").split(":").filter((dir) => dir.startsWith("/"));
    return dirs.map((dir) => `${dir}/${program}`)
      .find((path) => ((attempt(() => Deno.statSync(path))?.mode ?? 0) & 0o111) !== 0);
  },
  uid: () => Deno.uid() ?? -1,
  pid: () => Deno.pid,
  env: (name) => Deno.env.get(name),
};

/** The question is only whether it can be done; the reason it cannot is not asked here. */
export function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}
