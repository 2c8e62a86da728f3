/** `cordon kernel setup`: its options and the reading of them. No I/O. */
import { defineCommand, type OptionSpec, type Parsed } from "../lib/cli/command.ts";
import { parseChoice, parsePath, refuse } from "../lib/cli/values.ts";
import { shellWords } from "../lib/cli/shellwords.ts";
import { UsageError } from "../lib/errors.ts";
import { parseKernelName } from "../lib/jupyter/kernelspec.ts";
import type { ProgramRequest } from "../lib/jupyter/program.ts";
import { KERNEL_OPTIONS, type KernelSandbox, readSandbox } from "./kernel.options.ts";

const PULLS = ["missing", "always", "never"] as const;

/** Below which directory the kernelspec goes. */
export type Scope =
  | { kind: "system" }
  | { kind: "user" }
  /** The prefix of the Python environment in use. */
  | { kind: "sys-prefix" }
  | { kind: "prefix"; path: string };

export interface KernelSetupOptions {
  /** In lower case. */
  name: string;
  scope: Scope;
  program: ProgramRequest;
  displayName?: string;
  language?: string;
  pull: typeof PULLS[number];
  sandbox: KernelSandbox;
  /** The options typed that go into the kernelspec as they are, ready as arguments of `cordon kernel launch`. */
  passed: string[];
}

const SPEC: OptionSpec[] = [
  {
    long: "name",
    value: "NAME",
    group: "Kernelspec",
    complete: "none",
    description: "Name Jupyter knows the kernel by: letters, digits, dots, dashes, underscores",
  },
  {
    long: "display-name",
    value: "TEXT",
    group: "Kernelspec",
    complete: "none",
    description: "Name people see",
  },
  { long: "user", group: "Kernelspec", description: "Install for this user (recommended)" },
  {
    long: "prefix",
    value: "PATH",
    group: "Kernelspec",
    complete: "dir",
    description: "Install below PATH/share/jupyter",
  },
  {
    long: "sys-prefix",
    group: "Kernelspec",
    description: "Install into the Python environment in use (venv, conda)",
  },
  {
    long: "replace",
    group: "Kernelspec",
    description: "Accepted: a kernel of the same name is always replaced",
  },
];

const PROGRAM: OptionSpec[] = [
  {
    long: "python",
    value: "PATH",
    group: "Program",
    default: "/opt/conda/bin/python3 in an image, else the first python3 on PATH that has ipykernel",
    complete: "file",
    description: "Python that runs the kernel",
  },
  {
    long: "from-kernel",
    value: "NAME",
    group: "Program",
    complete: "none",
    description: "Isolate an existing kernel, whatever its language",
  },
  {
    long: "kernel-cmd",
    value: "CMD",
    group: "Program",
    complete: "none",
    description: "Command line of the kernel, with {connection_file} in it",
    details: "Quotes are understood as in a shell; nothing is expanded.",
  },
  {
    long: "language",
    value: "NAME",
    group: "Program",
    complete: "none",
    description: "Language of the kernel, as Jupyter calls it",
  },
];

const PULL: OptionSpec = {
  long: "pull",
  value: "WHEN",
  group: "Engine",
  default: "missing",
  complete: { words: PULLS },
  description: "Pull the image now: missing, always or never",
  details: "A kernel's start never pulls.",
};

export const kernelSetup = defineCommand<KernelSetupOptions>({
  name: "kernel setup",
  summary: "Make a Jupyter kernel that runs isolated",
  description:
    "Writes a kernelspec. Jupyter, nbgrader and nbconvert then start the kernel by its name, and what the notebook " +
    "runs sees the system's programs, its own directory and nothing else of yours: no network, no home, no other " +
    "notebooks. The Python that runs it is shown to it with its packages, wherever they are.\n\n" +
    "With --image it runs in a container instead. Options of the sandbox are recorded and hold at every start.",
  usage: ["--name NAME [--user] [OPTION…]"],
  examples: [
    {
      text: "Grade with it: nbgrader autograde ps1 --ExecutePreprocessor.kernel_name=python3-isolated",
      command: "cordon kernel setup --name python3-isolated --user",
    },
    {
      text: "One gigabyte, ten minutes, a read-only directory of data",
      command: "cordon kernel setup --name graded --user --memory 1G --time 10m --mount /srv/data:/data:ro",
    },
    {
      text: "In a container",
      command: "cordon kernel setup --name secure --user --image jupyter/scipy-notebook",
    },
    {
      text: "Isolate a kernel that is there, R for example",
      command: "cordon kernel setup --name ir-isolated --user --from-kernel ir",
    },
    {
      text: "Any other kernel",
      command: "cordon kernel setup --name sh --user --language bash " +
        "--kernel-cmd 'python3 -m bash_kernel -f {connection_file}'",
    },
  ],
  options: [...SPEC, ...PROGRAM, ...KERNEL_OPTIONS, PULL],
  operands: [],
  passThrough: false,
  exitUsage: 2,
  read: readKernelSetup,
  load: () => import("./kernel-setup.ts"),
});

