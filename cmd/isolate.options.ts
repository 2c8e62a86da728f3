/** `cordon isolate`: what its options come to, and the reading of them. No I/O. */
import { defineCommand, type Environment, type Parsed } from "../lib/cli/command.ts";
import {
  type EnvArgument,
  parseEnv,
  parseEnvPattern,
  parseFd,
  parseFdOrFile,
  parseHostname,
  parsePath,
  parseSize,
  refuse,
} from "../lib/cli/values.ts";
import { UsageError } from "../lib/errors.ts";
import type { Limits, NetworkMode } from "../lib/spec/spec.ts";
import { ISOLATE_TABLE } from "./isolate.table.ts";
import { readLimits, readNetwork } from "./shared.options.ts";

/** A request for mounts as typed, and the option or variable it came from, for messages. */
export type MountArgument =
  /** The grammar's `[flags:]DEST[=SOURCE]`, several separated by spaces. */
  | { list: string; from: "--mnt" | "MNTDIRS" | "default" }
  /** One mount object as JSON text, not parsed yet. */
  | { json: string; from: "--mount" };

/** What `cordon isolate` was asked for. Paths are as typed: relative ones and `~` are not resolved. */
export interface IsolateOptions {
  /** In the order typed; never empty (the default is the list `.`). */
  mounts: MountArgument[];
  /** Where the root is assembled (-b, else NI_BASEDIR). */
  baseDir?: string;
  verbose: boolean;
  /** Directory inside to start in; its absence there is an error. */
  workdir?: string;
  mapRoot: boolean;
  hostname?: string;
  /** In the order typed; one without a value passes the caller's, if it has one. */
  env: EnvArgument[];
  /** Patterns (`*`, `?`) of the caller's variables to pass. */
  keepEnv: string[];
  keepFds: number[];
  rawStdio: boolean;
  network: NetworkMode;
  /** `HOST:PORT`, checked for form. */
  allow: string[];
  seccompFile?: string;
  nested: boolean;
  sys: boolean;
  /** `tmpBytes` and `bestEffort` are always there; another is there only when asked for. */
  limits: Limits;
  result?: { fd: number } | { path: string };
  /** What to do: at most one of --explain, --emit and --check may be given. */
  action: { kind: "run" } | { kind: "explain" } | { kind: "check" } | { kind: "emit"; file: string };
  /** Program and arguments; empty means a shell. */
  command: string[];
}

export const isolate = defineCommand<IsolateOptions>({
  ...ISOLATE_TABLE,
  read: readIsolate,
  load: () => import("./isolate.ts"),
});

/** What was typed, and the variables of the original tool that give defaults, as typed options. */
export function readIsolate(parsed: Parsed, env: Environment): IsolateOptions {
  if (parsed.flag("no-net")) {
    throw new UsageError("Option --no-net is not accepted here", {
      why: 'It reads as "no network" and gave the host\'s network; without an option there is none',
      hint: "cordon isolate --network host",
    });
  }
  const baseDir = parsed.one("base-dir") ?? (env["NI_BASEDIR"] || undefined);
  const workdir = parsed.one("workdir");
  const hostname = parsed.one("hostname");
  const seccomp = parsed.one("seccomp");
  const result = parsed.one("result");
  const network = readNetwork(parsed);
  return {
    mounts: readMounts(parsed, env),
    ...(baseDir !== undefined && { baseDir: parsePath("-b", baseDir) }),
    verbose: parsed.flag("verbose", Boolean(env["VERBOSE"])),
    ...(workdir !== undefined && { workdir: parsePath("--workdir", workdir) }),
    mapRoot: parsed.flag("map-root"),
    ...(hostname !== undefined && { hostname: parseHostname("--hostname", hostname) }),
    env: parsed.all("env").map((text) => parseEnv("--env", text)),
    keepEnv: parsed.all("keep-env").map((text) => parseEnvPattern("--keep-env", text)),
    keepFds: [...new Set(parsed.all("keep-fd").map((text) => parseFd("--keep-fd", text)))],
    rawStdio: parsed.flag("raw-stdio"),
    network: network.mode,
    allow: network.allow,
    ...(seccomp !== undefined && { seccompFile: parsePath("--seccomp", seccomp) }),
    nested: parsed.flag("nested"),
    sys: parsed.flag("sys"),
    limits: readLimits(parsed, parsed.one("tmp-size") === undefined ? inheritedTmpSize(env) : {}),
    ...(result !== undefined && { result: parseFdOrFile("--result", result) }),
    action: readAction(parsed),
    command: parsed.operands,
  };
}

function readMounts(parsed: Parsed, env: Environment): MountArgument[] {
  const typed = parsed.given.flatMap(({ name, value }): MountArgument[] => {
    const text = String(value);
    if (name === "mount") return [{ json: text, from: "--mount" }];
    if (name !== "mnt") return [];
    if (text.trim() === "") throw refuse("-m", text, "at least one [flags:]DEST[=SOURCE]");
    return [{ list: text, from: "--mnt" }];
  });
  if (typed.length > 0) return typed;
  return [
    env["MNTDIRS"]?.trim() ? { list: env["MNTDIRS"], from: "MNTDIRS" } : { list: ".", from: "default" },
  ];
}

/** What the original tool reads: the size of the root where no option gives one. */
function inheritedTmpSize(env: Environment): { tmpBytes?: number } {
  const text = env["NI_TMPFS_SIZE"];
  return text ? { tmpBytes: parseSize("NI_TMPFS_SIZE", text, { least: 1 }) } : {};
}

function readAction(parsed: Parsed): IsolateOptions["action"] {
  const emit = parsed.one("emit");
  const actions: IsolateOptions["action"][] = [
    ...(parsed.flag("explain") ? [{ kind: "explain" as const }] : []),
    ...(emit !== undefined ? [{ kind: "emit" as const, file: parsePath("--emit", emit) }] : []),
    ...(parsed.flag("check") ? [{ kind: "check" as const }] : []),
  ];
  if (actions.length > 1) {
    throw new UsageError(
      `Options ${actions.map(({ kind }) => `--${kind}`).join(" and ")} cannot be given together`,
    );
  }
  return actions[0] ?? { kind: "run" };
}
