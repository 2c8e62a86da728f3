/** One configuration file: Dockyter's three tables, with the place of every value. Pure. */
import { posix } from "node:path";
import { parse, TomlError } from "smol-toml";
import { nearest } from "../cli/suggest.ts";
import { CordonError } from "../errors.ts";

const MODES = ["docker", "api", "namespaces"] as const;
export type Mode = typeof MODES[number];

/** Where a value stands. Lines and columns count from 1; 0 where it could not be told. */
export interface Position {
  path: string;
  line: number;
  column: number;
}

export interface Setting<T> {
  value: T;
  at: Position;
}

/** What a file sets. An empty text is as good as none, as it is to the original. */
export interface FileValues {
  mode?: Setting<Mode>;
  apiUrl?: Setting<string>;
  /** Absolute. */
  tokenFile?: Setting<string>;
  defaultArgs?: Setting<string>;
  profiles: Map<string, Setting<string>>;
}

/** Something to be told that keeps nothing from working. */
export interface Problem {
  at: Position;
  what: string;
}

/** A file, or a value in it, that cannot be used. */
export class ConfigError extends CordonError {
  override readonly name = "ConfigError";
  readonly at: Position;
  /** What is wrong with it, without the place. */
  readonly what: string;

  constructor(at: Position, what: string, details: { why?: string | undefined; cause?: unknown } = {}) {
    super(`${formatPosition(at)}: ${what}`, details);
    this.at = at;
    this.what = what;
  }
}

/** `api_url` and the like: the keys of each table that has a fixed set. */
const KEYS: Record<string, readonly string[]> = {
  backend: ["mode", "api_url", "token_file"],
  docker: ["default_args"],
};
const TABLES = [...Object.keys(KEYS), "profiles"];

export interface ParseFacts {
  /** For messages, and where a relative token_file begins. */
  path: string;
  home: string;
}

/** @throws CordonError with line and column for what is not TOML, and for a value of the wrong kind */
export function parseConfig(
  bytes: Uint8Array,
  facts: ParseFacts,
): { values: FileValues; problems: Problem[] } {
  const text = decode(bytes, facts.path);
  const data = parseToml(text, facts.path);
  const at = (...keys: string[]): Position => ({ path: facts.path, ...locate(text, keys) });
  const problems: Problem[] = [];
  const tables: Record<string, Record<string, string>> = {};
  for (const [name, table] of Object.entries(data)) {
    if (!TABLES.includes(name)) problems.push(unknown(at(name), { name, known: TABLES, what: "table" }));
    else if (!isTable(table)) throw wrong(at(name), { name, wanted: "a table" });
    else tables[name] = texts(name, table);
  }

  /** The values of a table that are texts; everything else is refused or told. */
  function texts(name: string, table: Record<string, unknown>): Record<string, string> {
    const found: Record<string, string> = Object.create(null);
    for (const [key, value] of Object.entries(table)) {
      const known = KEYS[name];
      if (known !== undefined && !known.includes(key)) {
        problems.push(unknown(at(name, key), { name: `${name}.${key}`, known, what: "key" }));
      } else if (typeof value !== "string") {
        throw wrong(at(name, key), { name: `${name}.${key}`, wanted: "a text in quotes" });
      } else if (value !== "") found[key] = value;
    }
    return found;
  }

  const setting = (name: string, key: string): Setting<string> | undefined => {
    const value = tables[name]?.[key];
    return value === undefined ? undefined : { value, at: at(name, key) };
  };
  const mode = setting("backend", "mode"), apiUrl = setting("backend", "api_url");
  const tokenFile = setting("backend", "token_file"), defaultArgs = setting("docker", "default_args");
  const profiles = Object.keys(tables["profiles"] ?? {}).map((name) =>
    [name, setting("profiles", name)!] as const
  );
  return {
    values: {
      ...(mode && { mode: { ...mode, value: readMode(mode) } }),
      ...(apiUrl && { apiUrl }),
      ...(tokenFile && { tokenFile: { ...tokenFile, value: absolute(tokenFile.value, facts) } }),
      ...(defaultArgs && { defaultArgs }),
      profiles: new Map(profiles),
    },
    problems,
  };
}

function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ConfigError({ path, line: 0, column: 0 }, "it is not UTF-8", { cause });
  }
}

function parseToml(text: string, path: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const { line, column, message, codeblock } = cause;
    const what = /^Invalid TOML document: (.*)/.exec(message)?.[1] ?? message.split("\n")[0] ?? "";
    throw new ConfigError({ path, line, column }, what, { why: codeblock.trimEnd(), cause });
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function readMode({ value, at }: Setting<string>): Mode {
  // The original takes what it does not know for docker, in silence.
  const mode = MODES.find((mode) => mode === value);
  if (mode === undefined) {
    throw wrong(at, { name: "backend.mode", wanted: `${MODES.slice(0, -1).join(", ")} or ${MODES.at(-1)}` });
  }
  return mode;
}

function absolute(file: string, { path, home }: ParseFacts): string {
  if (file.startsWith("~/")) return posix.join(home, file.slice(2));
  return posix.resolve(posix.dirname(path), file);
}

/** `/home/ada/.cordon.toml: line 3, column 1` */
export function formatPosition({ path, line, column }: Position): string {
  return line === 0 ? path : `${path}: line ${line}, column ${column}`;
}

function wrong(at: Position, { name, wanted }: { name: string; wanted: string }): ConfigError {
  return new ConfigError(at, `${name} has to be ${wanted}`);
}

function unknown(
  at: Position,
  { name, known, what }: { name: string; known: readonly string[]; what: string },
): Problem {
  const meant = nearest(name.replace(/^.*\./, ""), known);
  const hint = meant === undefined ? `there is ${known.join(", ")}` : `did you mean ${meant}?`;
  return { at, what: `unknown ${what} ${name} (${hint})` };
}

/**
 * Where a key stands. The parser does not tell, so this looks for the line that makes it appear: what comes before
 * that line does not have the key, and what comes up to it, or to the end of its value, does.
 */
function locate(text: string, keys: readonly string[]): Pick<Position, "line" | "column"> {
  const lines = text.split("\n");
  const name = keys.at(-1)!;
  for (const [index, line] of lines.entries()) {
    const column = line.indexOf(name);
    if (column < 0 || has(lines.slice(0, index), keys) !== false) continue;
    // A value can take several lines.
    for (let end = index + 1; end <= lines.length; end++) {
      const found = has(lines.slice(0, end), keys);
      if (found === true) return { line: index + 1, column: column + 1 };
      if (found === false) break;
    }
  }
  return { line: 0, column: 0 };
}

/** Undefined when these lines are no document. */
function has(lines: readonly string[], keys: readonly string[]): boolean | undefined {
  let value: unknown;
  try {
    value = parse(lines.join("\n"));
  } catch (error) {
    if (error instanceof TomlError) return undefined;
    throw error;
  }
  for (const key of keys) {
    if (!isTable(value) || !Object.hasOwn(value, key)) return false;
    value = value[key];
  }
  return true;
}
