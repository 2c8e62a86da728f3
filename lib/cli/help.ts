/** Help as text, from the table. */
import { type Command, type CommandTable, type OptionSpec, type Registry, shownOptions } from "./command.ts";
import type { Style } from "./style.ts";

const WIDTH = 80;
const INDENT = "  ";
/** Where descriptions start. */
const COLUMN = 30;

/** `cordon help`: what there is. */
export function renderOverview(registry: Registry, style: Style): string {
  const row = rows([...registry.commands, ...registry.legacy], style);
  const lines = [
    "Run code you do not trust, where Jupyter, nbgrader or an HTTP client can still talk to it",
    "",
    `${style.bold("Usage:")} cordon COMMAND [OPTION…]`,
    "",
    style.bold("Commands"),
    ...registry.commands.map(row),
  ];
  if (registry.legacy.length > 0) {
    lines.push("", style.bold("Called through a link of this name"), ...registry.legacy.map(row));
  }
  lines.push(
    "",
    style.bold("Options"),
    `${INDENT}-h, --help     Print this`,
    `${INDENT}-V, --version  Print the version`,
    `${INDENT}--no-color     Do not colour what is printed`,
    "",
    "cordon COMMAND --help explains a command, with examples",
  );
  return lines.join("\n") + "\n";
}

/** `cordon kernel --help`: the commands that start with `word`. */
export function renderGroup(commands: readonly Named[], how: { word: string; style: Style }): string {
  const { word, style } = how;
  return [
    `${style.bold("Usage:")} cordon ${word} COMMAND [OPTION…]`,
    "",
    style.bold("Commands"),
    ...commands.map(rows(commands, style)),
    "",
    `cordon ${word} COMMAND --help explains a command, with examples`,
  ].join("\n") + "\n";
}

interface Named {
  name: string;
  summary: string;
}

/** One row for each of `all`, their summaries below each other. */
function rows(all: readonly Named[], style: Style): (one: Named) => string {
  const width = Math.max(...all.map(({ name }) => name.length));
  return ({ name, summary }) => `${INDENT}${style.bold(name.padEnd(width))}  ${summary}`;
}

/** `-h` (one line an option) or `--help` (examples first, everything said). */
export function renderHelp(command: Command, how: { length: "short" | "long"; style: Style }): string {
  const { length, style } = how;
  const long = length === "long";
  const lines: string[] = [command.summary];
  if (long) {
    lines.push("", style.bold("Examples"));
    for (const { text, command: line } of command.examples) {
      lines.push(`${INDENT}${style.dim(`# ${text}`)}`, `${INDENT}${line}`, "");
    }
    lines.pop();
  }
  lines.push("", style.bold("Usage"), ...usageLines(command).map((line) => INDENT + line));
  if (long && command.description) {
    for (const paragraph of command.description.split("\n\n")) lines.push("", ...wrap(paragraph, WIDTH));
  }
  const operands = command.operands.map(({ name, description }) => ({ flags: name, text: description }));
  if (operands.length > 0) {
    lines.push(
      "",
      style.bold("Arguments"),
      ...operands.flatMap((row) => table(row, style)),
    );
  }
  for (const [group, options] of grouped(shownOptions(command))) {
    lines.push("", style.bold(group));
    for (const option of options) {
      const text = long ? fullText(option) : option.description;
      lines.push(...table({ flags: optionFlags(option), text }, style));
    }
  }
  if (!long) lines.push("", `cordon ${command.name} --help shows examples and says more`);
  return lines.join("\n") + "\n";
}

/** `cordon isolate [OPTION…] [--] [PROG [ARG…]]`, one line for each form. */
export function usageLines(command: CommandTable): string[] {
  return command.usage.map((usage) => `cordon ${command.name} ${usage}`.trimEnd());
}

/** `-m, --mnt LIST`; `--[no-]x` for a negatable flag. */
export function optionFlags(option: OptionSpec): string {
  const long = `--${option.negatable ? "[no-]" : ""}${option.long}`;
  const names = option.short ? `-${option.short}, ${long}` : long;
  return option.value === undefined ? names : `${names} ${option.value}`;
}

/** Description, details, default and variable as sentences. */
export function fullText(option: OptionSpec): string {
  const parts = [option.description];
  if (option.details) parts.push(option.details.replace(/\.$/, ""));
  if (option.repeat) parts.push("May be given more than once");
  if (option.default) parts.push(`Default: ${option.default}`);
  if (option.env) parts.push(`Variable: ${option.env}`);
  return parts.join(". ");
}

/** Options under their headings, in the order of the table; the common ones last. */
export function grouped(options: readonly OptionSpec[]): Map<string, OptionSpec[]> {
  const groups = new Map<string, OptionSpec[]>();
  for (const option of options) {
    const group = option.group ?? "Options";
    groups.set(group, [...(groups.get(group) ?? []), option]);
  }
  return groups;
}

function table(row: { flags: string; text: string }, style: Style): string[] {
  const head = INDENT + row.flags;
  const text = wrap(row.text, WIDTH - COLUMN);
  // Two spaces at least between a flag and its text, else the text starts on the next line.
  const first = head.length <= COLUMN - 2 ? text.shift() ?? "" : undefined;
  const bold = INDENT + style.bold(row.flags);
  const start = first === undefined ? bold : bold + " ".repeat(COLUMN - head.length) + first;
  return [start, ...text.map((line) => " ".repeat(COLUMN) + line)];
}

/** Lines of at most `width` characters, unless a word is longer. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return line === "" ? lines : [...lines, line];
}
