/**
 * What `docker run`'s arguments mean without an image: a Spec for the namespaces engine. What cannot be honoured is
 * refused. No I/O.
 */
import { posix } from "node:path";
import { CordonError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { insideEnvironment, userOf } from "../spec/defaults.ts";
import type { Limits, Mount, Spec } from "../spec/spec.ts";
import { cut } from "./csv.ts";
import { parseRamSize } from "./numbers.ts";
import type { DockerRun } from "./run.ts";
import { scriptCommand } from "./script.ts";
import type { ApiMount } from "./volumes.ts";

/** The name that stands for the programs of this machine. */
export const HOST_IMAGE = "host";
const HOSTNAME = "cordon";

/** What means the same here. Everything else is refused, so that nobody gets less than was asked for. */
const HONOURED = [
  "cpus",
  "entrypoint",
  "env",
  "env-file",
  "hostname",
  "init",
  "interactive",
  "memory",
  "mount",
  "network",
  "pids-limit",
  "quiet",
  "read-only",
  "rm",
  "tmpfs",
  "tty",
  "user",
  "volume",
  "workdir",
];

export interface HostSpecOptions {
  /** A shell script comes by stdin. */
  script: boolean;
  bestEffort: boolean;
  /** Size of the root tmpfs, /tmp included. */
  tmpBytes: number;
}

/**
 * The Spec of a container's command line.
 *
 * @throws CordonError for what has no meaning without a container
 */
export function hostSpec(
  run: DockerRun,
  options: HostSpecOptions,
  host: Host,
): Spec {
  const { config, image, flags } = run;
  if (image !== HOST_IMAGE) {
    throw cannot(`image ${image}`, {
      why: "It takes no images: the name host stands for the programs of this machine",
    });
  }
  const others = flags.filter((name) => !HONOURED.includes(name));
  if (others.length > 0) throw cannot(others.map((name) => `--${name}`).join(", "));
  const hostConfig = config.HostConfig ?? {};
  const readOnly = hostConfig["ReadonlyRootfs"] === true;
  const mounts = mountsOf(run);
  const workdir = workdirOf(config.WorkingDir, mounts, host);
  return {
    command: commandOf(run, options, host),
    env: environment(config.Env ?? [], host),
    workdir: { path: workdir.path, required: true },
    user: userOf(host, host.user),
    mapRoot: asRoot(config.User, host),
    hostname: typeof config["Hostname"] === "string" ? config["Hostname"] : HOSTNAME,
    root: { assembleAt: "/tmp", etc: true, ...(readOnly && { readOnly }) },
    mounts: [...(readOnly ? [tmp("/dev/shm")] : []), ...mounts, ...workdir.mounts],
    network: { mode: networkMode(hostConfig["NetworkMode"]), allow: [] },
    limits: limitsOf(hostConfig, options),
    keepFds: [],
    rawStdio: false,
    nested: false,
    verbose: false,
  };
}

function commandOf(
  { config, command }: DockerRun,
  { script }: { script: boolean },
  host: Pick<Host, "shell">,
): string[] {
  const words = script ? scriptCommand(command) : command;
  const entry = config.Entrypoint?.filter((word) => word !== "") ?? [];
  const whole = [...entry, ...words];
  if (whole.length > 0) return whole;
  return [/\/(nologin|false)$/.test(host.shell) ? "/bin/sh" : host.shell];
}

/** `NAME` alone takes a variable away, as it does from an image's. */
function environment(texts: readonly string[], host: Host): Record<string, string> {
  const env = insideEnvironment(host, { add: [], keep: [], everything: false });
  for (const text of texts) {
    const [name, value] = cut(text, "=");
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
  return env;
}

/** A user namespace of an ordinary user has one user: the caller, by its own number or as 0. */
function asRoot(user: string | undefined, host: Host): boolean {
  if (user === undefined) return false;
  const [name, group] = cut(user, ":");
  const isRoot = ["0", "root"].includes(name) && (group === undefined || ["0", "root"].includes(group));
  const isCaller = [String(host.uid), host.user].includes(name) &&
    (group === undefined || [String(host.gid), host.group].includes(group));
  if (!isRoot && !isCaller) {
    throw cannot(`-u ${user}`, {
      why: `There is you (${host.uid}:${host.gid}), or root (0:0), and nobody else`,
    });
  }
  return isRoot && !isCaller;
}

function networkMode(mode: unknown): "none" | "host" {
  if (mode === undefined || mode === "none") return "none";
  if (mode === "host") return "host";
  throw cannot(`--network ${mode}`, { why: "There is none, which is the default, and host" });
}

function limitsOf(
  hostConfig: Record<string, unknown>,
  { bestEffort, tmpBytes }: Pick<HostSpecOptions, "bestEffort" | "tmpBytes">,
): Limits {
  const { Memory, NanoCpus, PidsLimit } = hostConfig;
  return {
    ...(typeof Memory === "number" && { memoryBytes: Memory }),
    ...(typeof NanoCpus === "number" && NanoCpus > 0 && { cpus: NanoCpus / 1e9 }),
    ...(typeof PidsLimit === "number" && PidsLimit > 0 && { pids: PidsLimit }),
    tmpBytes,
    bestEffort,
  };
}

function mountsOf({ config }: DockerRun): Mount[] {
  const { Binds, Mounts, Tmpfs } = config.HostConfig ?? {};
  return [
    ...(Binds as string[] | undefined ?? []).map(bindOf),
    ...(Mounts as ApiMount[] | undefined ?? []).map(mountOf),
    ...Object.entries(Tmpfs as Record<string, string> | undefined ?? {}).map(tmpfsOf),
    ...Object.keys(config["Volumes"] as object | undefined ?? {}).map((dest) => tmp(absolute(dest))),
  ];
}

function bindOf(text: string): Mount {
  const [source = "", dest = "", options = ""] = text.split(":");
  const what = `-v ${text}`;
  if (!posix.isAbsolute(source)) throw cannot(what, { why: `There are no named volumes such as ${source}` });
  const words = options === "" ? [] : options.split(",");
  const other = words.find((word) => !["ro", "rw", "z", "Z", "rprivate"].includes(word));
  if (other !== undefined) throw cannot(what, { why: `Its option ${other} means nothing there` });
  return bind(source, dest, words.includes("ro"));
}

function mountOf(mount: ApiMount): Mount {
  const { Type, Source, Target, ReadOnly, BindOptions, TmpfsOptions } = mount;
  const what = `--mount type=${Type},target=${Target}`;
  const propagation = BindOptions?.Propagation ?? "rprivate";
  const plainBind = propagation === "rprivate" && !BindOptions?.NonRecursive &&
    !BindOptions?.ReadOnlyNonRecursive;
  if (Type === "bind" && Source !== undefined && plainBind) return bind(Source, Target, ReadOnly === true);
  if (Type === "tmpfs") {
    const { SizeBytes, Mode } = TmpfsOptions ?? {};
    return { ...tmp(absolute(Target), SizeBytes, Mode), readOnly: ReadOnly === true };
  }
  const why = Type === "bind"
    ? "One of its options means nothing there"
    : "There are mounts of type bind and tmpfs";
  throw cannot(what, { why });
}

/** Options of tmpfs(5) as `--tmpfs` takes them. */
function tmpfsOf([dest, options]: [string, string]): Mount {
  const mount = tmp(absolute(dest));
  for (const option of options === "" ? [] : options.split(",")) {
    const [name, value] = cut(option, "=");
    if (name === "size" && value !== undefined) mount.bytes = parseRamSize("size of --tmpfs", value);
    else if (name === "mode" && value !== undefined && /^[0-7]{1,5}$/.test(value)) {
      mount.mode = parseInt(value, 8);
    } else if (option === "ro") mount.readOnly = true;
    // Set-uid programs and device nodes never work there.
    else if (!["rw", "nosuid", "nodev", "exec"].includes(option)) {
      throw cannot(`--tmpfs ${dest}:${options}`, { why: `Its option ${option} cannot be honoured` });
    }
  }
  return mount;
}

function bind(source: string, dest: string, readOnly: boolean): Mount {
  if (!posix.isAbsolute(source)) throw cannot(`a mount of ${source}`, { why: "Its path is not absolute" });
  return {
    dest: absolute(dest),
    source: posix.normalize(source).replace(/(?<=.)\/$/, ""),
    kind: "bind",
    readOnly,
    devices: false,
    optional: false,
  };
}

function tmp(dest: string, bytes?: number, mode?: number): Mount {
  return {
    dest,
    kind: "tmp",
    readOnly: false,
    devices: false,
    optional: false,
    ...(bytes !== undefined && bytes > 0 && { bytes }),
    ...(mode !== undefined && { mode }),
  };
}

function absolute(dest: string): string {
  if (!posix.isAbsolute(dest)) throw cannot(`a mount at ${dest}`, { why: "The path is not absolute" });
  return posix.normalize(dest).replace(/(?<=.)\/$/, "");
}

/** Docker makes a working directory that is missing; here it is an empty one of the container's own. */
function workdirOf(
  path: string | undefined,
  mounts: readonly Mount[],
  host: Pick<Host, "home">,
): { path: string; mounts: Mount[] } {
  if (path === undefined) return { path: "/", mounts: [] };
  const place = absolute(path);
  const covered = mounts.some(({ dest }) => place === dest || place.startsWith(`${dest}/`) || dest === "/");
  const above = mounts.some(({ dest }) => dest.startsWith(`${place}/`));
  const system = /^\/(usr|bin|sbin|lib[^/]*|etc|proc|dev|sys)(\/|$)/.test(place);
  const made = ["/", "/tmp", "/var", "/var/tmp", "/run", "/home", host.home].includes(place);
  if (covered || above || system || made) return { path: place, mounts: [] };
  return { path: place, mounts: [tmp(place, undefined, 0o755)] };
}

function cannot(what: string, { why }: { why?: string } = {}): CordonError {
  return new CordonError(`The namespaces engine cannot do ${what}`, {
    why: why ?? "cordon never runs a program with less isolation or less than was asked for",
  });
}
