import assert from "node:assert/strict";
import { registry as real } from "../../../cmd/commands.ts";
import { type Command, defineCommand, type Registry, shownOptions } from "../../../lib/cli/command.ts";
import { renderBash } from "../../../lib/cli/completions/bash.ts";
import { optionNames, shellQuote } from "../../../lib/cli/completions/common.ts";
import { renderFish } from "../../../lib/cli/completions/fish.ts";
import { renderZsh } from "../../../lib/cli/completions/zsh.ts";
import { program, test } from "../../helpers/need.ts";

/** A command below another, with what the real ones may not have yet: a negatable flag, hard text. */
const below: Command = defineCommand({
  name: "kernel sample",
  summary: "It's a [hard]: text \\ to quote",
  usage: [""],
  examples: [],
  options: [
    { long: "debugger", negatable: true, description: "Let's debug: [yes] `or` $no" },
    { long: "mode", value: "M", complete: { words: ["one", "two"] }, description: "Mode" },
  ],
  operands: [],
  passThrough: false,
  exitUsage: 2,
  read: () => ({}),
  load: () => Promise.resolve({ run: () => 0 }),
});
const registry: Registry = { ...real, commands: [...real.commands, below] };

const SCRIPTS = { bash: renderBash(registry), zsh: renderZsh(registry), fish: renderFish(registry) };

for (const [shell, script] of Object.entries(SCRIPTS)) {
  Deno.test(`${shell}: every command and option is offered, hidden ones are not`, () => {
    for (const command of registry.commands) {
      for (const word of command.name.split(" ")) assert.ok(script.includes(word));
      for (const option of shownOptions(command)) {
        for (const name of optionNames(option)) {
          const offered = shell !== "fish" ? name : name.replace(/^--/, "-l ").replace(/^-(?=.$)/, "-s ");
          assert.ok(script.includes(offered), `${command.name} ${name}`);
        }
      }
    }
    assert.ok(!script.includes("no-net "));
  });

  test(`${shell}: the script is valid`, { needs: [program(shell)] }, async () => {
    const { stderr } = await runShell(shell, { args: ["-n"], script });
    assert.equal(stderr, "");
  });
}

async function runShell(shell: string, how: { args: string[]; script: string }) {
  const child = new Deno.Command(shell, {
    args: how.args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    // A shell's own start-up files must not speak here.
    env: { HOME: "/nonexistent", PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin" },
    clearEnv: true,
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(how.script));
  await writer.close();
  const { stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Words typed, the last one incomplete, and what must and must not be offered. */
const CASES: { words: string[]; offered: string[]; not?: string[] }[] = [
  { words: ["cordon", "iso"], offered: ["isolate"], not: ["help"] },
  { words: ["cordon", "isolate", "--mem"], offered: ["--memory"], not: ["--mnt"] },
  { words: ["cordon", "isolate", "--memory", "3", "--ver"], offered: ["--verbose"] },
  { words: ["cordon", "isolate", "--network", "p"], offered: ["pasta"], not: ["--pids", "printf"] },
  { words: ["cordon", "isolate", "-v", "--", "prin"], offered: ["printf"], not: ["--pids"] },
  { words: ["cordon", "isolate", "cat", "--verb"], offered: [], not: ["--verbose"] },
  { words: ["cordon", "completions", "fi"], offered: ["fish"], not: ["bash"] },
  { words: ["cordon", "kernel", "se"], offered: ["setup"], not: ["isolate"] },
  { words: ["cordon", "kernel", "sample", "--no-d"], offered: ["--no-debugger"] },
  { words: ["cordon", "kernel", "sample", "--mode", "t"], offered: ["two"], not: ["one"] },
];

function check(lines: string, expected: { offered: string[]; not: string[] }): void {
  const found = lines.split("\n").map((line) => line.split("\t")[0]);
  for (const word of expected.offered) {
    assert.ok(found.includes(word), `${word} is not in ${found.join(" ")}`);
  }
  for (const word of expected.not) assert.ok(!found.includes(word), `${word} is in ${found.join(" ")}`);
}

for (const { words, offered, not = [] } of CASES) {
  test(`bash completes: ${words.join(" ")}`, { needs: [program("bash")] }, async () => {
    const script = `${SCRIPTS.bash}
COMP_WORDS=(${words.map(shellQuote).join(" ")}) COMP_CWORD=${words.length - 1}
_cordon
printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = await runShell("bash", { args: ["--norc"], script });
    assert.equal(stderr, "");
    check(stdout, { offered, not });
  });

  test(`fish completes: ${words.join(" ")}`, { needs: [program("fish")] }, async () => {
    const script = `${SCRIPTS.fish}\ncomplete "-C${words.join(" ")}"`;
    const { stdout, stderr } = await runShell("fish", { args: ["--no-config"], script });
    assert.equal(stderr, "");
    check(stdout, { offered, not });
  });
}