export function readKernelSetup(parsed: Parsed): KernelSetupOptions {
  const name = parsed.one("name");
  if (name === undefined) {
    throw new UsageError("cordon kernel setup needs --name NAME", {
      hint: "cordon kernel setup --name python3-isolated --user",
    });
  }
  const sandbox = readSandbox(parsed);
  const pull = parsed.one("pull");
  if (pull !== undefined && sandbox.image === undefined) {
    throw new UsageError("Option --pull is for containers: it needs --image");
  }
  const displayName = parsed.one("display-name");
  const language = parsed.one("language");
  const program = readProgram(parsed);
  if (program.kind === "command" && language === undefined) {
    throw new UsageError("Option --kernel-cmd needs --language NAME", {
      why: "A kernelspec names its language, and a command line does not tell it",
    });
  }
  return {
    name: parseKernelName("--name", name),
    scope: readScope(parsed),
    program,
    ...(displayName !== undefined && { displayName: words("--display-name", displayName) }),
    ...(language !== undefined && { language: words("--language", language) }),
    pull: parseChoice("--pull", pull ?? "missing", PULLS),
    sandbox,
    passed: passedOn(parsed),
  };
}

function readScope(parsed: Parsed): Scope {
  const prefix = parsed.one("prefix");
  const scopes: { option: string; scope: Scope }[] = [
    ...(parsed.flag("user") ? [{ option: "--user", scope: { kind: "user" as const } }] : []),
    ...(parsed.flag("sys-prefix")
      ? [{ option: "--sys-prefix", scope: { kind: "sys-prefix" as const } }]
      : []),
    ...(prefix !== undefined
      ? [{ option: "--prefix", scope: { kind: "prefix" as const, path: parsePath("--prefix", prefix) } }]
      : []),
  ];
  if (scopes.length > 1) {
    const names = scopes.map(({ option }) => option).join(" and ");
    throw new UsageError(`Options ${names} cannot be given together`, {
      why: "Each says where the kernelspec goes",
    });
  }
  return scopes[0]?.scope ?? { kind: "system" };
}

function readProgram(parsed: Parsed): ProgramRequest {
  const python = parsed.one("python");
  const from = parsed.one("from-kernel");
  const command = parsed.one("kernel-cmd");
  const named = python === undefined ? {} : { python: parsePath("--python", python) };
  if (command === undefined) {
    if (from === undefined) return { kind: "python", ...named };
    return { kind: "kernelspec", name: parseKernelName("--from-kernel", from), ...named };
  }
  const other = from !== undefined ? "--from-kernel" : python !== undefined ? "--python" : undefined;
  if (other) throw new UsageError(`Options --kernel-cmd and ${other} cannot be given together`);
  return { kind: "command", argv: parseKernelCommand("--kernel-cmd", command) };
}

function parseKernelCommand(option: string, text: string): string[] {
  const argv = shellWords(text);
  if (argv === undefined) throw refuse(option, text, "a command line whose quotes are closed");
  if (!argv.slice(1).some((word) => word.includes("{connection_file}"))) {
    throw refuse(
      option,
      text,
      "a program and arguments, {connection_file} among them: Jupyter puts the file's name there",
    );
  }
  return argv;
}

function words(option: string, text: string): string {
  if (text.trim() === "" || /[\0\n]/.test(text)) throw refuse(option, text, "a line of text");
  return text;
}

/** Options that setup writes in a form of its own. */
const REWRITTEN = ["engine", "image", "host", "mount", "env", "transport"];

/** What was typed of the sandbox's options and means the same at launch, values as typed. */
function passedOn(parsed: Parsed): string[] {
  const names = new Set(KERNEL_OPTIONS.map(({ long }) => long).filter((name) => !REWRITTEN.includes(name)));
  return parsed.given.filter(({ name }) => names.has(name)).flatMap(({ name, value }) =>
    typeof value === "string" ? [`--${name}`, value] : [`--${name}`]
  );
}
