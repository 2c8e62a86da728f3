/** The command lines of `portwrap` and `batchspawner-portwrap`. No I/O. */
import { Parsed } from "../../lib/cli/command.ts";
import { parseCommand } from "../../lib/cli/parse.ts";
import { UsageError } from "../../lib/errors.ts";
import { checkPortwrap, type PortwrapOptions, readPortwrap } from "../portwrap.options.ts";
import { PORTWRAP_TABLE } from "../portwrap.table.ts";

/** Both listened on every address and had the network of slirp4netns. */
const EVERYWHERE = "0.0.0.0";

export type LegacyRequest = { help: "short" | "long" } | { options: PortwrapOptions };

/**
 * `portwrap -p PORT -P PORT COMMAND [ARG…]`. Its two options were found anywhere on the line; here those of COMMAND are
 * looked at only for what is missing before it. Options that `cordon portwrap` has beyond may stand before COMMAND.
 */
export function parseLegacyPortwrap(argv: readonly string[]): LegacyRequest {
  const result = parse(argv, { p: "host-port", P: "guest-port" });
  if ("help" in result) return result;
  const options = withOldDefaults(result.parsed);
  for (const [name, value] of [["-p", options.hostPort], ["-P", options.guestPort]] as const) {
    if (value === undefined) throw new UsageError(`portwrap needs ${name} PORT`, { hint: "portwrap --help" });
  }
  checkPortwrap(options);
  return { options };
}

/** `batchspawner-portwrap [-P PORT] [--portwrap-path PATH] COMMAND [ARG…] [--port=PORT]`. */
export function parseBatchspawnerPortwrap(argv: readonly string[]): LegacyRequest {
  const result = parse(argv, { P: "guest-port" });
  if ("help" in result) return result;
  const options = withOldDefaults(result.parsed);
  checkPortwrap(options);
  return { options };
}

function parse(
  argv: readonly string[],
  anywhere: Record<string, "host-port" | "guest-port">,
): { help: "short" | "long" } | { parsed: Parsed } {
  const result = parseCommand(PORTWRAP_TABLE, argv);
  if ("help" in result) return result;
  const { parsed } = result;
  const given = [...parsed.given], rest: string[] = [], words = [...parsed.operands];
  while (words.length > 0) {
    const word = words.shift()!;
    if (word === "--") {
      rest.push(word, ...words.splice(0));
      break;
    }
    const name = nameOf(word, anywhere);
    const known = name !== undefined && given.some((option) => option.name === name);
    const joined = /^--[a-z-]+=(.*)$/s.exec(word)?.[1] ?? (/^-[pP](.+)$/s.exec(word)?.[1]);
    const value = joined ?? words[0];
    if (name === undefined || known || value === undefined) rest.push(word);
    else {
      if (joined === undefined) words.shift();
      given.push({ name, value });
    }
  }
  return { parsed: new Parsed(PORTWRAP_TABLE.options, given, rest) };
}

/** The option that a word of the command is, among those the old tool took from there. */
function nameOf(word: string, anywhere: Record<string, "host-port" | "guest-port">) {
  const [, short] = /^-([pP])(?:\d+)?$/.exec(word) ?? [];
  if (short !== undefined) return anywhere[short];
  const [, long] = /^--(host-port|guest-port)(?:=.*)?$/s.exec(word) ?? [];
  return Object.values(anywhere).find((name) => name === long);
}

function withOldDefaults(parsed: Parsed): PortwrapOptions {
  const options = readPortwrap(parsed);
  if (parsed.one("network") === undefined) options.network.mode = "auto";
  if (options.hostPort !== undefined) options.hostAddr ??= EVERYWHERE;
  else options.hubAddr = EVERYWHERE;
  return options;
}
