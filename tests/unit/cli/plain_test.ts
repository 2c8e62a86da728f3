/** Both parsers on the same lines: the plain one says the same as commander's, or leaves the line to it. */
import assert from "node:assert/strict";
import { registry } from "../../../cmd/commands.ts";
import type { CommandTable, Parsed } from "../../../lib/cli/command.ts";
import { parseCommand } from "../../../lib/cli/parse.ts";
import { parsePlain } from "../../../lib/cli/plain.ts";

const LINES = 20_000;
/** Words that are no option's, or look like one. */
const WORDS = [
  "--",
  "-",
  "",
  "=",
  "=x",
  "prog",
  "a b",
  "-5",
  "-1.5",
  "--=",
  "---",
  "-=",
  "--no-such",
  "-Z",
  "x=y",
];

/** Numbers from a seed (xorshift32): a failure can be had again. */
function numbers(seed: number): (below: number) => number {
  return (below) => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>> 0) % below;
  };
}

/** Every form an option can be typed in, good ones and bad ones. */
function forms(table: CommandTable): string[] {
  return table.options.flatMap(({ long, short }) => [
    `--${long}`,
    `--${long}=`,
    `--${long}=v`,
    `--${long}==v`,
    `--${long}x`,
    `--no-${long}`,
    ...(short ? [`-${short}`, `-${short}v`, `-${short}=v`, `-${short}${short}`] : []),
  ]);
}

function shown(parsed: Parsed): unknown {
  return { given: parsed.given, operands: parsed.operands };
}

for (const command of registry.commands) {
  Deno.test(`cordon ${command.name}: a plain line means what it means to commander`, () => {
    const options = [...forms(command), "-h", "--help", "--no-color", "--no-color=x", "-vh"];
    const below = numbers(command.name.length + 1);
    let plain = 0;
    for (let i = 0; i < LINES; i++) {
      const line = Array.from({ length: below(6) }, () => {
        const from = below(3) === 0 ? WORDS : options;
        return from[below(from.length)]!;
      });
      const parsed = parsePlain(command, line);
      if (!parsed) continue;
      plain++;
      const whole = parseCommand(command, line);
      assert.ok("parsed" in whole, JSON.stringify(line));
      assert.deepEqual(shown(parsed), shown(whole.parsed), JSON.stringify(line));
    }
    assert.equal(plain > LINES / 20, command.passThrough, `${plain} lines were plain`);
  });
}

Deno.test("what people type is plain", () => {
  const isolate = registry.commands.find(({ name }) => name === "isolate")!;
  const lines = [["true"], ["--", "sh", "-c", "id"], ["-m", ".", "--time", "10", "ls", "-l"], [
    "--memory=64M",
    "x",
  ], []];
  for (const line of lines) assert.ok(parsePlain(isolate, line), line.join(" "));
});
