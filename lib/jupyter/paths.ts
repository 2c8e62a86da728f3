/**
 * Where Jupyter looks for kernelspecs and where they are installed (jupyter_core, "Common Directories and File
 * Locations"; jupyter_client's KernelSpecManager). Pure.
 */
import { join } from "node:path";

export interface JupyterFacts {
  env: Readonly<Record<string, string | undefined>>;
  home: string;
  uid: number;
  /** The Python that Jupyter runs on, as far as it is known. */
  python?: {
    /** sys.prefix and sys.base_prefix; they differ in a virtual environment. */
    prefix: string;
    basePrefix: string;
    /** Owner of the prefix. */
    owner: number;
  };
}

const SYSTEM = ["/usr/local/share/jupyter", "/usr/share/jupyter"];

/** The user's data directory of Jupyter. */
export function dataDirectory({ env, home }: JupyterFacts): string {
  return env["JUPYTER_DATA_DIR"] || join(env["XDG_DATA_HOME"] || join(home, ".local/share"), "jupyter");
}

/** Directories that hold kernelspecs, the first to be searched first. */
export function kernelDirectories(facts: JupyterFacts): string[] {
  const { env, home, python } = facts;
  const given = (env["JUPYTER_PATH"] ?? "").split(":").filter((path) => path !== "");
  const inVenv = python !== undefined && python.prefix !== python.basePrefix;
  const userBase = env["PYTHONUSERBASE"] || join(home, ".local");
  const user = [dataDirectory(facts), ...(inVenv ? [] : [join(userBase, "share/jupyter")])];
  const environment = python ? [join(python.prefix, "share/jupyter")] : [];
  const middle = prefersEnvironment(facts) ? [...environment, ...user] : [...user, ...environment];
  const data = [...given, ...middle, ...SYSTEM].map((path) => join(path, "kernels"));
  return [...new Set([...data, join(env["IPYTHONDIR"] || join(home, ".ipython"), "kernels")])];
}

/** Whether the environment's own kernels come before the user's (jupyter_core, prefer_environment_over_user). */
function prefersEnvironment({ env, python, uid }: JupyterFacts): boolean {
  const said = env["JUPYTER_PREFER_ENV_PATH"];
  if (said !== undefined) return !/^(no|n|false|off|0|0\.0)$/i.test(said);
  if (!python || python.owner !== uid) return false;
  if (python.prefix !== python.basePrefix) return true;
  const conda = env["CONDA_PREFIX"];
  return Boolean(conda) && python.prefix.startsWith(conda!) &&
    (env["CONDA_DEFAULT_ENV"] ?? "base") !== "base";
}

/** Where `--user`, a prefix, or neither puts the kernelspec of this name. */
export function installDirectory(
  name: string,
  scope: { kind: "system" } | { kind: "user" } | { kind: "prefix"; path: string },
  facts: JupyterFacts,
): string {
  const data = scope.kind === "user"
    ? dataDirectory(facts)
    : scope.kind === "prefix"
    ? join(scope.path, "share/jupyter")
    : SYSTEM[0]!;
  return join(data, "kernels", name);
}
