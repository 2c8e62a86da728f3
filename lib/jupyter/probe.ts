/** The question put to a Python: what it is made of. Its answer is one line of JSON; {@link parseAnswer} reads it. */
import { CordonError } from "../errors.ts";

/** A directory of programs as the Python knows it. */
export interface Prefix {
  path: string;
  /** Without symlinks. */
  real: string;
  /** Names in it; empty when it cannot be read. */
  entries: string[];
}

/** A path and where it really lies. */
export interface Place {
  path: string;
  real: string;
  directory: boolean;
}

export interface PythonAnswer {
  /** sys.executable. */
  executable: string;
  /** `3.11.2` */
  version: string;
  prefix: string;
  basePrefix: string;
  /** Owner of sys.prefix. */
  owner: number;
  /** sys.prefix, base_prefix, exec_prefix and base_exec_prefix, each once. */
  prefixes: Prefix[];
  /** site.getuserbase(): not a place of its own, other programs keep data there too. */
  userBase: string;
  /** What sys.path names and exists, the user's site-packages and editable installs included. */
  path: Place[];
  /** The executable and, link by link, what it leads to. */
  chain: Place[];
  /** Shared libraries in the process. */
  libraries: Place[];
  /** Version of ipykernel; empty when it has none to tell, absent when ipykernel is not there. */
  ipykernel?: string;
  debugpy: boolean;
  /** The system's package manager keeps its packages, and pip refuses to (PEP 668). */
  managed?: boolean;
}

/**
 * Run with -I, so that neither the working directory nor PYTHON* variables change the answer. A kernel is started
 * without -I: the user's site-packages, which -I leaves out, are added as site.py would. Runs on Python 3.6 and above.
 */
export const PROBE = `
import importlib.util, json, os, site, sys, sysconfig
def place(path):
    return {"path": path, "real": os.path.realpath(path), "directory": os.path.isdir(path)}
def chain(path):
    links = []
    while path and path not in links and len(links) < 40:
        links.append(path)
        if os.path.islink(path):
            path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return links
def names(path):
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []
def system_site():
    if sys.prefix == sys.base_prefix:
        return True
    try:
        with open(os.path.join(sys.prefix, "pyvenv.cfg")) as lines:
            pairs = [line.lower().partition("=") for line in lines]
    except OSError:
        return False
    return any(k.strip() == "include-system-site-packages" and v.strip() == "true" for k, _, v in pairs)
user = site.getusersitepackages()
if system_site() and os.path.isdir(user):
    site.addsitedir(user)
spec = importlib.util.find_spec("ipykernel")
ipykernel = None
if spec is not None:
    ipykernel = ""
    try:
        import importlib.metadata
        ipykernel = importlib.metadata.version("ipykernel") or ""
    except Exception:
        pass
for module in ("ssl", "sqlite3", "ctypes", "zmq"):
    try:
        __import__(module)
    except Exception:
        pass
path = [p for p in sys.path if p and os.path.exists(p)]
for name, module in list(sys.modules.items()):
    if name.startswith("__editable__"):
        path += [p for p in getattr(module, "MAPPING", {}).values() if os.path.exists(p)]
with open("/proc/self/maps") as maps:
    fields = [line.rstrip("\\n").split(None, 5) for line in maps]
libraries = sorted({f[5] for f in fields if len(f) == 6 and f[5].startswith("/") and ".so" in f[5]})
prefixes = []
for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix):
    if prefix not in prefixes:
        prefixes.append(prefix)
print()
print(json.dumps({
    "executable": sys.executable,
    "version": "%d.%d.%d" % sys.version_info[:3],
    "prefix": sys.prefix,
    "basePrefix": sys.base_prefix,
    "owner": os.stat(sys.prefix).st_uid,
    "prefixes": [{"path": p, "real": os.path.realpath(p), "entries": names(p)} for p in prefixes],
    "userBase": site.getuserbase(),
    "path": [place(p) for p in path],
    "chain": [place(p) for p in chain(sys.executable)],
    "libraries": [place(p) for p in libraries],
    "ipykernel": ipykernel,
    "managed": sys.prefix == sys.base_prefix and os.path.exists(
        os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")),
    "debugpy": importlib.util.find_spec("debugpy") is not None,
}))
`;

/** Reads what {@link PROBE} printed; a site's own start-up code may have printed before it. */
export function parseAnswer(output: string, python: string): PythonAnswer {
  const last = output.trimEnd().split("\n").at(-1) ?? "";
  let value: unknown;
  try {
    value = JSON.parse(last);
  } catch (cause) {
    throw strange(python, `it printed ${JSON.stringify(last.slice(0, 200))}`, cause);
  }
  const answer = value as Partial<PythonAnswer> & { ipykernel?: string | null };
  if (typeof answer.executable !== "string" || !answer.executable.startsWith("/")) {
    throw strange(python, "it does not know its own executable");
  }
  const { ipykernel, ...rest } = answer;
  return { ...rest, ...(typeof ipykernel === "string" && { ipykernel }) } as PythonAnswer;
}

function strange(python: string, why: string, cause?: unknown): CordonError {
  return new CordonError(`${python} does not answer as a Python does`, { why, cause });
}
