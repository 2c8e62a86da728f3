/** Where the files of the magics belong. Pure. */
import { join } from "node:path";
import type { MagicsPython } from "../lib/jupyter/magics-python.ts";
import type { MagicsScope } from "./magics.options.ts";

export function packagesOf({ packages, userPackages }: MagicsPython, scope: MagicsScope): string {
  return scope === "user" ? userPackages : packages;
}

/** IPython reads the configuration below the prefix for everybody, and the startup directory for its owner. */
export function autoloadPath({ prefix, ipythonDirectory }: MagicsPython, scope: MagicsScope): string {
  return scope === "user"
    ? join(ipythonDirectory, "profile_default/startup/50-cordon.py")
    : join(prefix, "etc/ipython/ipython_config.py");
}
