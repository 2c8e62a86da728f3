/**
 * The plain forms of a command line, without commander, whose loading and walking cost 1 ms of a sandbox's start. What
 * is not plain (a cluster, a value joined to its letter, a mistake, a wish for help) is left to `parse.ts`; a test runs
 * both over the same lines.
 */
import { allOptions, type CommandTable, type Given, Parsed } from "./command.ts";

/** What was typed, of a pass-through command in plain forms; otherwise undefined, which says nothing about the line. */
export function parsePlain(command: CommandTable, argv: readonly string[]): Parsed | undefined {
  if (!command.passThrough) return undefined;
  const options = allOptions(command);
  const given: Given[] = [];
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === "--") {
      at++;
      break;
    }
    if (word === "-" || !word.startsWith("-")) break;
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    const name = equals < 0 ? word : word.slice(0, equals);
    const option = options.find(({ long, short }) => name === `--${long}` || name === `-${short}`);
    if (!option || option.long === "help") return undefined;
    if (option.value === undefined) {
      if (equals >= 0) return undefined;
      given.push({ name: option.long, value: true });
      continue;
    }
    const value = equals < 0 ? argv[++at] : word.slice(equals + 1);
    // Of a value that starts with = one sign is taken off behind a short form: parse.ts knows.
    if (value === undefined || value.startsWith("=")) return undefined;
    given.push({ name: option.long, value });
  }
  const operands = argv.slice(at);
  const missing = command.operands.some(({ required }, i) => required && i >= operands.length);
  const surplus = operands.length > command.operands.length && !command.operands.at(-1)?.variadic;
  return missing || surplus ? undefined : new Parsed(options, given, operands);
}
