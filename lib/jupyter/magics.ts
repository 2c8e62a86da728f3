/** The Python files of the magics: what stands in them, and how they are told from anybody else's. Pure. */
import module from "../../assets/cordon.py" with { type: "text" };

/** In every file that `cordon magics install` writes. */
const MARK = "Written by `cordon magics install`";

/** cordon.py, which calls the executable at this path. */
export function magicsModule(cordon: string): string {
  const line = 'CORDON = "cordon"';
  if (!module.includes(`\n${line}\n`)) throw new Error(`assets/cordon.py has no line ${line}`);
  return module.replace(line, () => `CORDON = ${pythonString(cordon)}`);
}

/** dockyter.py, for notebooks that were written for Dockyter. */
export const DOCKYTER_MODULE = `"""Dockyter's name for the magics of cordon. ${MARK}."""
from cordon import load_ipython_extension, unload_ipython_extension
`;

/** A configuration of IPython for all who use a Python. */
export const AUTOLOAD_CONFIG = `# Loads the magics of cordon. ${MARK}.
get_config().InteractiveShellApp.extensions.append("cordon")
`;

/** A file of a user's startup directory, which every Python of that user reads: not all of them have the module. */
export const AUTOLOAD_STARTUP = `# Loads the magics of cordon. ${MARK}.
if __import__("importlib.util").util.find_spec("cordon"):
    get_ipython().run_line_magic("load_ext", "cordon")
`;

export function isOurs(text: string): boolean {
  return text.slice(0, 1000).includes(MARK);
}

/** A literal of Python. */
export function pythonString(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n")}"`;
}
