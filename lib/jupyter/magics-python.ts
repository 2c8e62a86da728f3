/** What the magics have to know of the Python they are for. */
import { CordonError, reasonOf } from "../errors.ts";
import { onPath } from "./python.ts";

export interface MagicsPython {
  executable: string;
  version: string;
  /** Where packages of this Python are. */
  packages: string;
  /** Where those of the user are. */
  userPackages: string;
  /** Whether it looks there: not in most virtual environments. */
  looksAtUser: boolean;
  prefix: string;
  /** IPython's directory of this user. */
  ipythonDirectory: string;
  /** Whether IPython is there. */
  ipython: boolean;
  /** Files that the names cordon and dockyter lead to, without what stands in the working directory. */
  modules: { cordon: string | null; dockyter: string | null };
}

/** Started as a kernel is, but without the working directory. Runs on Python 3.6 and above. */
const QUESTION = `
import sys
if sys.path and sys.path[0] == "":
    del sys.path[0]
import importlib.util, json, os, site, sysconfig
def origin(name):
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    return spec.origin or list(spec.submodule_search_locations or [""])[0]
print()
print(json.dumps({
    "executable": sys.executable,
    "version": "%d.%d.%d" % sys.version_info[:3],
    "packages": sysconfig.get_path("purelib"),
    "userPackages": site.getusersitepackages(),
    "looksAtUser": bool(site.ENABLE_USER_SITE),
    "prefix": sys.prefix,
    "ipythonDirectory": os.environ.get("IPYTHONDIR") or os.path.expanduser("~/.ipython"),
    "ipython": importlib.util.find_spec("IPython") is not None,
    "modules": {name: origin(name) for name in ("cordon", "dockyter")},
}))
`;

const PATIENCE_SECONDS = 60;

/** @throws CordonError when there is none, or it cannot be started */
export function magicsPython(given: string | undefined, path: string): MagicsPython {
  if (given !== undefined) return ask(given);
  const candidates = onPath(["python3"], path);
  for (const candidate of candidates) {
    try {
      return ask(candidate);
    } catch (error) {
      // A shim with nothing behind it.
      if (!(error instanceof CordonError)) throw error;
    }
  }
  throw new CordonError("There is no python3 on PATH", { why: `Looked in ${path}` });
}

function ask(python: string): MagicsPython {
  const what = `Cannot use the Python ${python}`;
  let output: Deno.CommandOutput;
  try {
    output = new Deno.Command("timeout", {
      args: [String(PATIENCE_SECONDS), python, "-c", QUESTION],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).outputSync();
  } catch (cause) {
    throw new CordonError(what, { why: reasonOf(cause), cause });
  }
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trimEnd().split("\n").at(-1) ?? "";
  if (!output.success) {
    throw new CordonError(what, { why: `It ended with status ${output.code}: ${decode(output.stderr)}` });
  }
  try {
    return JSON.parse(decode(output.stdout));
  } catch (cause) {
    throw new CordonError(what, { why: `It printed ${JSON.stringify(decode(output.stdout))}`, cause });
  }
}
