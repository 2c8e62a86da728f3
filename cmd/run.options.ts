/** `cordon run`: cordon's own options, told apart from docker's. No I/O. */
import { allOptions, defineCommand, type Given, Parsed, type ParseResult } from "../lib/cli/command.ts";
import { parseChoice, parseCount, parsePath, refuse } from "../lib/cli/values.ts";
import { DOCKER_FLAGS } from "../lib/dockerargs/flags.ts";
import { parseBool } from "../lib/dockerargs/numbers.ts";
import { scan, type Scannable } from "../lib/dockerargs/scan.ts";
import { UsageError } from "../lib/errors.ts";
import { OWN_OPTIONS, RUN_TABLE } from "./run.table.ts";

export interface RunOptions {
  /** Absent: what is configured. */
  engine?: "docker" | "namespaces";
  /** Address of the engine; absent means as docker finds it. */
  host?: string;
  /** Address of an API. */
  api?: string;
  /** The file of its token. */
  tokenFile?: string;
  /** A configured line to begin with, instead of the default one. */
  profile?: string;
  /** Begin with the default line, when there is no profile. */
  defaults: boolean;
  /** Read configuration. */
  config: boolean;
  /** Ask whether it would run, and run nothing. */
  check: boolean;
  /** A shell script comes by stdin. */
  script: boolean;
  bestEffort: boolean;
  /** Refuse what would give the container the host. */
  unprivileged: boolean;
  /** The process with which it ends. */
  parent?: number;
  /** Docker's options, the image and its command, as typed. */
  dockerArgs: string[];
}

/** The options, and the whole line they were read from, for one that is put in front of it. */
export interface RunLine extends RunOptions {
  line: string[];
}

const OWN: readonly Scannable[] = [...OWN_OPTIONS, { long: "no-color" }].map(({ long, ...rest }) => ({
  name: long,
  type: "value" in rest ? "string" : "bool",
}));

/** Cordon's own and docker's. */
export const RUN_FLAGS: readonly Scannable[] = [...OWN, ...DOCKER_FLAGS];

export const run = defineCommand<RunLine>({
  ...RUN_TABLE,
  parse: parseRunLine,
  read: ({ operands }) => ({ ...readLine(operands), line: operands }),
  load: () => import("./run.ts"),
});

/** Cordon's own options are found and checked, but stay in the line: it is read again behind a configured one. */
export function parseRunLine(argv: readonly string[]): ParseResult {
  // With a name behind it, -h is docker's --hostname.
  if (argv.length === 1 && argv[0] === "-h") return { help: "short" };
  const { typed } = scan(argv, RUN_FLAGS);
  if (typed.some(({ flag, as, value }) => flag.name === "help" && parseBool(as, value))) {
    return { help: "long" };
  }
  return { parsed: new Parsed(allOptions(RUN_TABLE), takeOwn(argv).given, [...argv]) };
}

/** Takes cordon's own options out of docker's: everything else stays as it was typed. */
function takeOwn(argv: readonly string[]): { given: Given[]; rest: string[] } {
  const { typed } = scan(argv, RUN_FLAGS);
  const given: Given[] = [];
  const rest = [...argv];
  for (const { flag, as, value, from, to } of typed.toReversed()) {
    if (!OWN.some((own) => own === flag)) continue;
    given.unshift({ name: flag.name, value: flag.type === "bool" ? parseBool(as, value) : value });
    rest.splice(from, to - from);
  }
  return { given, rest };
}

/** @throws UsageError */
export function readLine(argv: readonly string[]): RunOptions {
  const { given, rest } = takeOwn(argv);
  const parsed = new Parsed(allOptions(RUN_TABLE), given, rest);
  const engine = parsed.one("engine");
  const [host, api, tokenFile, profile] = ["host", "api", "token-file", "profile"].map((name) =>
    parsed.one(name)
  );
  const script = parsed.one("script"), parent = parsed.one("parent");
  if (script !== undefined && script !== "-") {
    throw refuse("--script", script, "- (the script comes by stdin)");
  }
  return {
    ...(engine !== undefined && { engine: parseChoice("--engine", engine, ["docker", "namespaces"]) }),
    ...(host !== undefined && { host }),
    ...(api !== undefined && { api }),
    ...(tokenFile !== undefined && { tokenFile: parsePath("--token-file", tokenFile) }),
    ...(profile !== undefined && { profile }),
    defaults: !parsed.flag("no-defaults"),
    config: !parsed.flag("no-config"),
    check: parsed.flag("check"),
    script: script !== undefined,
    bestEffort: parsed.flag("best-effort"),
    unprivileged: parsed.flag("unprivileged"),
    ...(parent !== undefined && { parent: parseCount("--parent", parent) }),
    dockerArgs: rest,
  };
}

/** @throws UsageError for options of which one makes the other useless */
export function checkTogether(options: RunOptions): void {
  const { engine, host, api, tokenFile, bestEffort } = options;
  const useless = (name: string, beside: string, why?: string) =>
    new UsageError(`Option ${name} is of no use with ${beside}`, { why });
  if (host !== undefined && engine === "namespaces") throw useless("--host", "--engine namespaces");
  if (bestEffort && engine === "docker") {
    throw useless("--best-effort", "--engine docker", "The engine limits the container as a whole");
  }
  if (api !== undefined) {
    if (engine !== undefined) throw useless("--engine", "--api", "The API chooses what runs it");
    if (host !== undefined) throw useless("--host", "--api");
    if (bestEffort) throw useless("--best-effort", "--api");
  } else if (tokenFile !== undefined && (engine !== undefined || host !== undefined)) {
    throw useless("--token-file", engine !== undefined ? `--engine ${engine}` : "--host");
  }
}
