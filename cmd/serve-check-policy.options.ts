import { quoteWords } from "../lib/api/quote.ts";
import { allOptions, defineCommand, type Given, Parsed, type ParseResult } from "../lib/cli/command.ts";
import type { CommandTable, OptionSpec } from "../lib/cli/command.ts";
import { parsePath } from "../lib/cli/values.ts";
import { UsageError } from "../lib/errors.ts";

export interface ServeCheckPolicyOptions {
  /** As a client sends it. */
  args: string;
  cmd: string;
  config?: string;
  tenant?: string;
  json: boolean;
}

const OPTIONS: readonly OptionSpec[] = [
  {
    long: "config",
    value: "FILE",
    complete: "file",
    default: "/etc/cordon/serve.toml for root, else $XDG_CONFIG_HOME/cordon/serve.toml",
    description: "The configuration to ask",
  },
  {
    long: "tenant",
    value: "NAME",
    complete: "none",
    default: "the only one, or default",
    description: "Whose policy",
  },
  {
    long: "cmd",
    value: "SCRIPT",
    complete: "none",
    default: "true",
    description: "The command that would be run",
  },
  {
    long: "json",
    description: "Print one JSON object",
    details:
      "Its key allowed is true or false. Refused: refused, rule, configured_at and line, null where there is " +
      "none. Allowed: engine, limits, dropped, notes, and config (the container's) or spec.",
  },
];

const TABLE: CommandTable = {
  name: "serve check-policy",
  summary: "Say what cordon serve would make of docker-run arguments, and why",
  description:
    "Prints the container or sandbox that a request with these arguments would get, or the rule that refuses it and " +
    "where that is configured. Nothing is run and no engine is asked: that an image is there is not looked at. The " +
    "status is 0 for allowed, 1 for refused.",
  usage: ["'ARGS' [--config FILE] [--tenant NAME]"],
  examples: [
    {
      text: "May the class do this?",
      command: "cordon serve check-policy '-v /srv/data:/data:ro python:3.12'",
    },
    {
      text: "What is sent to the engine",
      command: "cordon serve check-policy --json '-m 1g python:3.12' | jq .config",
    },
  ],
  options: OPTIONS,
  operands: [
    { name: "ARGS", description: "Docker's flags and the image, as one text or as words", variadic: true },
  ],
  passThrough: false,
  exitUsage: 2,
  parse,
};

export const serveCheckPolicy = defineCommand<ServeCheckPolicyOptions>({
  ...TABLE,
  read(parsed) {
    const { operands } = parsed;
    if (operands.length === 0) {
      throw new UsageError("cordon serve check-policy needs ARGS", {
        hint: "cordon serve check-policy 'host'",
      });
    }
    const config = parsed.one("config"), tenant = parsed.one("tenant");
    return {
      args: operands.length === 1 ? operands[0]! : quoteWords(operands),
      cmd: parsed.one("cmd") ?? "true",
      ...(config !== undefined && { config: parsePath("--config", config) }),
      ...(tenant !== undefined && { tenant }),
      json: parsed.flag("json"),
    };
  },
  load: () => import("./serve-check-policy.ts"),
});

/** Our options may stand anywhere; every other word is docker's. `docker run` has none of these names. */
function parse(argv: readonly string[]): ParseResult {
  const options = allOptions({ options: OPTIONS });
  const given: Given[] = [];
  const operands: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === "--") {
      operands.push(...argv.slice(at + 1));
      break;
    }
    if (word === "--help" || word === "-h") return { help: word === "-h" ? "short" : "long" };
    const equals = word.indexOf("=");
    const name = equals < 0 ? word : word.slice(0, equals);
    const option = options.find(({ long }) => name === `--${long}`);
    if (!option || (option.value === undefined && equals >= 0)) {
      operands.push(word);
    } else if (option.value === undefined) {
      given.push({ name: option.long, value: true });
    } else {
      const value = equals < 0 ? argv[++at] : word.slice(equals + 1);
      if (value === undefined) throw new UsageError(`Option ${name} needs a value`);
      given.push({ name: option.long, value });
    }
  }
  return { parsed: new Parsed(options, given, operands) };
}
