/** The command line of `isolate.sh`, with its own rules: no I/O, nothing of `cordon isolate`'s table. */
import type { Environment } from "../../lib/cli/command.ts";
import { parseSize } from "../../lib/cli/values.ts";
import { UsageError } from "../../lib/errors.ts";

/** What `isolate.sh` was asked for; paths as typed. */
export interface IsolateShOptions {
  /** Space-separated list in the mount grammar: the last -m, else MNTDIRS, else `.`. */
  mounts: string;
  /** The option or variable `mounts` came from, for messages. */
  mountsFrom: "-m" | "MNTDIRS" | "default";
  /** -b, else NI_BASEDIR. */
  baseDir?: string;
  verbose: boolean;
  /** `--no-net` means "no network of its own": the host's. */
  network: "none" | "host";
  /** NI_TMPFS_SIZE, else 32 MiB. */
  tmpBytes: number;
  /** Without it two lines go to stdout: the user and directory, and the command about to run. */
  quiet: boolean;
  /** Program and arguments; a single argument is a command for a shell; none means a shell. */
  command: string[];
}

const ISOLATE_SH_TMP_BYTES = 32 * 2 ** 20;

/**
 * Options end at `--` or at the first argument that is not one of the few: an unknown option is the program.
 *
 * @throws {UsageError} -m or -b without a value, NI_TMPFS_SIZE that is no size
 */
export function parseIsolateSh(argv: readonly string[], env: Environment): IsolateShOptions {
  let mounts: string | undefined;
  let baseDir = env["NI_BASEDIR"];
  let verbose = Boolean(env["VERBOSE"]);
  let network: "none" | "host" = "none";
  const rest = [...argv];

  function valueOf(option: string): string {
    const value = rest.shift();
    if (value === undefined) throw new UsageError(`Option ${option} needs a value`);
    return value;
  }

  options: while (rest.length > 0) {
    const arg = rest[0] ?? "";
    switch (arg) {
      case "-m":
      case "--mnt":
        rest.shift();
        mounts = valueOf(arg);
        break;
      case "-b":
        rest.shift();
        baseDir = valueOf(arg);
        break;
      case "-v":
        rest.shift();
        verbose = true;
        break;
      case "--no-net":
        rest.shift();
        network = "host";
        break;
      case "--":
        rest.shift();
        break options;
      default:
        break options;
    }
  }

  const size = env["NI_TMPFS_SIZE"];
  return {
    ...readMounts(mounts, env),
    ...(baseDir && { baseDir }),
    verbose,
    network,
    tmpBytes: size ? parseSize("NI_TMPFS_SIZE", size, { least: 1 }) : ISOLATE_SH_TMP_BYTES,
    quiet: Boolean(env["NI_QUIET"]),
    command: rest,
  };
}

/** As `MNTDIRS=${MNTDIRS:-.}` did: an empty list, typed or inherited, is the default. */
function readMounts(
  typed: string | undefined,
  env: Environment,
): Pick<IsolateShOptions, "mounts" | "mountsFrom"> {
  if (typed) return { mounts: typed, mountsFrom: "-m" };
  if (typed === undefined && env["MNTDIRS"]) return { mounts: env["MNTDIRS"], mountsFrom: "MNTDIRS" };
  return { mounts: ".", mountsFrom: "default" };
}
