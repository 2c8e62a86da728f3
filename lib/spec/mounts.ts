/**
 * The mount grammar: `[flags:]DEST[=SOURCE]`, space-separated in a list, and the JSON form for names with spaces,
 * colons, equal signs or commas. Parsing does no I/O; paths stay as typed.
 */
import { posix } from "node:path";
import { UsageError } from "../errors.ts";
import type { Mount, MountKind } from "./spec.ts";

export interface MountContext {
  cwd: string;
  home: string;
}

const FLAGS = ["ro", "rw", "rbind", "bind", "move", "dev", "tmp", "copy", "overlay", "try"] as const;
type Flag = typeof FLAGS[number];

const JSON_FORM = `--mount '{"dest":"…","source":"…","flags":["ro"]}'`;

/** Parses one LIST of `--mnt`. Throws {@link UsageError} for empty lists and unknown flags. */
export function parseMountList(list: string, context: MountContext): Mount[] {
  const words = list.split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) {
    throw new UsageError(`Mount list "${list}" is empty`, { why: "it names no directory to show inside" });
  }
  return words.map((word) => parseMount(word, context));
}

/** Parses one `[flags:]DEST[=SOURCE]`. */
export function parseMount(word: string, context: MountContext): Mount {
  let rest = word;
  let flags: Flag[] = [];
  const colon = word.indexOf(":");
  const equals = word.indexOf("=");
  if (colon >= 0 && (equals < 0 || colon < equals)) {
    flags = parseFlags(word.slice(0, colon), word);
    rest = word.slice(colon + 1);
  }
  const split = rest.indexOf("=");
  const dest = split < 0 ? rest : rest.slice(0, split);
  const source = split < 0 ? undefined : rest.slice(split + 1);
  return build({ what: word, dest, source, flags }, context);
}

/** Parses the JSON form, which is the Spec's own mount object with flags. */
export function parseMountJson(text: string, context: MountContext): Mount {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`Mount ${text} is not JSON`, { why: (error as Error).message, hint: JSON_FORM });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UsageError(`Mount ${text} is not a JSON object`, { hint: JSON_FORM });
  }
  const { dest, source, flags = [], ...others } = value as Record<string, unknown>;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) throw new UsageError(`Mount ${text} has an unknown field "${unknown}"`);
  if (typeof dest !== "string") throw new UsageError(`Mount ${text} has no "dest"`, { hint: JSON_FORM });
  if (source !== undefined && typeof source !== "string") {
    throw new UsageError(`Mount ${text} has a "source" that is not a string`);
  }
  if (!Array.isArray(flags)) throw new UsageError(`Mount ${text} has "flags" that are not a list`);
  return build({ what: text, dest, source, flags: flags.map((f) => knownFlag(String(f), text)) }, context);
}

function parseFlags(text: string, word: string): Flag[] {
  return text.split(",").map((flag) => knownFlag(flag, word));
}

function knownFlag(flag: string, word: string): Flag {
  const found = FLAGS.find((known) => known === flag);
  if (found) return found;
  throw new UsageError(`Mount "${word}" has an unknown flag "${flag}"`, {
    why: `known flags: ${FLAGS.join(" ")}; a name that holds ":" needs the JSON form`,
    hint: JSON_FORM,
  });
}

interface Parts {
  what: string;
  dest: string;
  source: string | undefined;
  flags: Flag[];
}

function build({ what, dest, source, flags }: Parts, context: MountContext): Mount {
  if (dest === "") throw new UsageError(`Mount "${what}" has no destination`);
  if (source === "") throw new UsageError(`Mount "${what}" has an empty source`);
  if ([dest, source ?? ""].some((path) => path.includes("\0"))) {
    throw new UsageError(`Mount "${what}" holds a NUL byte`, { why: "no path can" });
  }
  const kind = kindOf(flags, source, what);
  const readOnly = flags.includes("ro");
  if (readOnly && flags.includes("rw")) throw new UsageError(`Mount "${what}" is both ro and rw`);
  if (kind === "overlay" && readOnly) throw new UsageError(`Mount "${what}" is both overlay and ro`);
  const mount: Mount = {
    dest: normalized(absolute(dest, context)),
    kind,
    readOnly: readOnly || kind === "hide",
    devices: flags.includes("dev"),
    optional: flags.includes("try"),
  };
  if (kind === "hide" || kind === "tmp") return mount;
  mount.source = absolute(source ?? dest, context);
  if (source === undefined && !isAbsolute(dest)) mount.atRealPath = true;
  return mount;
}

function kindOf(flags: Flag[], source: string | undefined, what: string): MountKind {
  const kinds = flags.filter((f) => f === "tmp" || f === "copy" || f === "overlay");
  if (kinds.length > 1) throw new UsageError(`Mount "${what}" is both ${kinds.join(" and ")}`);
  const kind = kinds[0];
  if (source === "none") {
    if (kind) throw new UsageError(`Mount "${what}" hides and is ${kind} at once`);
    return "hide";
  }
  if (kind === "tmp" && source !== undefined) {
    throw new UsageError(`Mount "${what}" is an empty tmpfs and has a source`);
  }
  return kind ?? "bind";
}

function isAbsolute(path: string): boolean {
  return path.startsWith("/") || path === "~" || path.startsWith("~/");
}

/**
 * `~` is the caller's home; what is relative starts at the working directory. `..` stays: behind a symlink only the
 * kernel knows where it leads.
 */
function absolute(path: string, { cwd, home }: MountContext): string {
  const full = path === "~" || path.startsWith("~/")
    ? home + path.slice(1)
    : path.startsWith("/")
    ? path
    : `${cwd}/${path}`;
  return /(^|\/)\.\.(\/|$)/.test(full) ? full : normalized(full);
}

/** A place by its name alone: `.`, `..` and doubled slashes go. */
function normalized(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}
