/**
 * Kernelspecs: directories that hold a `kernel.json` (jupyter-client, "Making kernels for Jupyter", section "Kernel
 * specs"). Names and content are handled here without I/O; {@link findKernelspecs} and below read and write.
 */
import { join } from "node:path";
import { refuse } from "../cli/values.ts";
import { CordonError, reasonOf } from "../errors.ts";
import { isObject } from "../host/json.ts";

/** What Jupyter puts the connection file's name for. */
export const CONNECTION_FILE = "{connection_file}";

/** The content of `kernel.json` as far as it is used here. */
export interface KernelJson {
  argv: string[];
  display_name: string;
  language: string;
  /** `signal` when absent. */
  interrupt_mode?: string;
  env?: Record<string, string>;
  metadata?: Record<string, unknown>;
}

/** A kernelspec where it was found. */
export interface Kernelspec {
  name: string;
  /** Its directory. */
  directory: string;
  json: KernelJson;
}

/** A kernelspec's name, in lower case as Jupyter keeps them. */
export function parseKernelName(option: string, text: string): string {
  const name = text.toLowerCase();
  // Jupyter's rule would admit `..`, which is another directory.
  if (!/^[a-z0-9._-]+$/.test(name) || /^\.+$/.test(name) || name.startsWith("-")) {
    throw refuse(option, text, "letters, digits, dots, dashes and underscores, and no dash first");
  }
  return name;
}

/** Reads the text of a `kernel.json`. Throws {@link CordonError} for what no kernel can be started from. */
export function parseKernelJson(text: string, file: string): KernelJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CordonError(`${file} is not JSON`, { why: (cause as Error).message, cause });
  }
  if (!isObject(value)) throw new CordonError(`${file} is not a JSON object`);
  const { argv, display_name, language, interrupt_mode, env, metadata } = value;
  if (!Array.isArray(argv) || argv.length === 0 || !argv.every((word) => typeof word === "string")) {
    throw new CordonError(`${file} has no argv`, { why: "Wanted a list of strings" });
  }
  return {
    argv,
    display_name: typeof display_name === "string" ? display_name : "",
    language: typeof language === "string" ? language : "",
    ...(typeof interrupt_mode === "string" && { interrupt_mode }),
    ...(isObject(env) && {
      env: Object.fromEntries(Object.entries(env).map(([name, text]) => [name, String(text)])),
    }),
    ...(isObject(metadata) && { metadata }),
  };
}

/** The text of a `kernel.json`. */
export function formatKernelJson(json: KernelJson): string {
  const { argv, display_name, language, interrupt_mode, env, metadata } = json;
  const ordered = { argv, display_name, language, interrupt_mode, env, metadata };
  return JSON.stringify(ordered, null, 2) + "\n";
}

/** Whether cordon made it: it says so, or it starts a cordon. */
export function isCordons({ argv, metadata }: KernelJson): boolean {
  if (isObject(metadata?.["cordon"])) return true;
  return /(^|\/)cordon$/.test(argv[0] ?? "") && argv[1] === "kernel" && argv[2] === "launch";
}

/** Runs ipykernel itself, not a kernel of another language that is made with it. */
export function isIpykernel(argv: readonly string[]): boolean {
  const at = argv.indexOf("-m");
  return at > 0 && /^ipykernel(_launcher)?$/.test(argv[at + 1] ?? "");
}

const MEMORY_HISTORY = "--HistoryManager.hist_file=:memory:";

/** ipykernel's command line. Its history stays in memory: the file would be shared by all notebooks, and is locked. */
export function ipykernelArgv(python: string): string[] {
  return withMemoryHistory([python, "-m", "ipykernel_launcher", "-f", CONNECTION_FILE]);
}

/** A command line with ipykernel's history in memory, if it starts one and says nothing about history itself. */
export function withMemoryHistory(argv: readonly string[]): string[] {
  const said = argv.some((word) => word.startsWith("--HistoryManager.hist_file"));
  return isIpykernel(argv) && !said ? [...argv, MEMORY_HISTORY] : [...argv];
}

/**
 * The kernelspecs in these directories, each name's first one only, as Jupyter chooses; by name. One that cannot be
 * read is passed on to `onBroken`.
 */
export function findKernelspecs(
  directories: readonly string[],
  onBroken: (error: unknown) => void = () => {},
): Kernelspec[] {
  const found = new Map<string, Kernelspec | undefined>();
  for (const parent of directories) {
    for (const entry of entries(parent)) {
      const name = entry.toLowerCase();
      if (found.has(name) || !/^[a-z0-9._-]+$/.test(name)) continue;
      const directory = join(parent, entry);
      try {
        const json = readKernelJson(directory);
        if (json) found.set(name, { name, directory, json });
      } catch (error) {
        found.set(name, undefined);
        onBroken(error);
      }
    }
  }
  return [...found.values()].filter((spec) => spec !== undefined).sort((a, b) => a.name < b.name ? -1 : 1);
}

function readKernelJson(directory: string): KernelJson | undefined {
  const file = join(directory, "kernel.json");
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw new CordonError(`${file} cannot be read`, { why: reasonOf(error), cause: error });
  }
  return parseKernelJson(text, file);
}

function entries(directory: string): string[] {
  try {
    return Array.from(Deno.readDirSync(directory), ({ name }) => name);
  } catch (error) {
    // A directory another user keeps to himself holds no kernels for us.
    if (isAbsent(error) || error instanceof Deno.errors.PermissionDenied) return [];
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}
