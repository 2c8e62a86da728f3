/** From argv to {@link Parsed}: commander does the walking, the table says what there is. */
import "./require.ts";
import { Command as Commander, CommanderError, Option } from "commander";
import { sentence, UsageError } from "../errors.ts";
import {
  allOptions,
  type CommandTable,
  type Given,
  type OptionSpec,
  Parsed,
  type ParseResult,
} from "./command.ts";
import { nearest } from "./suggest.ts";

/**
 * Parses what follows the command's name.
 *
 * `-x VALUE`, `-xVALUE`, `-x=VALUE`, `--long VALUE`, `--long=VALUE` and clusters of flags (`-vh`) are understood. In a
 * pass-through command everything from the first operand on, or after `--`, is an operand.
 *
 * @throws {UsageError} unknown option, missing or surplus value, missing or surplus operand
 */
export function parseCommand(command: CommandTable, argv: readonly string[]): ParseResult {
  const options = allOptions(command);
  const given: Given[] = [];
  let help: "short" | "long" | undefined;
  const commander = new Commander(command.name)
    .helpOption(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
    .passThroughOptions(command.passThrough);

  for (const option of options) {
    // -h and --help are two options to commander, so that it tells which was typed.
    if (option.long === "help") {
      commander.addOption(new Option("-h")).on("option:h", () => help ??= "short");
      commander.addOption(new Option("--help")).on("option:help", () => help = "long");
      continue;
    }
    commander.addOption(new Option(flags(option)));
    commander.on(`option:${option.long}`, (value: string | null | undefined) => {
      given.push({ name: option.long, value: option.value === undefined ? true : unequal(option, value) });
    });
    if (option.negatable) {
      commander.addOption(new Option(`--no-${option.long}`));
      commander.on(`option:no-${option.long}`, () => given.push({ name: option.long, value: false }));
    }
  }

  const { operands, unknown } = walk(commander, command, argv);
  if (help) return { help };
  const stray = unknown[0] ?? strayNumber(command, { argv, operands });
  if (stray !== undefined) throw unknownOption(command, stray);
  checkOperands(command, operands);
  return { parsed: new Parsed(options, given, operands) };
}

function flags(option: OptionSpec): string {
  const names = option.short ? `-${option.short}, --${option.long}` : `--${option.long}`;
  return option.value === undefined ? names : `${names} <value>`;
}

/** commander hands over `-m=LIST` as `=LIST`. No option with a short form has a value that starts with `=`. */
function unequal(option: OptionSpec, value: string | null | undefined): string {
  const text = value ?? "";
  return option.short && text.startsWith("=") ? text.slice(1) : text;
}

function walk(commander: Commander, command: CommandTable, argv: readonly string[]) {
  try {
    return commander.parseOptions([...argv]);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.optionMissingArgument") {
      // It can only be the last one typed.
      const typed = argv.at(-1) ?? "";
      const option = find(command, typed.startsWith("--") ? typed : `-${typed.at(-1)}`);
      throw new UsageError(`Option ${typed} needs a value`, {
        why: option && `${option.value}: ${option.description}`,
        cause: error,
      });
    }
    throw new UsageError(sentence(error.message.replace(/^error: /, "")), { cause: error });
  }
}

function find(command: CommandTable, typed: string): OptionSpec | undefined {
  return allOptions(command).find((option) => typed === `--${option.long}` || typed === `-${option.short}`);
}

/** commander takes `-5` for an operand; here it is a mistyped option unless it follows `--`. */
function strayNumber(
  command: CommandTable,
  typed: { argv: readonly string[]; operands: readonly string[] },
): string | undefined {
  const first = typed.operands[0];
  if (!command.passThrough || !first || !/^-./.test(first)) return undefined;
  // The operands of a pass-through command are the tail of argv.
  return typed.argv[typed.argv.length - typed.operands.length - 1] === "--" ? undefined : first;
}

function unknownOption(command: CommandTable, typed: string): UsageError {
  const name = typed.replace(/=.*$/s, "");
  const option = find(command, name);
  if (option && typed !== name) {
    return new UsageError(`Option ${name} takes no value, and ${JSON.stringify(typed)} gives one`);
  }
  const known = allOptions(command).filter((option) => !option.hidden).flatMap((option) =>
    option.negatable ? [`--${option.long}`, `--no-${option.long}`] : [`--${option.long}`]
  );
  const meant = nearest(name, known);
  return new UsageError(`Unknown option ${JSON.stringify(name)} of cordon ${command.name}`, {
    why: meant ? `Did you mean ${meant}?` : undefined,
    hint: `cordon ${command.name} --help`,
  });
}

function checkOperands(command: CommandTable, operands: readonly string[]): void {
  const missing = command.operands.find((operand, i) => operand.required && operands.length <= i);
  if (missing) {
    throw new UsageError(`cordon ${command.name} needs ${missing.name}`, {
      why: `${missing.name}: ${missing.description}`,
      hint: `cordon ${command.name} --help`,
    });
  }
  const surplus = operands[command.operands.length];
  if (surplus !== undefined && !command.operands.at(-1)?.variadic) {
    throw new UsageError(`Unexpected argument ${JSON.stringify(surplus)} after cordon ${command.name}`, {
      hint: `cordon ${command.name} --help`,
    });
  }
}
