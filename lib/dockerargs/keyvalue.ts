/** Variables, labels and other `NAME=VALUE` pairs, from options and from files. No I/O of its own. */
import { refuse } from "../cli/values.ts";
import { CordonError } from "../errors.ts";
import { cut } from "./csv.ts";

/** Reads a whole file; throws when it cannot. */
export type ReadFile = (path: string) => Uint8Array;

/** The file that an option names. @throws CordonError with the path and the reason */
export function fileOf(option: string, path: string, readFile: ReadFile): Uint8Array {
  try {
    return readFile(path);
  } catch (cause) {
    throw new CordonError(`Cannot read ${path}, the file of ${option}`, {
      why: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

/**
 * Lines `NAME=VALUE` of a file (docker/cli, `pkg/kvfile`): blank lines and those that begin with # are passed over, a
 * name alone takes the value of `lookup`, or is left out.
 */
export function pairsOfFile(
  option: string,
  path: string,
  { readFile, lookup }: { readFile: ReadFile; lookup?: (name: string) => string | undefined },
): string[] {
  const bytes = fileOf(option, path, readFile);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new CordonError(`Cannot read ${path}, the file of ${option}`, { why: "It is not UTF-8", cause });
  }
  const pairs: string[] = [];
  for (const raw of text.split("\n")) {
    const line = raw.replace(/\r$/, "").trimStart();
    if (line === "" || line.startsWith("#")) continue;
    const [name, value] = cut(line, "=");
    if (name === "" || /[ \t]/.test(name) || line.includes("\0")) {
      throw new CordonError(`Cannot use ${path}, the file of ${option}`, {
        why: `${JSON.stringify(line)} is not NAME=VALUE`,
      });
    }
    const found = value ?? lookup?.(name);
    if (found !== undefined) pairs.push(`${name}=${found}`);
  }
  return pairs;
}

/** `NAME=VALUE`, or `NAME` with the caller's value; a name alone when it has none, which unsets the image's. */
export function parseVariable(
  option: string,
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): string {
  const [name, value] = cut(text, "=");
  if (name === "") throw refuse(option, text, "NAME=VALUE, or NAME to pass the caller's value");
  const passed = value === undefined && Object.hasOwn(env, name) ? env[name] : undefined;
  return passed === undefined ? text : `${name}=${passed}`;
}

export function parseLabel(option: string, text: string): string {
  const name = cut(text, "=")[0].replace(/^[ \t]+/, "");
  if (name === "" || /[ \t]/.test(name)) throw refuse(option, text, "NAME=VALUE without spaces in the name");
  return text;
}

/** Pairs as an object; of a repeated name the last counts, a name alone has the empty value. */
export function pairs(texts: readonly string[]): Record<string, string> {
  const all = texts.map((text): [string, string] => {
    const [name, value = ""] = cut(text, "=");
    return [name, value];
  });
  return Object.fromEntries(all);
}

const SYSCTLS = [
  "kernel.msgmax",
  "kernel.msgmnb",
  "kernel.msgmni",
  "kernel.sem",
  "kernel.shmall",
  "kernel.shmmax",
  "kernel.shmmni",
  "kernel.shm_rmid_forced",
];

/** Parameters that belong to a namespace; docker's client allows no other. */
export function parseSysctl(option: string, text: string): string {
  const [name, value] = cut(text, "=");
  if (value === undefined || !(SYSCTLS.includes(name) || /^(net|fs\.mqueue)\./.test(name))) {
    throw refuse(option, text, "NAME=VALUE of a parameter below net. or fs.mqueue., or of System V IPC");
  }
  return text;
}

const ULIMITS =
  "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(
    " ",
  );

export interface Ulimit {
  Name: string;
  Soft: number;
  Hard: number;
}

/** `NAME=SOFT[:HARD]`; -1 is unlimited. */
export function parseUlimit(option: string, text: string): Ulimit {
  const match = /^([a-z]+)=([+-]?\d{1,15})(?::([+-]?\d{1,15}))?$/.exec(text);
  if (!match || !ULIMITS.includes(match[1]!)) {
    throw refuse(option, text, `NAME=SOFT[:HARD], NAME one of ${ULIMITS.join(", ")}`);
  }
  const Soft = Number(match[2]), Hard = Number(match[3] ?? match[2]);
  if (Hard !== -1 && (Soft === -1 || Soft > Hard)) {
    throw refuse(option, text, "a soft limit no higher than the hard one");
  }
  return { Name: match[1]!, Soft, Hard };
}
