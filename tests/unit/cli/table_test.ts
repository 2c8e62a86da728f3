import assert from "node:assert/strict";
import { registry } from "../../../cmd/commands.ts";
import { allOptions, type Command, COMMON_OPTIONS, Parsed } from "../../../lib/cli/command.ts";
import { findCommand } from "../../../lib/cli/dispatch.ts";
import { fullText, optionFlags, renderHelp, renderOverview } from "../../../lib/cli/help.ts";
import { renderMainMan, renderMan, roff } from "../../../lib/cli/man.ts";
import { parseCommand } from "../../../lib/cli/parse.ts";
import { makeStyle } from "../../../lib/cli/style.ts";
import { program, test } from "../../helpers/need.ts";

const plain = makeStyle(false);

/** The words of a shell line up to the first redirection or pipe: quotes are understood, expansion is not. */
function shellWords(line: string): string[] {
  const words: string[] = [];
  for (const [word] of line.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)) {
    if (/^(\||[0-9]?[<>])/.test(word)) break;
    words.push(word.replace(/'([^']*)'|"([^"]*)"/g, "$1$2"));
  }
  return words;
}

function each(what: string, body: (command: Command) => void): void {
  for (const command of registry.commands) Deno.test(`${command.name}: ${what}`, () => body(command));
}

Deno.test("command names are unique, and so are the legacy ones", () => {
  for (const entries of [registry.commands, registry.legacy]) {
    const names = entries.map(({ name }) => name);
    assert.deepEqual(names, [...new Set(names)]);
  }
});

each("no flag is there twice", (command) => {
  const flags = allOptions(command).flatMap((option) => [
    `--${option.long}`,
    ...(option.short ? [`-${option.short}`] : []),
    ...(option.negatable ? [`--no-${option.long}`] : []),
  ]);
  assert.deepEqual(flags, [...new Set(flags)]);
});

each("every option is described, on one line without a final period", (command) => {
  for (const option of allOptions(command)) {
    assert.match(option.description, /^[^\n]+[^.\n]$/, option.long);
    assert.match(option.long, /^[a-z][a-z0-9-]*$/);
    assert.match(option.short ?? "x", /^[A-Za-z]$/);
    assert.ok(!(option.negatable && option.value), `--${option.long} cannot be negated and have a value`);
  }
});

each("every option with a value says how a shell completes it", (command) => {
  for (const option of allOptions(command)) {
    if (option.value !== undefined) assert.notEqual(option.complete, undefined, option.long);
  }
});

/** What was typed, remembering which options somebody asks for. */
class Watched extends Parsed {
  readonly asked: Set<string>;

  constructor({ given, operands }: Parsed, { command, asked }: { command: Command; asked: Set<string> }) {
    super(allOptions(command), given, operands);
    this.asked = asked;
  }
  override flag(name: string, otherwise = false): boolean {
    this.asked.add(name);
    return super.flag(name, otherwise);
  }
  override all(name: string): string[] {
    this.asked.add(name);
    return super.all(name);
  }
}

/** Options that nobody asks for by name: mounts are read in the order typed, and two do what is done anyway. */
const UNASKED = ["mnt", "mount", "replace", "portwrap-path", ...COMMON_OPTIONS.map(({ long }) => long)];

each("it has examples, all of them parse, and every option is read", (command) => {
  assert.ok(command.examples.length > 0);
  const asked = new Set(UNASKED);
  for (const { command: line } of command.examples) {
    const [first, ...argv] = shellWords(line);
    assert.equal(first, "cordon");
    const found = findCommand(registry, argv);
    assert.equal(found.command.name, command.name, line);
    const result = command.parse?.(found.args) ?? parseCommand(command, found.args);
    assert.ok("parsed" in result, line);
    const parsed = new Watched(result.parsed, { command, asked });
    command.prepare(parsed, { invokedAs: "cordon", env: {}, args: [], noColor: false });
  }
  // Docker's have tests of their own.
  if (command.name === "run") return;
  assert.deepEqual(command.options.map(({ long }) => long).filter((long) => !asked.has(long)), []);
});

each("help shows every option, except hidden ones", (command) => {
  for (const length of ["short", "long"] as const) {
    const text = renderHelp(command, { length, style: plain });
    for (const option of allOptions(command)) {
      assert.equal(text.includes(`  ${optionFlags(option)}`), !option.hidden, option.long);
    }
  }
});

each("--help begins with the examples, -h has none", (command) => {
  const example = command.examples[0]?.command ?? "";
  const long = renderHelp(command, { length: "long", style: plain });
  assert.ok(long.indexOf(example) < long.indexOf("Usage"));
  const short = renderHelp(command, { length: "short", style: plain });
  assert.ok(!short.includes("Examples"));
});

each("no line of the help is wider than a terminal", (command) => {
  const text = renderHelp(command, { length: "long", style: plain });
  const examples = command.examples.flatMap((example) => [example.command, example.text]);
  for (const line of text.split("\n")) {
    if (!examples.some((example) => line.includes(example))) assert.ok(line.length <= 80, line);
  }
});

each("the manual page has every option, except hidden ones", (command) => {
  const page = renderMan(command);
  for (const option of allOptions(command)) {
    assert.equal(page.includes(`\\fB${roff(optionFlags(option))}\\fR\n`), !option.hidden, option.long);
    if (!option.hidden) assert.ok(page.includes(roff(fullText(option))), option.long);
  }
});

Deno.test("the overview and the main manual page name every command and old name", () => {
  const overview = renderOverview(registry, plain);
  const page = renderMainMan(registry);
  for (const { name, summary } of [...registry.commands, ...registry.legacy]) {
    assert.ok(overview.includes(name) && overview.includes(summary));
    assert.ok(page.includes(roff(name)) && page.includes(roff(summary)));
  }
});

Deno.test("text cannot become a roff request or escape", () => {
  assert.equal(roff(".so /etc/passwd"), "\\&.so /etc/passwd");
  assert.equal(roff("a\n'b \\fB--x"), "a\n\\&\\(aqb \\efB\\-\\-x");
});

test("groff finds nothing to warn of in the manual pages", { needs: [program("groff")] }, async () => {
  for (const page of [renderMainMan(registry), ...registry.commands.map(renderMan)]) {
    const groff = new Deno.Command("groff", {
      args: ["-man", "-Tutf8", "-ww", "-rCHECKSTYLE=3"],
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const writer = groff.stdin.getWriter();
    await writer.write(new TextEncoder().encode(page));
    await writer.close();
    const { stderr } = await groff.output();
    assert.equal(new TextDecoder().decode(stderr), "");
  }
});
