/** What `kernel setup` records and `kernel launch` takes: one table and one reader for both. No I/O. */
import type { OptionSpec, Parsed } from "../lib/cli/command.ts";
import { type EnvArgument, parseChoice, parseEnv, refuse } from "../lib/cli/values.ts";
import { UsageError } from "../lib/errors.ts";
import { type KernelMount, parseKernelMount, toMounts } from "../lib/jupyter/mounts.ts";
import type { Limits, Network } from "../lib/spec/spec.ts";
import { LIMIT_OPTIONS, NETWORK_OPTIONS, readLimits, readNetwork } from "./shared.options.ts";

const ENGINES = ["namespaces", "docker"] as const;
const TRANSPORTS = ["auto", "ipc", "tcp"] as const;

/** The surroundings of a kernel. Paths are as typed. */
export interface KernelSandbox {
  engine: typeof ENGINES[number];
  /** Container image; there exactly when the engine is docker. */
  image?: string;
  /** Address of the container engine; without it the usual ones are looked at. */
  host?: string;
  /** In the order typed. */
  mounts: KernelMount[];
  /** Absolute path inside at which the working directory is mounted; its own path when absent. */
  workdir?: string;
  copyWorkdir: boolean;
  /** In the order typed; one without a value passes the launcher's, if it has one. */
  env: EnvArgument[];
  /** Patterns of files in the working directory that are not to be seen inside. */
  hide: string[];
  network: Network;
  /** `outputBytes` is never there: a kernel's output goes through its sockets. */
  limits: Limits;
  /** As `docker run --gpus` takes it. */
  gpus?: string;
  /** How Jupyter's sockets reach the kernel; `auto` is for the launcher to choose. */
  transport: typeof TRANSPORTS[number];
}

const ENGINE: OptionSpec[] = [
  {
    long: "engine",
    value: "NAME",
    group: "Engine",
    default: "docker with --image, else namespaces",
    complete: { words: ENGINES },
    description: "namespaces (nothing to install) or docker (Docker or Podman)",
  },
  {
    long: "image",
    value: "IMAGE",
    group: "Engine",
    complete: "none",
    description: "Run the kernel in a container of this image",
  },
  {
    long: "host",
    value: "ENDPOINT",
    group: "Engine",
    default: "DOCKER_HOST, the Docker context, or the first usual socket that answers",
    complete: "none",
    description: "Address of the container engine, such as unix:///run/podman/podman.sock",
  },
  {
    long: "gpus",
    value: "SPEC",
    group: "Engine",
    complete: "none",
    description: "GPUs of the container: all, a number or device=ID",
  },
  {
    long: "transport",
    value: "NAME",
    group: "Engine",
    default: "auto",
    complete: { words: TRANSPORTS },
    description: "How Jupyter's sockets reach the kernel: auto, ipc or tcp",
    details: "ipc needs no network inside; tcp is for kernels whose ZeroMQ has no ipc, such as Java's.",
  },
];

const FILES: OptionSpec[] = [
  {
    long: "mount",
    value: "HOST:MOUNT[:ro|:copy]",
    repeat: true,
    group: "Files",
    complete: "dir",
    description: "Show the host's directory or file HOST at MOUNT inside",
    details: "ro makes it read-only; copy gives the kernel a copy that goes when it ends. For names with " +
      'colons: a JSON object {"dest": …, "source": …, "flags": […]}.',
  },
  {
    long: "mnt",
    short: "m",
    value: "LIST",
    repeat: true,
    group: "Files",
    complete: "dir",
    description: "Mounts in the grammar of cordon isolate: [flags:]DEST[=SOURCE] (namespaces)",
    details: "Relative names are those of the directory the kernel is started in.",
  },
  {
    long: "workdir",
    value: "DIR",
    group: "Files",
    default: "its own path",
    complete: "none",
    description: "Show the working directory at DIR inside",
  },
  {
    long: "copy-workdir",
    group: "Files",
    description: "Work on a copy of the working directory, which goes when the kernel ends",
  },
  {
    long: "hide",
    value: "PATTERN",
    repeat: true,
    group: "Files",
    complete: "none",
    description: "Hide matching files of the working directory, such as '*.csv'",
  },
];

const ENVIRONMENT: OptionSpec[] = [
  {
    long: "env",
    value: "NAME[=VALUE]",
    repeat: true,
    group: "Environment",
    complete: "none",
    description: "Set a variable for the kernel, or pass the one Jupyter has",
    details: "Passed anyway: PATH, HOME, USER, LOGNAME, SHELL, LANG, LC_*, TERM, TZ, NBGRADER_* and " +
      "JPY_SESSION_NAME.",
  },
];

/** The options of both commands. */
export const KERNEL_OPTIONS: readonly OptionSpec[] = [
  ...ENGINE,
  ...FILES,
  ...ENVIRONMENT,
  ...NETWORK_OPTIONS,
  ...LIMIT_OPTIONS.filter((option) => option.long !== "output"),
];

