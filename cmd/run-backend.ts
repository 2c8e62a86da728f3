/** Where `cordon run` sends what it runs, and with which line: the command line, the environment, the files. Pure. */
import { shellWords } from "../lib/cli/shellwords.ts";
import { nearest } from "../lib/cli/suggest.ts";
import type { Config } from "../lib/config/config.ts";
import { ConfigError, formatPosition, type Setting } from "../lib/config/parse.ts";
import { scan } from "../lib/dockerargs/scan.ts";
import { UsageError } from "../lib/errors.ts";
import { checkTogether, readLine, RUN_FLAGS, type RunLine, type RunOptions } from "./run.options.ts";

export type Backend =
  | { kind: "docker" | "namespaces" }
  | { kind: "api"; url: string; from: string; tokenFile?: string };

/** The variable that names an API: unlike an argument it is not everybody's to read. */
export const API_VARIABLE = "CORDON_API";

/** What was typed, then the environment, then the files. */
export function chooseBackend(
  options: RunOptions,
  { config, env }: { config: Config; env: Readonly<Record<string, string | undefined>> },
): Backend {
  const { engine, host, api, tokenFile, bestEffort } = options;
  const token = tokenFile === undefined ? {} : { tokenFile };
  if (api !== undefined) return { kind: "api", url: api, from: "--api", ...token };
  if (engine !== undefined) return { kind: engine };
  if (host !== undefined) return { kind: "docker" };
  const named = env[API_VARIABLE];
  if (named) return { kind: "api", url: named, from: API_VARIABLE, ...token };
  const mode = config.mode?.value ?? "docker";
  if (mode === "api") {
    const { apiUrl } = config;
    if (!apiUrl) {
      throw new ConfigError(config.mode!.at, "backend.mode is api, and backend.api_url is not set");
    }
    // The configured token is for the configured address alone.
    const configured = config.tokenFile === undefined ? {} : { tokenFile: config.tokenFile.value };
    return { kind: "api", url: apiUrl.value, from: formatPosition(apiUrl.at), ...configured, ...token };
  }
  if (tokenFile !== undefined) throw new UsageError("Option --token-file needs --api");
  if (bestEffort && mode === "docker") {
    throw new UsageError("Option --best-effort needs --engine namespaces");
  }
  return { kind: mode };
}

/** The options of the line typed, behind the profile it names or the default line. */
export function completeLine(typed: RunLine, config: Config): RunOptions {
  const configured = configuredLine(typed, config);
  const options = configured === undefined ? typed : readLine(joinLines(configured, typed.line));
  checkTogether(options);
  return options;
}

function configuredLine({ profile, defaults }: RunLine, config: Config): string[] | undefined {
  if (profile === undefined) {
    return defaults && config.defaultArgs ? wordsOf("docker.default_args", config.defaultArgs) : undefined;
  }
  const setting = config.profiles.get(profile);
  if (setting !== undefined) return wordsOf(`profile ${profile}`, setting);
  const names = [...config.profiles.keys()].sort();
  const meant = nearest(profile, names);
  throw new UsageError(`No profile ${JSON.stringify(profile)}`, {
    why: names.length === 0
      ? "No profiles are configured"
      : `There is ${names.join(", ")}${meant === undefined ? "" : `; did you mean ${meant}?`}`,
    hint: "cordon config show",
  });
}

/**
 * The words of a configured line. The original splits at blanks; quotes are understood here.
 *
 * @throws ConfigError that says where it stands, when it is no line of `cordon run`
 */
export function wordsOf(name: string, { value, at }: Setting<string>): string[] {
  const fail = (why: string, cause?: unknown) => new ConfigError(at, `${name}: ${why}`, { cause });
  const words = shellWords(value);
  if (words === undefined) throw fail("a quote is not closed");
  try {
    const { profile, config, defaults } = readLine(words);
    if (profile !== undefined || !config || !defaults) {
      throw fail("--profile, --no-config and --no-defaults cannot stand there");
    }
  } catch (error) {
    if (error instanceof UsageError) throw fail([error.message, error.why].filter(Boolean).join(": "), error);
    throw error;
  }
  return words;
}

/** Flags of which a typed one takes the place of all that are configured. */
const REPLACED = [["network"], ["engine", "host", "api", "token-file"]];

/**
 * The flags of both, the typed ones last; the image of the configured line where its profile was asked for, or where
 * none was typed.
 */
function joinLines(configured: readonly string[], typed: readonly string[]): string[] {
  const base = scan(configured, RUN_FLAGS), line = scan(typed, RUN_FLAGS);
  const names = line.typed.map(({ flag }) => flag.aliasOf ?? flag.name);
  const replaced = REPLACED.filter((group) => group.some((name) => names.includes(name))).flat();
  const kept = base.typed.filter(({ flag }) => !replaced.includes(flag.aliasOf ?? flag.name));
  const asked = names.includes("profile");
  const [image, ...command] = base.rest;
  const rest = image === undefined || (!asked && line.rest.length > 0)
    ? line.rest
    : [image, ...(line.rest.length > 0 ? line.rest : command)];
  return [...flagWords(configured, kept), ...flagWords(typed, line.typed), "--", ...rest];
}

/** The words of these flags; those of a cluster share theirs. */
function flagWords(line: readonly string[], flags: readonly { from: number; to: number }[]): string[] {
  const starts = new Map(flags.map(({ from, to }) => [from, to]));
  return [...starts].flatMap(([from, to]) => line.slice(from, to));
}
