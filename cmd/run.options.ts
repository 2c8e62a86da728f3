/** `cordon run`: cordon's own options, told apart from docker's. No I/O. */
import { allOptions, defineCommand, type Given, Parsed, type ParseResult } from "../lib/cli/command.ts";
import { parseChoice, refuse } from "../lib/cli/values.ts";
import { DOCKER_FLAGS } from "../lib/dockerargs/flags.ts";
import { parseBool } from "../lib/dockerargs/numbers.ts";
import { scan } from "../lib/dockerargs/scan.ts";
import { UsageError } from "../lib/errors.ts";
import { OWN_OPTIONS, RUN_TABLE } from "./run.table.ts";

export interface RunOptions {
  engine: "docker" | "namespaces";
  /** Address of the engine; absent means as docker finds it. */
  host?: string;
  /** A shell script comes by stdin. */
  script: boolean;
  bestEffort: boolean;
  /** Docker's options, the image and its command, as typed. */
  dockerArgs: string[];
}

const OWN = [...OWN_OPTIONS, { long: "no-color" }].map(({ long, ...rest }) => ({
  name: long,
  type: "value" in rest ? "string" : "bool",
}));

export const run = defineCommand<RunOptions>({
  ...RUN_TABLE,
  parse: parseRunLine,
  read: readRun,
  load: () => import("./run.ts"),
});

/** Takes cordon's own options out of docker's: everything else stays as it was typed, an operand. */
export function parseRunLine(argv: readonly string[]): ParseResult {
  // With a name behind it, -h is docker's --hostname.
  if (argv.length === 1 && argv[0] === "-h") return { help: "short" };
  const { typed, rest } = scan(argv, [...OWN, ...DOCKER_FLAGS]);
  if (typed.some(({ flag, as, value }) => flag.name === "help" && parseBool(as, value))) {
    return { help: "long" };
  }
  if (rest.length === 0) {
    throw new UsageError("cordon run needs IMAGE", { hint: "cordon run --help" });
  }
  const given: Given[] = [];
  const operands = [...argv];
  for (const { flag, as, value, from, to } of typed.toReversed()) {
    if (!OWN.some((own) => own === flag)) continue;
    given.unshift({ name: flag.name, value: flag.type === "bool" ? parseBool(as, value) : value });
    operands.splice(from, to - from);
  }
  return { parsed: new Parsed(allOptions(RUN_TABLE), given, operands) };
}

export function readRun(parsed: Parsed): RunOptions {
  const engine = parseChoice("--engine", parsed.one("engine") ?? "docker", ["docker", "namespaces"]);
  const host = parsed.one("host");
  const script = parsed.one("script");
  if (script !== undefined && script !== "-") {
    throw refuse("--script", script, "- (the script comes by stdin)");
  }
  if (host !== undefined && engine === "namespaces") {
    throw new UsageError("Option --host is of no use with --engine namespaces");
  }
  const bestEffort = parsed.flag("best-effort");
  if (bestEffort && engine === "docker") {
    throw new UsageError("Option --best-effort is of no use with --engine docker", {
      why: "The engine limits the container as a whole",
    });
  }
  return {
    engine,
    ...(host !== undefined && { host }),
    script: script !== undefined,
    bestEffort,
    dockerArgs: parsed.operands,
  };
}
