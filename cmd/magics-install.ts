/** `cordon magics install`: the module, where a Python finds it. */
import { join } from "node:path";
import type { CommandContext } from "../lib/cli/command.ts";
import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import { CordonError } from "../lib/errors.ts";
import { ownExecutable, passingPlace } from "../lib/jupyter/executable.ts";
import { AUTOLOAD_CONFIG, AUTOLOAD_STARTUP, DOCKYTER_MODULE, magicsModule } from "../lib/jupyter/magics.ts";
import { ownerOf, writeModule } from "../lib/jupyter/magics-files.ts";
import { type MagicsPython, magicsPython } from "../lib/jupyter/magics-python.ts";
import { autoloadPath, packagesOf } from "./magics-places.ts";
import type { MagicsInstallOptions, MagicsScope } from "./magics.options.ts";

export function run(options: MagicsInstallOptions, context: CommandContext): number {
  const { scope = "python", autoload } = options;
  const path = context.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin";
  const python = magicsPython(options.python, path);
  const executable = ownExecutable();
  const files = planFiles(python, { scope, autoload, executable });
  for (const [file, text] of files) writeModule(file, text);
  writeStdout(
    [
      ...files.map(([file]) => `Saved ${file}`),
      `Python ${python.version} (${python.executable})`,
      ...(autoload ? [] : ["In a notebook: %load_ext cordon"]),
    ].join("\n") + "\n",
  );
  for (const warning of warningsOf(python, { file: files[0]![0], executable, path })) {
    writeStderr(`cordon: warning: ${warning}\n`);
  }
  return 0;
}

interface Plan {
  scope: MagicsScope;
  autoload: boolean;
  executable: string;
}

/**
 * Paths and texts of all that is to be written.
 * @throws CordonError where something of somebody else's is in the way
 */
function planFiles(python: MagicsPython, { scope, autoload, executable }: Plan): [string, string][] {
  if (scope === "user" && !python.looksAtUser) {
    throw new CordonError(`Python ${python.executable} does not look at the user's packages`, {
      why: "A virtual environment keeps to its own",
      hint: "cordon magics install --sys-prefix",
    });
  }
  const packages = packagesOf(python, scope);
  const module = join(packages, "cordon.py"), dockyter = join(packages, "dockyter.py");
  const files: [string, string][] = [[free(module), magicsModule(executable)]];
  const { modules } = python;
  // The real one stays what it is.
  if (modules.dockyter === null || ownerOf(modules.dockyter) === "cordon") {
    files.push([free(dockyter), DOCKYTER_MODULE]);
  }
  if (autoload) {
    const file = autoloadPath(python, scope);
    files.push([
      free(file, `Add to it: get_config().InteractiveShellApp.extensions.append("cordon")`),
      scope === "user" ? AUTOLOAD_STARTUP : AUTOLOAD_CONFIG,
    ]);
  }
  return files;
}

function free(path: string, instead?: string): string {
  if (ownerOf(path) === "other") {
    throw new CordonError(`Cannot write ${path}`, {
      why: instead ?? "It is there, and cordon did not write it",
    });
  }
  return path;
}

function warningsOf(
  python: MagicsPython,
  { file, executable, path }: { file: string; executable: string; path: string },
): string[] {
  const warnings: string[] = [];
  const place = passingPlace(executable);
  if (place) {
    warnings.push(
      `the magics call ${executable}, and ${place}: install cordon (install.sh) and run this again`,
    );
  }
  if (!python.ipython) warnings.push(`Python ${python.executable} has no IPython yet, which runs the magics`);
  const found = magicsPython(python.executable, path).modules.cordon;
  if (found !== file) {
    warnings.push(`import cordon finds ${found ?? "nothing"} in that Python, and not ${file}`);
  }
  return warnings;
}
