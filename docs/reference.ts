/**
 * Writes docs/reference.md: every command and option, from the same table that help, manual pages and completions come
 * from. `deno task reference` runs it; a test compares.
 */
import { registry } from "../cmd/commands.ts";
import { type Command, type OptionSpec, shownOptions } from "../lib/cli/command.ts";
import { fullText, grouped, optionFlags, usageLines } from "../lib/cli/help.ts";

/** The whole document, as `deno fmt` would leave it. */
export async function reference(): Promise<string> {
  const lines = [
    "# Reference",
    "",
    "Every command with every option. It is written from the table that `--help`, `cordon man` and the shells' " +
    "completions are written from: `deno task reference`.",
    "",
    ...registry.commands.map(({ name, summary }) =>
      `- [cordon ${name}](#${anchor(name)}): ${plain(summary)}`
    ),
    "",
    "Called through a link of one of these names, cordon takes that tool's command line " +
    "([docs/migration.md](migration.md)):",
    "",
    ...registry.legacy.map(({ name, summary }) => `- \`${name}\`: ${plain(summary)}`),
    ...registry.commands.flatMap(section),
  ];
  return await formatted(lines.join("\n") + "\n");
}

function section(command: Command): string[] {
  const lines = ["", `## cordon ${command.name}`, "", plain(command.summary) + "."];
  lines.push("", "```text", ...usageLines(command), "```");
  for (const paragraph of command.description?.split("\n\n") ?? []) lines.push("", plain(paragraph));
  lines.push("", "Examples:", "", "```text");
  for (const { text, command: line } of command.examples) lines.push(`# ${text}`, line);
  lines.push("```");
  for (const { name, description } of command.operands) {
    lines.push("", `- \`${name}\`: ${plain(description)}`);
  }
  for (const [group, options] of grouped(shownOptions(command))) {
    lines.push("", `### ${group} of cordon ${command.name}`, "", ...options.map(item));
  }
  return lines;
}

function item(option: OptionSpec): string {
  return `- \`${optionFlags(option)}\`: ${plain(fullText(option))}`;
}

/** Text in which nothing is Markdown's. */
function plain(text: string): string {
  return text.replaceAll(/[\\`*_<>[\]|#~]/g, (character) => `\\${character}`);
}

/** As GitHub makes it of a heading. */
function anchor(name: string): string {
  return `cordon-${name.replaceAll(" ", "-")}`;
}

async function formatted(text: string): Promise<string> {
  const config = new URL("../deno.json", import.meta.url).pathname;
  const fmt = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--config", config, "--ext", "md", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = fmt.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout } = await fmt.output();
  if (!success) throw new Error("deno fmt fails");
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("reference.md", import.meta.url), await reference());
}
