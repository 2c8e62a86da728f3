/** The values of `--security-opt`, with the seccomp profile read in. No I/O of its own. */
import { refuse } from "../cli/values.ts";
import { CordonError } from "../errors.ts";
import { cut } from "./csv.ts";
import { fileOf, type ReadFile } from "./keyvalue.ts";

export interface Security {
  /** For the engine. */
  options: string[];
  /** `systempaths=unconfined`, which is no option of the engine: nothing masked, nothing read-only. */
  openPaths: boolean;
}

/**
 * Reads `NAME=VALUE`, or the older `NAME:VALUE`; `no-new-privileges` may stand alone. A seccomp profile is a file,
 * which is sent whole, unless it is `builtin` or `unconfined`.
 */
export function parseSecurity(option: string, texts: readonly string[], readFile: ReadFile): Security {
  const options: string[] = [];
  let openPaths = false;
  for (const text of texts) {
    let [name, value] = cut(text, "=");
    if (value === undefined && name !== "no-new-privileges") [name, value] = cut(text, ":");
    if (!value && name !== "no-new-privileges") {
      throw refuse(option, text, "NAME=VALUE, or no-new-privileges");
    }
    if (text === "systempaths=unconfined") openPaths = true;
    else if (name === "seccomp" && value !== "builtin" && value !== "unconfined") {
      options.push(`seccomp=${profile(option, value!, readFile)}`);
    } else options.push(text);
  }
  return { options, openPaths };
}

function profile(option: string, path: string, readFile: ReadFile): string {
  const bytes = fileOf(option, path, readFile);
  try {
    return JSON.stringify(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (cause) {
    throw new CordonError(`Cannot use ${path}, the seccomp profile of ${option}`, {
      why: `It is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    });
  }
}

/** Capabilities by their full names, sorted, each once; `ALL` stays. */
export function capabilities(names: readonly string[]): string[] {
  const full = names.map((text) => {
    const name = text.trim().toUpperCase();
    return name === "ALL" || name === "RESET" || name.startsWith("CAP_") ? name : `CAP_${name}`;
  });
  return [...new Set(full)].sort();
}
