/** Manual pages in the man macros of roff (groff_man(7)), from the table. */
import { buildInfo } from "../buildinfo.ts";
import { type Command, COMMON_OPTIONS, type OptionSpec, type Registry, shownOptions } from "./command.ts";
import { fullText, grouped, optionFlags, usageLines } from "./help.ts";

/** cordon(1). */
export function renderMainMan(registry: Registry): string {
  return [
    ...head("cordon", "run code that is not trusted"),
    ".SH SYNOPSIS",
    roff("cordon COMMAND [OPTION…]"),
    ".SH COMMANDS",
    ...registry.commands.flatMap(({ name, summary }) => item(name, summary)),
    ...(registry.legacy.length === 0 ? [] : [
      ".SH OLD NAMES",
      "Called through a link of one of these names, cordon takes that tool's command line.",
      ...registry.legacy.flatMap(({ name, summary }) => item(name, summary)),
    ]),
    ".SH OPTIONS",
    ...COMMON_OPTIONS.flatMap(optionItem),
    ...item("-V, --version", "Print the version"),
    ...seeAlso(registry.commands.map(pageName)),
  ].join("\n") + "\n";
}

/** cordon-NAME(1). */
export function renderMan(command: Command): string {
  const lines = [
    ...head(pageName(command), command.summary),
    ".SH SYNOPSIS",
    ...usageLines(command).flatMap((line, i) => i === 0 ? [roff(line)] : [".br", roff(line)]),
  ];
  if (command.description) {
    const [first = "", ...rest] = command.description.split("\n\n");
    lines.push(".SH DESCRIPTION", roff(first), ...rest.flatMap((paragraph) => [".PP", roff(paragraph)]));
  }
  lines.push(".SH EXAMPLES");
  for (const { text, command: line } of command.examples) {
    lines.push(".PP", `${roff(text)}:`, ".PP", ".RS 4", ".nf", roff(line), ".fi", ".RE");
  }
  if (command.operands.length > 0) {
    lines.push(".SH ARGUMENTS", ...command.operands.flatMap((o) => item(o.name, o.description)));
  }
  lines.push(".SH OPTIONS");
  for (const [group, options] of grouped(shownOptions(command))) {
    lines.push(`.SS ${roff(group)}`, ...options.flatMap(optionItem));
  }
  return [...lines, ...seeAlso(["cordon"])].join("\n") + "\n";
}

function pageName(command: Command): string {
  return `cordon-${command.name.replaceAll(" ", "-")}`;
}

function head(name: string, summary: string): string[] {
  return [
    `.TH ${roff(name.toUpperCase())} 1 "" "cordon ${roff(buildInfo.version)}" "User Commands"`,
    ".SH NAME",
    // whatis(1) splits at an escaped dash between spaces.
    `${roff(name)} \\- ${roff(summary)}`,
  ];
}

function optionItem(option: OptionSpec): string[] {
  return item(optionFlags(option), fullText(option));
}

function item(tag: string, text: string): string[] {
  return [".TP", `\\fB${roff(tag)}\\fR`, roff(text)];
}

function seeAlso(pages: string[]): string[] {
  return pages.length === 0
    ? []
    : [".SH SEE ALSO", pages.map((page) => `\\fB${roff(page)}\\fR(1)`).join(",\n")];
}

/** Text as roff: nothing in it is an escape or a request, dashes stay ASCII so that options can be pasted. */
export function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("`", "\\(ga")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll("…", "...")
    .replaceAll("²", "\\(S2")
    .replace(/^([.'])/gm, "\\&$1")
    .replaceAll("'", "\\(aq");
}
