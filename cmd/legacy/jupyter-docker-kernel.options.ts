/**
 * The command line of `jupyter_docker_kernel.py`, with its own rules (Python's argparse): options may be shortened,
 * and the launch form ends at the first argument that is none. No I/O.
 */
import { refuse } from "../../lib/cli/values.ts";
import { UsageError } from "../../lib/errors.ts";
import { CONNECTION_FILE, parseKernelName } from "../../lib/jupyter/kernelspec.ts";
import { parseKernelMount } from "../../lib/jupyter/mounts.ts";
import type { KernelSandbox } from "../kernel.options.ts";
import type { KernelLaunchOptions } from "../kernel-launch.options.ts";
import type { KernelSetupOptions, Scope } from "../kernel-setup.options.ts";
import { DEFAULT_TMP_BYTES } from "../shared.options.ts";

export type JupyterDockerKernelOptions =
  | { kind: "setup"; options: KernelSetupOptions }
  | { kind: "launch"; options: KernelLaunchOptions }
  | { kind: "help" };

export const USAGE = `usage: jupyter_docker_kernel.py setup --name NAME --image IMAGE [OPTION…]
       jupyter_docker_kernel.py --image IMAGE [OPTION…] PYTHON -m ipykernel_launcher -f FILE [ARG…]

Both:   --mount HOST:MOUNT[:ro|:copy]  --workdir DIR  --copy-workdir  --python PATH
setup:  --user  --prefix PATH  --replace

This is cordon under the old name: cordon help kernel setup says more.
`;

/** Names of options; those with `true` take a value. */
type Table = Readonly<Record<string, boolean>>;

const SANDBOX: Table = {
  "--image": true,
  "--mount": true,
  "--python": true,
  "--workdir": true,
  "--copy-workdir": false,
  "--help": false,
};
const SETUP: Table = { ...SANDBOX, "--name": true, "--user": false, "--prefix": true, "--replace": false };

/** @throws {UsageError} what the original, or the launch it asks for, cannot use */
export function parseJupyterDockerKernel(argv: readonly string[]): JupyterDockerKernelOptions {
  const [first, ...rest] = argv;
  const setup = first === "setup";
  const typed = setup ? parse(rest, SETUP) : parse(argv, SANDBOX, { "-m": "--mount" });
  if (typed.flags.has("--help")) return { kind: "help" };
  return setup
    ? { kind: "setup", options: readSetup(typed) }
    : { kind: "launch", options: readLaunch(typed) };
}

interface Typed {
  flags: Set<string>;
  values: Map<string, string[]>;
  /** From the first argument that is no option. */
  rest: string[];
}

function parse(argv: readonly string[], table: Table, shorts: Readonly<Record<string, string>> = {}): Typed {
  const typed: Typed = { flags: new Set(), values: new Map(), rest: [] };
  const pending = [...argv];
  while (pending.length > 0) {
    const word = pending.shift()!;
    if (!word.startsWith("-") || word === "-") {
      typed.rest = [word, ...pending];
      break;
    }
    if (word === "--") {
      typed.rest = pending;
      break;
    }
    const { name, value } = split(word, shorts);
    const option = complete(name, table);
    if (!table[option]) {
      if (value !== undefined) throw new UsageError(`Option ${option} takes no value`);
      typed.flags.add(option);
      continue;
    }
    const given = value ?? pending.shift();
    if (given === undefined) throw new UsageError(`Option ${option} needs a value`);
    typed.values.set(option, [...(typed.values.get(option) ?? []), given]);
  }
  return typed;
}

/** `--x=VALUE`, `-mVALUE` or the bare name. */
function split(word: string, shorts: Readonly<Record<string, string>>): { name: string; value?: string } {
  if (!word.startsWith("--")) {
    if (word === "-h") return { name: "--help" };
    const name = shorts[word.slice(0, 2)] ?? word;
    return name === word || word.length === 2 ? { name } : { name, value: word.slice(2).replace(/^=/, "") };
  }
  const equals = word.indexOf("=");
  return equals < 0 ? { name: word } : { name: word.slice(0, equals), value: word.slice(equals + 1) };
}

/** The option that this is the beginning of. */
function complete(name: string, table: Table): string {
  if (name in table) return name;
  const meant = name.length > 2 ? Object.keys(table).filter((option) => option.startsWith(name)) : [];
  if (meant.length === 1) return meant[0]!;
  throw new UsageError(
    meant.length > 1
      ? `Option ${name} could be ${meant.join(" or ")}`
      : `Unknown option ${JSON.stringify(name)} of jupyter_docker_kernel.py`,
    { hint: "jupyter_docker_kernel.py --help" },
  );
}

function readSetup({ flags, values, rest }: Typed): KernelSetupOptions {
  if (rest.length > 0) throw new UsageError(`Unexpected argument ${JSON.stringify(rest[0])} after setup`);
  const name = values.get("--name")?.at(-1);
  if (name === undefined) throw new UsageError("jupyter_docker_kernel.py setup needs --name NAME");
  const python = values.get("--python")?.at(-1);
  const sandbox = readSandbox({ flags, values, rest });
  return {
    name: parseKernelName("--name", name),
    scope: readScope(flags, values.get("--prefix")?.at(-1)),
    program: { kind: "python", ...(python !== undefined && { python }) },
    pull: "missing",
    sandbox,
    passed: [
      ...(sandbox.workdir === undefined ? [] : ["--workdir", sandbox.workdir]),
      ...(sandbox.copyWorkdir ? ["--copy-workdir"] : []),
      "--network",
      sandbox.network.mode,
    ],
  };
}

function readScope(flags: ReadonlySet<string>, prefix: string | undefined): Scope {
  if (flags.has("--user") && prefix !== undefined) {
    throw new UsageError("Options --user and --prefix cannot be given together");
  }
  if (prefix !== undefined) return { kind: "prefix", path: prefix };
  return { kind: flags.has("--user") ? "user" : "system" };
}

function readLaunch(typed: Typed): KernelLaunchOptions {
  const { rest } = typed;
  const at = rest.indexOf("-f");
  const file = at < 0 ? undefined : rest[at + 1];
  if (file === undefined) {
    throw new UsageError("jupyter_docker_kernel.py needs PYTHON -m ipykernel_launcher -f FILE", {
      why: `FILE is what Jupyter puts for ${CONNECTION_FILE}`,
      hint: "jupyter_docker_kernel.py --help",
    });
  }
  return { ...readSandbox(typed), connectionFile: file, explain: false, command: rest };
}

/** The original's container had the engine's own network, and its notebooks may count on it. */
function readSandbox({ flags, values }: Typed): KernelSandbox {
  const image = values.get("--image")?.at(-1);
  const workdir = values.get("--workdir")?.at(-1);
  if (!image) throw new UsageError("jupyter_docker_kernel.py needs --image IMAGE");
  if (workdir !== undefined && !workdir.startsWith("/")) {
    throw refuse("--workdir", workdir, "an absolute path inside");
  }
  return {
    engine: "docker",
    image,
    mounts: (values.get("--mount") ?? []).map((text) => parseKernelMount("--mount", text)),
    ...(workdir !== undefined && { workdir }),
    copyWorkdir: flags.has("--copy-workdir"),
    env: [],
    hide: [],
    network: { mode: "auto", allow: [] },
    limits: { tmpBytes: DEFAULT_TMP_BYTES, bestEffort: false },
    transport: "auto",
  };
}
