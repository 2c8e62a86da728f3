/** `cordon magics remove`: takes away what `install` wrote. */
import { dirname, join } from "node:path";
import type { CommandContext } from "../lib/cli/command.ts";
import { writeStdout } from "../lib/cli/streams.ts";
import { CordonError } from "../lib/errors.ts";
import { ownerOf, removeEmpty, removeModule } from "../lib/jupyter/magics-files.ts";
import { magicsPython } from "../lib/jupyter/magics-python.ts";
import { autoloadPath, packagesOf } from "./magics-places.ts";
import type { MagicsPlaceOptions, MagicsScope } from "./magics.options.ts";

export function run({ python: given, scope }: MagicsPlaceOptions, context: CommandContext): number {
  const python = magicsPython(given, context.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin");
  const scopes: MagicsScope[] = scope === undefined ? ["python", "user"] : [scope];
  const packages = scopes.map((scope) => packagesOf(python, scope));
  const files = [
    ...packages.flatMap((directory) => [join(directory, "cordon.py"), join(directory, "dockyter.py")]),
    ...scopes.map((scope) => autoloadPath(python, scope)),
  ].filter((file) => ownerOf(file) === "cordon");
  if (files.length === 0) {
    throw new CordonError(`There are no magics of cordon in Python ${python.executable}`, {
      why: `Looked in ${packages.join(" and ")}`,
    });
  }
  for (const file of files) {
    removeModule(file);
    // IPython makes the user's directories; those below a prefix were made for this.
    if (file === autoloadPath(python, "python")) {
      removeEmpty(dirname(file));
      removeEmpty(dirname(dirname(file)));
    }
    writeStdout(`Removed ${file}\n`);
  }
  return 0;
}
