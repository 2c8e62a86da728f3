/**
 * Facts about the caller and the machine, gathered once at the start and passed on; whatever comes after is pure.
 * Must stay fast: a few small files of /proc and /etc.
 */

import { CordonError, reasonOf } from "../errors.ts";
import { decodeOs } from "./bytes.ts";
import { currentDirectory, textOf } from "./fs.ts";

/** Resource limits that cordon sets, named as in getrlimit(2) without the prefix. */
export type RlimitName = "CPU" | "FSIZE" | "DATA" | "CORE" | "NPROC";

/** RLIM_INFINITY of getrlimit(2). */
export const INFINITY = 0xffff_ffff_ffff_ffffn;

export interface Host {
  uid: number;
  gid: number;
  /** Supplementary groups. */
  groups: number[];
  /** Login name, or `user` when nothing tells it. */
  user: string;
  /** Name of the primary group, or the user's name. */
  group: string;
  home: string;
  shell: string;
  /** The environment cordon was started with, byte for byte (see `bytes.ts`). */
  env: Record<string, string>;
  /** Absent when it was deleted or lies outside our root. */
  cwd?: string;
  arch: "x86_64" | "aarch64";
  kernel: Kernel;
  rlimits: Record<RlimitName, { soft: bigint; hard: bigint }>;
  /** Tasks (processes and threads) on the whole machine. */
  tasks: number;
}

export interface Kernel {
  release: string;
  major: number;
  minor: number;
}

/**
 * Reads the machine. Names come from /etc/passwd and /etc/group; a directory service (LDAP, SSSD) is not asked, the
 * environment answers for it.
 * @throws CordonError when /proc is not mounted
 */
export function gatherHost(): Host {
  const uid = Deno.uid() ?? 0;
  const gid = Deno.gid() ?? 0;
  const env = parseEnviron(readProc("/proc/self/environ"));
  const cwd = currentDirectory();
  return {
    uid,
    gid,
    groups: parseGroups(decodeOs(readProc("/proc/self/status"))),
    // A minimal container may have no user database at all; the fallbacks then speak.
    ...describeUser({ uid, gid, env, passwd: textOf("/etc/passwd"), groupFile: textOf("/etc/group") }),
    env,
    ...(cwd === undefined ? {} : { cwd }),
    arch: Deno.build.arch,
    kernel: parseKernel(decodeOs(readProc("/proc/sys/kernel/osrelease")).trim()),
    rlimits: parseRlimits(decodeOs(readProc("/proc/self/limits"))),
    tasks: parseTasks(decodeOs(readProc("/proc/loadavg"))),
  };
}

function readProc(path: string): Uint8Array {
  try {
    return Deno.readFileSync(path);
  } catch (cause) {
    throw new CordonError(`Cannot read ${path}`, {
      why: `cordon needs /proc: ${reasonOf(cause)}`,
      cause,
    });
  }
}

/** NAME=VALUE entries ending in NUL (proc_pid_environ(5)). The first of a repeated name counts, as for getenv(3). */
export function parseEnviron(bytes: Uint8Array): Record<string, string> {
  const env: Record<string, string> = Object.create(null);
  for (let start = 0; start < bytes.length;) {
    const nul = bytes.indexOf(0, start);
    const end = nul < 0 ? bytes.length : nul;
    const entry = decodeOs(bytes.subarray(start, end));
    const equals = entry.indexOf("=");
    if (equals > 0) env[entry.slice(0, equals)] ??= entry.slice(equals + 1);
    start = end + 1;
  }
  return env;
}

/** The `Groups:` line of proc_pid_status(5). */
export function parseGroups(status: string): number[] {
  const line = /^Groups:(.*)$/m.exec(status)?.[1] ?? "";
  return line.split(/\s+/).filter((word) => word !== "").map(Number);
}

/** Names, home and shell of the caller: passwd(5) and group(5) first, then the environment, then plain defaults. */
export function describeUser(
  from: { uid: number; gid: number; env: Record<string, string>; passwd: string; groupFile: string },
): Pick<Host, "user" | "group" | "home" | "shell"> {
  const { uid, gid, env } = from;
  const account = findById(from.passwd, uid);
  const user = account?.[0] || plainName(env["USER"]) || plainName(env["LOGNAME"]) || "user";
  return {
    user,
    group: findById(from.groupFile, gid)?.[0] || user,
    // HOME is what the session really uses (a moved or NFS home); the file is what the administrator wrote.
    home: absolute(env["HOME"]) ?? absolute(account?.[5]) ?? "/",
    shell: absolute(env["SHELL"]) ?? absolute(account?.[6]) ?? "/bin/sh",
  };
}

function findById(database: string, id: number): string[] | undefined {
  // Searching for the number first spares splitting a file of thousands of users.
  const needle = `:${id}:`;
  for (let at = database.indexOf(needle); at >= 0; at = database.indexOf(needle, at + 1)) {
    const start = database.lastIndexOf("\n", at) + 1;
    const end = database.indexOf("\n", at);
    const fields = database.slice(start, end < 0 ? undefined : end).split(":");
    if (fields[2] === String(id)) return fields;
  }
  return undefined;
}

/** A name that may stand in a passwd line. */
function plainName(name: string | undefined): string | undefined {
  return name !== undefined && /^[^\s:/]+$/.test(name) ? name : undefined;
}

function absolute(path: string | undefined): string | undefined {
  return path?.startsWith("/") ? path : undefined;
}

/** `6.1.0-18-amd64` → 6, 1. */
export function parseKernel(release: string): Kernel {
  const match = /^(\d+)\.(\d+)/.exec(release);
  if (!match) throw new CordonError(`Cannot tell the kernel's version from "${release}"`);
  return { release, major: Number(match[1]), minor: Number(match[2]) };
}

const LIMIT_LINES: Record<RlimitName, string> = {
  CPU: "Max cpu time",
  FSIZE: "Max file size",
  DATA: "Max data size",
  CORE: "Max core file size",
  NPROC: "Max processes",
};

/** proc_pid_limits(5). A line that is missing counts as unlimited. */
export function parseRlimits(text: string): Host["rlimits"] {
  const rlimits = {} as Host["rlimits"];
  for (const [name, title] of Object.entries(LIMIT_LINES) as [RlimitName, string][]) {
    const [soft, hard] = text.split("\n").find((line) => line.startsWith(title))
      ?.slice(title.length).trim().split(/\s+/) ?? [];
    rlimits[name] = { soft: parseLimit(soft), hard: parseLimit(hard) };
  }
  return rlimits;
}

function parseLimit(word: string | undefined): bigint {
  return word !== undefined && /^\d+$/.test(word) ? BigInt(word) : INFINITY;
}

/** The second number of `running/all` in proc_loadavg(5). */
export function parseTasks(loadavg: string): number {
  return Number(/\/(\d+)/.exec(loadavg)?.[1] ?? 0);
}