/** @throws {UsageError} a value of the wrong form, an option that the chosen engine cannot honour */
export function readSandbox(parsed: Parsed): KernelSandbox {
  const { image, engine } = readEngine(parsed);
  const host = parsed.one("host");
  const workdir = parsed.one("workdir");
  const gpus = parsed.one("gpus");
  const sandbox: KernelSandbox = {
    engine,
    ...(image !== undefined && { image }),
    ...(host !== undefined && { host: nonEmpty("--host", host, "an address such as unix:///path") }),
    mounts: checkMounts(readMounts(parsed)),
    ...(workdir !== undefined && { workdir: inside("--workdir", workdir) }),
    copyWorkdir: parsed.flag("copy-workdir"),
    env: parsed.all("env").map((text) => parseEnv("--env", text)),
    hide: parsed.all("hide").map((text) => parseHide("--hide", text)),
    network: readNetwork(parsed),
    limits: readLimits(parsed, { output: false }),
    ...(gpus !== undefined && { gpus: parseGpus("--gpus", gpus) }),
    transport: parseChoice("--transport", parsed.one("transport") ?? "auto", TRANSPORTS),
  };
  refuseForeign(sandbox);
  return sandbox;
}

function readEngine(parsed: Parsed): Pick<KernelSandbox, "engine" | "image"> {
  const image = parsed.one("image");
  const typed = parsed.one("engine");
  const engine = typed === undefined ? undefined : parseChoice("--engine", typed, ENGINES);
  if (image !== undefined) {
    nonEmpty("--image", image, "the name of a container image");
    if (engine === "namespaces") {
      throw new UsageError("Options --image and --engine namespaces cannot be given together", {
        why: "The namespaces engine runs programs of the host",
      });
    }
    return { engine: "docker", image };
  }
  if (engine === "docker") throw new UsageError("Option --engine docker needs --image");
  return { engine: "namespaces" };
}

function readMounts(parsed: Parsed): KernelMount[] {
  return parsed.given.flatMap(({ name, value }): KernelMount[] => {
    const text = String(value);
    if (name === "mount") return [parseKernelMount("--mount", text)];
    if (name !== "mnt") return [];
    return [{ list: nonEmpty("--mnt", text, "at least one [flags:]DEST[=SOURCE]") }];
  });
}

const NOWHERE = { cwd: "/", home: "/" };

/** The grammar is checked here, at places that do not matter: a kernelspec must not hold what no launch can read. */
function checkMounts(mounts: KernelMount[]): KernelMount[] {
  toMounts(mounts, NOWHERE);
  return mounts;
}

/** What one engine has and the other has not. */
function refuseForeign({ engine, host, gpus, mounts, network, transport }: KernelSandbox): void {
  if (transport === "tcp" && network.mode === "host") {
    throw new UsageError("Options --transport tcp and --network host cannot be given together", {
      why: "Every kernel listens at the same ports of a network of its own",
    });
  }
  if (engine === "docker") {
    if (network.allow.length > 0) {
      throw new UsageError("Option --allow is for the namespaces engine", {
        why: "A container has none, host or auto (the engine's own) as its --network",
      });
    }
    if (mounts.some((mount) => "list" in mount)) {
      throw new UsageError("Option --mnt is for the namespaces engine", {
        why: "For a container use --mount HOST:MOUNT[:ro|:copy]",
      });
    }
    const odd = toMounts(mounts, NOWHERE).find(({ kind }) => kind !== "bind" && kind !== "copy");
    if (odd) throw new UsageError(`A container cannot have a mount of kind ${odd.kind} at ${odd.dest}`);
    if (network.mode === "pasta" || network.mode === "slirp4netns") {
      throw new UsageError(`Option --network ${network.mode} is for the namespaces engine`, {
        why: "A container has none, host or auto (the engine's own)",
      });
    }
    return;
  }
  const foreign = host !== undefined ? "--host" : gpus !== undefined ? "--gpus" : undefined;
  if (foreign) throw new UsageError(`Option ${foreign} is for containers: it needs --image`);
}

function nonEmpty(option: string, text: string, wanted: string): string {
  if (text.trim() === "" || text.includes("\0")) throw refuse(option, text, wanted);
  return text;
}

/** A path inside: nothing there is relative to where cordon runs. */
function inside(option: string, text: string): string {
  if (!text.startsWith("/") || text.includes("\0")) throw refuse(option, text, "an absolute path inside");
  return text;
}

function parseHide(option: string, text: string): string {
  const steps = text.split("/");
  if (text === "" || text.startsWith("/") || steps.includes("..") || text.includes("\0")) {
    throw refuse(option, text, "a pattern of names in the working directory, such as '*.csv' or 'answers/*'");
  }
  return text;
}

function parseGpus(option: string, text: string): string {
  if (!/^(all|[1-9]\d{0,3}|device=[^\s,=]+(,[^\s,=]+)*)$/.test(text)) {
    throw refuse(option, text, "all, a number, or device=ID[,ID…] as docker run takes it");
  }
  return text;
}
