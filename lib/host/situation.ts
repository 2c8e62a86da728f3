/** What this machine's switches say: the facts that explain why a step of building a sandbox failed. */

import { attempt, type CgroupSupport, probeCgroups, words } from "./cgroups.ts";
import type { Host } from "./host.ts";

/** Sysctls that switch namespaces or memfd off, by their dotted names; absent where the kernel has no such switch. */
const SYSCTLS = [
  "kernel.unprivileged_userns_clone",
  "kernel.apparmor_restrict_unprivileged_userns",
  "vm.memfd_noexec",
  "user.max_user_namespaces",
  "user.max_mnt_namespaces",
  "user.max_pid_namespaces",
  "user.max_net_namespaces",
  "user.max_ipc_namespaces",
  "user.max_uts_namespaces",
  "user.max_cgroup_namespaces",
] as const;
export type Sysctl = typeof SYSCTLS[number];

export type Container = "docker" | "podman" | "kubernetes" | "other";

export interface Situation {
  uid: number;
  kernel: Host["kernel"];
  /** ID of os-release(5). */
  distribution: string;
  /** Path of the running executable. */
  executable: string;
  sysctl: Partial<Record<Sysctl, number>>;
  /** Inside what kind of container, as far as it shows. */
  container?: Container;
  /** Inside a user namespace that somebody else made. */
  inUserNamespace: boolean;
  /** The kernel has user namespaces at all. */
  hasUserNamespaces: boolean;
  /** A seccomp filter is in force for us. */
  filtered: boolean;
  /** AppArmor profile we run under, "" when there is none. */
  apparmor: string;
  /** Mounts below /proc that hide parts of it. */
  masked: string[];
  /** The root file system is the one the kernel booted with (rootfs). */
  rootOnInitramfs: boolean;
  /** Directory for an executable file where memory cannot be executed, and whether files run there. */
  runtimeDir: { path: string; noexec: boolean };
  cgroups: CgroupSupport;
}

/** Reads the facts; tries nothing. */
export function gatherSituation(host: Host): Situation {
  const mounts = parseMounts(read("/proc/self/mountinfo"));
  const runtimePath = host.env["XDG_RUNTIME_DIR"] ?? "/tmp";
  const container = whichContainer(host.env);
  return {
    uid: host.uid,
    kernel: host.kernel,
    distribution: /^ID="?([^"\n]*)/m.exec(read("/etc/os-release"))?.[1] ?? "",
    executable: Deno.execPath(),
    sysctl: readSysctls(),
    ...(container ? { container } : {}),
    inUserNamespace: !/^\s*0\s+0\s+4294967295\s*$/.test(read("/proc/self/uid_map")),
    hasUserNamespaces: attempt(() => Deno.lstatSync("/proc/self/ns/user")) !== undefined,
    filtered: /^Seccomp:\s*2$/m.test(read("/proc/self/status")),
    apparmor: read("/proc/self/attr/apparmor/current").trim() || read("/proc/self/attr/current").trim(),
    masked: maskedParts(mounts.map((mount) => mount.point)),
    rootOnInitramfs: mountOf("/", mounts)?.type === "rootfs",
    runtimeDir: {
      path: runtimePath,
      noexec: mountOf(runtimePath, mounts)?.options.includes("noexec") ?? false,
    },
    cgroups: probeCgroups(),
  };
}

function readSysctls(): Situation["sysctl"] {
  const values: Situation["sysctl"] = {};
  for (const name of SYSCTLS) {
    const text = read(`/proc/sys/${name.replaceAll(".", "/")}`).trim();
    if (text !== "") values[name] = Number(text);
  }
  return values;
}

function whichContainer(env: Record<string, string>): Container | undefined {
  if (env["KUBERNETES_SERVICE_HOST"]) return "kubernetes";
  if (exists("/run/.containerenv")) return "podman";
  if (exists("/.dockerenv")) return "docker";
  return exists("/run/systemd/container") ? "other" : undefined;
}

/** File systems whose place is an empty directory below /proc; they hide nothing. */
const BELONG_IN_PROC = ["/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd"];

export function maskedParts(mountPoints: string[]): string[] {
  return mountPoints.filter((point) => point.startsWith("/proc/") && !BELONG_IN_PROC.includes(point));
}

interface MountLine {
  point: string;
  options: string[];
  type: string;
}

/** Mount points, their per-mount options and file system types, proc_pid_mountinfo(5). */
export function parseMounts(text: string): MountLine[] {
  return text.split("\n").map(words).filter((fields) => fields.length > 6)
    .map((fields) => ({
      point: fields[4]!,
      options: fields[5]!.split(","),
      type: fields[fields.indexOf("-", 6) + 1] ?? "",
    }));
}

/** The mount a path lies on: the longest mount point above it, the last one where several are stacked. */
export function mountOf(path: string, mounts: MountLine[]): MountLine | undefined {
  let found: MountLine | undefined;
  for (const mount of mounts) {
    const above = mount.point === "/" || path === mount.point || path.startsWith(`${mount.point}/`);
    if (above && mount.point.length >= (found?.point.length ?? 0)) found = mount;
  }
  return found;
}

/** A file that is absent or closed to us is a fact that does not show; "" then. */
function read(path: string): string {
  return attempt(() => Deno.readTextFileSync(path)) ?? "";
}

function exists(path: string): boolean {
  return attempt(() => Deno.lstatSync(path)) !== undefined;
}
