/** From argv to a command's status. What goes wrong comes out as text on stderr and a status, here only. */
import { buildInfo } from "../buildinfo.ts";
import { CordonError, EXIT, render, UsageError } from "../errors.ts";
import type { Command, CommandContext, Environment, Parsed, Registry } from "./command.ts";
import { parsePlain } from "./plain.ts";
import { writeStderr, writeStdout } from "./streams.ts";
import { styleFor } from "./style.ts";
import { nearest } from "./suggest.ts";

export interface Invocation {
  /** `cordon` or a legacy name of the registry. */
  invokedAs: string;
  argv: string[];
  env: Environment;
}

/** Runs what was asked for and returns the exit status. Never throws. */
export async function dispatch(registry: Registry, invocation: Invocation): Promise<number> {
  const { invokedAs, argv, env } = invocation;
  // Until a command is known its usage errors are ordinary ones.
  let exitUsage: 2 | 125 = 2;
  const context: CommandContext = { invokedAs, env, args: [], noColor: false };
  try {
    const legacy = registry.legacy.find((entry) => entry.name === invokedAs);
    if (legacy) {
      exitUsage = EXIT.cordon;
      context.args = argv;
      return await (await legacy.load()).run(context);
    }
    const rest = leadingOptions(argv, context);
    const first = rest[0];
    if (first === undefined || first === "-h" || first === "--help") {
      const { renderOverview } = await import("./help.ts");
      const stream = first === undefined ? "stderr" : "stdout";
      const text = renderOverview(registry, styleFor(stream, context));
      if (first !== undefined) return done(text);
      writeStderr(text);
      return 2;
    }
    if (first === "-V" || first === "--version") return done(versionLine());
    if (rest[1] === "-h" || rest[1] === "--help") {
      // `cordon kernel --help`: a word that is no command, with commands below it.
      const below = commandsBelow(registry, first);
      const { renderGroup } = await import("./help.ts");
      if (below.length > 0) {
        return done(renderGroup(below, { word: first, style: styleFor("stdout", context) }));
      }
    }
    const { command, args } = findCommand(registry, rest);
    exitUsage = command.exitUsage;
    return await invoke(command, { args, context });
  } catch (error) {
    return report(error, { exitUsage, context });
  }
}

async function invoke(command: Command, given: { args: string[]; context: CommandContext }): Promise<number> {
  const { context } = given;
  const plain = command.parse ? undefined : parsePlain(command, given.args);
  const parsed = plain ?? await parseAll(command, given);
  if (typeof parsed === "string") return done(parsed);
  context.args = parsed.operands;
  context.noColor ||= parsed.flag("no-color");
  return await command.prepare(parsed, context)();
}

/** What was typed, or the help that it asks for. */
async function parseAll(
  command: Command,
  { args, context }: { args: string[]; context: CommandContext },
): Promise<Parsed | string> {
  const result = command.parse?.(args) ?? (await import("./parse.ts")).parseCommand(command, args);
  if ("parsed" in result) return result.parsed;
  const { renderHelp } = await import("./help.ts");
  return renderHelp(command, { length: result.help, style: styleFor("stdout", context) });
}

function done(text: string): number {
  writeStdout(text);
  return 0;
}

/** `cordon 0.1.0 (deno 2.4.2, base: registry)` */
function versionLine(): string {
  return `cordon ${buildInfo.version} (deno ${buildInfo.deno}, base: ${buildInfo.base})\n`;
}

/** Takes `--no-color` from before the command's name. */
function leadingOptions(argv: readonly string[], context: CommandContext): string[] {
  const start = argv.findIndex((arg) => arg !== "--no-color");
  context.noColor = start !== 0 && argv.length > 0;
  return start < 0 ? [] : argv.slice(start);
}

/**
 * The command that the first word, or the first two, name.
 *
 * @throws {UsageError} there is none; a near one is suggested
 */
export function findCommand(
  registry: Pick<Registry, "commands">,
  argv: readonly string[],
): { command: Command; args: string[] } {
  const [first = "", second] = argv;
  for (const length of [2, 1]) {
    const name = argv.slice(0, length).join(" ");
    const command = argv.length >= length && registry.commands.find((command) => command.name === name);
    if (!command) continue;
    const args = argv.slice(length);
    checkOperand(registry, command, args);
    return { command, args };
  }
  const names = registry.commands.map((command) => command.name);
  const below = commandsBelow(registry, first).map(({ name }) => name.slice(first.length + 1));
  if (first !== "" && below.length > 0) {
    if (second !== undefined) throw noneBelow(second, first, below);
    throw new UsageError(`cordon ${first} needs a command below it`, {
      why: `There is ${below.join(", ")}`,
      hint: `cordon ${first} --help`,
    });
  }
  const kind = first.startsWith("-") ? "option" : "command";
  const known = kind === "option"
    ? ["--help", "--version", "--no-color"]
    : [...new Set(names.flatMap(words))];
  const meant = nearest(first, known);
  throw new UsageError(`No ${kind} ${JSON.stringify(first)}`, {
    why: meant ? `Did you mean ${meant}?` : undefined,
    hint: "cordon help",
  });
}

/**
 * `cordon serve toke`: serve is a command, but takes no operands, and there are commands below it.
 *
 * @throws {UsageError} for a word behind it
 */
function checkOperand(
  { commands }: Pick<Registry, "commands">,
  { name, operands, passThrough }: Command,
  args: string[],
): void {
  const [word] = args;
  const below = commands.flatMap((one) =>
    one.name.startsWith(`${name} `) ? [one.name.slice(name.length + 1)] : []
  );
  if (word === undefined || word.startsWith("-") || below.length === 0) return;
  if (operands.length > 0 || passThrough) return;
  throw noneBelow(word, name, below);
}

function noneBelow(word: string, above: string, below: string[]): UsageError {
  const meant = nearest(word, below);
  return new UsageError(`No command ${JSON.stringify(word)} below cordon ${above}`, {
    why: meant ? `Did you mean ${above} ${meant}?` : `There is ${below.join(", ")}`,
    hint: `cordon ${above} --help`,
  });
}

/** The commands below a word that is no command itself (`kernel`). */
export function commandsBelow(registry: Pick<Registry, "commands">, word: string): Command[] {
  if (registry.commands.some(({ name }) => name === word)) return [];
  return registry.commands.filter(({ name }) => name.startsWith(`${word} `));
}

/** `kernel setup` can be missed as `kernel` too. */
function words(name: string): string[] {
  return [name, name.split(" ")[0] ?? name];
}

/** Prints what went wrong; returns the status. */
function report(error: unknown, where: { exitUsage: 2 | 125; context: CommandContext }): number {
  const style = styleFor("stderr", where.context);
  const failure = where.exitUsage === EXIT.cordon ? EXIT.cordon : 1;
  if (error instanceof CordonError) {
    writeStderr(
      render(error)
        .replace(/^cordon:/, (head) => style.red(style.bold(head)))
        .replace(/^hint:/m, (head) => style.green(head)),
    );
    return error.exit ?? (error instanceof UsageError ? where.exitUsage : failure);
  }
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  writeStderr(`cordon: internal error: ${what}\n`);
  if (where.context.env["CORDON_DEBUG"] === "1") {
    writeStderr(`${error instanceof Error ? error.stack : what}\n`);
  } else {
    writeStderr("This is a fault of cordon: please report it, with what CORDON_DEBUG=1 prints in addition\n");
  }
  return failure;
}
