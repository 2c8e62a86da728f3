/** `cordon magics install`, `remove` and `status`: their options and the reading of them. No I/O. */
import { defineCommand, type OptionSpec, type Parsed } from "../lib/cli/command.ts";
import { parseChoice, parsePath } from "../lib/cli/values.ts";
import { UsageError } from "../lib/errors.ts";

/** Whose the module is: everybody's who uses that Python, or the caller's alone. */
export type MagicsScope = "python" | "user";

export interface MagicsPlaceOptions {
  /** Absent: the python3 on PATH. */
  python?: string;
  scope?: MagicsScope;
}

export interface MagicsInstallOptions extends MagicsPlaceOptions {
  autoload: boolean;
}

export interface MagicsStatusOptions {
  engine?: "docker" | "namespaces";
  /** What %docker was given. */
  args?: string;
  redirected: boolean;
  switched: boolean;
}

const PLACE: readonly OptionSpec[] = [
  {
    long: "python",
    value: "PATH",
    complete: "file",
    default: "the python3 on PATH",
    description: "Python of the notebooks",
  },
  { long: "user", description: "The caller's own packages of that Python" },
  { long: "sys-prefix", description: "The packages of that Python itself (as without --user)" },
];

export const magicsInstall = defineCommand<MagicsInstallOptions>({
  name: "magics install",
  summary: "Give notebooks %%docker, %docker and a ! that runs in containers",
  description:
    "Writes one Python module, cordon.py, where the Python of the notebooks finds it, and dockyter.py beside it " +
    "unless Dockyter itself is there. A notebook says %load_ext cordon (or %load_ext dockyter) and has %%docker, " +
    "%docker, %docker_on, %docker_off, %docker_status, %docker_backend and %docker_profile. The module calls this " +
    "executable for everything.",
  usage: ["[--python PATH] [--user | --sys-prefix] [--autoload]"],
  examples: [
    { text: "For the python3 on PATH", command: "cordon magics install" },
    {
      text: "For a kernel's environment, loaded in every notebook",
      command: "cordon magics install --python /opt/conda/bin/python3 --autoload",
    },
    { text: "Without the right to write there", command: "cordon magics install --user" },
  ],
  options: [
    ...PLACE,
    {
      long: "autoload",
      description: "Load them in every session of IPython and every notebook",
      details: "With --user by a file in the startup directory of IPython's default profile, else by " +
        "etc/ipython/ipython_config.py below the Python's prefix.",
    },
  ],
  operands: [],
  passThrough: false,
  exitUsage: 2,
  read: (parsed) => ({ ...readPlace(parsed), autoload: parsed.flag("autoload") }),
  load: () => import("./magics-install.ts"),
});

export const magicsRemove = defineCommand<MagicsPlaceOptions>({
  name: "magics remove",
  summary: "Remove what cordon magics install wrote",
  description:
    "Removes those of the files that cordon wrote, and nothing that anybody else did. With neither --user nor " +
    "--sys-prefix it looks in both places.",
  usage: ["[--python PATH] [--user | --sys-prefix]"],
  examples: [{ text: "From the python3 on PATH", command: "cordon magics remove" }],
  options: PLACE,
  operands: [],
  passThrough: false,
  exitUsage: 2,
  read: readPlace,
  load: () => import("./magics-remove.ts"),
});

export const magicsStatus = defineCommand<MagicsStatusOptions>({
  name: "magics status",
  summary: "Print what %docker_status shows",
  description:
    "Which backend the magics use, here and now, and whether it answers. The magics call it; what is chosen in a " +
    "notebook comes by the options, an API by the variable CORDON_API.",
  usage: ["[OPTION…]"],
  examples: [
    { text: "As configured", command: "cordon magics status" },
    { text: "Would namespaces do?", command: "cordon magics status --engine namespaces" },
  ],
  options: [
    {
      long: "engine",
      value: "NAME",
      default: "as configured, else docker",
      complete: { words: ["docker", "namespaces"] },
      description: "docker or namespaces",
    },
    {
      long: "args",
      value: "TEXT",
      default: "the configured ones",
      complete: "none",
      description: "Arguments that %docker was given",
    },
    { long: "redirected", description: "! runs in containers" },
    { long: "switched", description: "The backend was just chosen" },
  ],
  operands: [],
  passThrough: false,
  exitUsage: 2,
  read(parsed) {
    const engine = parsed.one("engine"), args = parsed.one("args");
    return {
      ...(engine !== undefined && { engine: parseChoice("--engine", engine, ["docker", "namespaces"]) }),
      ...(args !== undefined && { args }),
      redirected: parsed.flag("redirected"),
      switched: parsed.flag("switched"),
    };
  },
  load: () => import("./magics-status.ts"),
});

function readPlace(parsed: Parsed): MagicsPlaceOptions {
  const python = parsed.one("python");
  const user = parsed.flag("user"), system = parsed.flag("sys-prefix");
  if (user && system) {
    throw new UsageError("Options --user and --sys-prefix cannot be given together", {
      why: "Each says where the module goes",
    });
  }
  return {
    ...(python !== undefined && { python: parsePath("--python", python) }),
    ...(user && { scope: "user" }),
    ...(system && { scope: "python" }),
  };
}
