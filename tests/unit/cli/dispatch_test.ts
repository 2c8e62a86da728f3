import assert from "node:assert/strict";
import { type CommandContext, defineCommand, type Registry } from "../../../lib/cli/command.ts";
import { dispatch, findCommand } from "../../../lib/cli/dispatch.ts";
import { CordonError, UsageError } from "../../../lib/errors.ts";

/** What ran, and what it was given. */
const seen: { name: string; context: CommandContext }[] = [];

function command(name: string, how: { exitUsage: 2 | 125; outcome: () => number }) {
  return defineCommand({
    name,
    summary: name,
    usage: ["[ARG…]"],
    examples: [{ text: "Run", command: `cordon ${name}` }],
    options: [{ long: "flag", description: "Flag" }],
    operands: [{ name: "ARG", description: "Argument", variadic: true }],
    passThrough: how.exitUsage === 125,
    exitUsage: how.exitUsage,
    read: (parsed) => {
      if (parsed.operands[0] === "refuse") throw new UsageError("Refused");
      return {};
    },
    load: () =>
      Promise.resolve({
        run(_options: object, context: CommandContext) {
          seen.push({ name, context });
          return how.outcome();
        },
      }),
  });
}

function raise(error: unknown): never {
  throw error;
}

const registry: Registry = {
  commands: [
    command("target", { exitUsage: 125, outcome: () => 42 }),
    command("plain", { exitUsage: 2, outcome: () => 0 }),
    command("serve", { exitUsage: 2, outcome: () => 0 }),
    command("serve token", { exitUsage: 2, outcome: () => 0 }),
    command("kernel setup", { exitUsage: 2, outcome: () => 0 }),
    command("target-fails", {
      exitUsage: 125,
      outcome: () => raise(new CordonError("Failed", { why: "Because" })),
    }),
    command("plain-fails", {
      exitUsage: 2,
      outcome: () => raise(new CordonError("Failed", { hint: "do it" })),
    }),
    command("not-found", { exitUsage: 125, outcome: () => raise(new CordonError("No such", { exit: 127 })) }),
    command("target-broken", { exitUsage: 125, outcome: () => raise(new TypeError("a bug")) }),
    command("plain-broken", { exitUsage: 2, outcome: () => raise("thrown text") }),
  ],
  legacy: [{
    name: "old.sh",
    summary: "Old",
    load: () =>
      Promise.resolve({
        run(context: CommandContext) {
          seen.push({ name: "old.sh", context });
          return context.args[0] === "bad" ? raise(new UsageError("Bad")) : 7;
        },
      }),
  }],
};

/** Runs it with stdout and stderr caught. */
async function call(argv: string[], how: { invokedAs?: string; env?: Record<string, string> } = {}) {
  const caught = { stdout: "", stderr: "" };
  const real = { stdout: Deno.stdout.writeSync, stderr: Deno.stderr.writeSync };
  for (const name of ["stdout", "stderr"] as const) {
    Deno[name].writeSync = (bytes) => {
      caught[name] += new TextDecoder().decode(bytes);
      return bytes.length;
    };
  }
  seen.length = 0;
  try {
    const { invokedAs = "cordon", env = { NO_COLOR: "1" } } = how;
    return { status: await dispatch(registry, { invokedAs, argv, env }), ...caught, seen: [...seen] };
  } finally {
    for (const name of ["stdout", "stderr"] as const) Deno[name].writeSync = real[name];
  }
}

const STATUSES: { argv: string[]; status: number; stderr?: RegExp; stdout?: RegExp }[] = [
  { argv: ["target"], status: 42 },
  { argv: ["plain"], status: 0 },
  { argv: [], status: 2, stderr: /Usage/ },
  { argv: ["--help"], status: 0, stdout: /Usage/ },
  { argv: ["-h"], status: 0, stdout: /Usage/ },
  { argv: ["--version"], status: 0, stdout: /^cordon \d+\.\d+\.\d+ \(deno \d+\.\d+\.\d+, base: \w+\)\n$/ },
  { argv: ["target", "--help"], status: 0, stdout: /Examples/ },
  { argv: ["target", "-h"], status: 0, stdout: /Usage/ },
  {
    argv: ["target", "--flog"],
    status: 125,
    stderr: /Did you mean --flag\?\n\nhint: cordon target --help\n$/,
  },
  { argv: ["plain", "--flog"], status: 2, stderr: /Did you mean --flag/ },
  { argv: ["target", "refuse"], status: 125, stderr: /^cordon: Refused\n$/ },
  { argv: ["plain", "refuse"], status: 2, stderr: /^cordon: Refused\n$/ },
  { argv: ["targte"], status: 2, stderr: /No command "targte"\nDid you mean target\?/ },
  { argv: ["--verison"], status: 2, stderr: /No option "--verison"\nDid you mean --version\?/ },
  { argv: [""], status: 2, stderr: /No command ""/ },
  { argv: ["kernel"], status: 2, stderr: /There is setup/ },
  { argv: ["kernel", "--help"], status: 0, stdout: /^Usage: cordon kernel COMMAND[^]*kernel setup/ },
  { argv: ["kernel", "-h"], status: 0, stdout: /^Usage: cordon kernel COMMAND/ },
  { argv: ["kernle", "--help"], status: 2, stderr: /Did you mean kernel\?/ },
  { argv: ["kernel", "steup"], status: 2, stderr: /Did you mean kernel setup\?/ },
  { argv: ["target-fails"], status: 125, stderr: /^cordon: Failed\nBecause\n$/ },
  { argv: ["plain-fails"], status: 1, stderr: /^cordon: Failed\n\nhint: do it\n$/ },
  { argv: ["not-found"], status: 127, stderr: /No such/ },
  {
    argv: ["target-broken"],
    status: 125,
    stderr: /^cordon: internal error: TypeError: a bug\n[^\n]*report[^\n]*\n$/,
  },
  { argv: ["plain-broken"], status: 1, stderr: /^cordon: internal error: thrown text\n/ },
];
for (const { argv, status, stdout, stderr } of STATUSES) {
  Deno.test(`cordon ${argv.join(" ")}: status ${status}`, async () => {
    const result = await call(argv);
    assert.equal(result.status, status);
    if (stdout) assert.match(result.stdout, stdout);
    else assert.equal(result.stdout, "");
    if (stderr) assert.match(result.stderr, stderr);
    else assert.equal(result.stderr, "");
  });
}

Deno.test("the stack of an internal error is shown only on request", async () => {
  const quiet = await call(["target-broken"]);
  assert.doesNotMatch(quiet.stderr, /\n\s+at /);
  const loud = await call(["target-broken"], { env: { CORDON_DEBUG: "1" } });
  assert.match(loud.stderr, /\n\s+at /);
});

Deno.test("the command gets its operands, the environment and the wish for no colour", async () => {
  const env = { A: "b" };
  const { seen } = await call(["--no-color", "target", "prog", "--flag"], { env });
  assert.deepEqual(seen, [{
    name: "target",
    context: { invokedAs: "cordon", env, args: ["prog", "--flag"], noColor: true },
  }]);
  assert.equal((await call(["plain", "--no-color"])).seen[0]?.context.noColor, true);
  assert.equal((await call(["plain"])).seen[0]?.context.noColor, false);
});

Deno.test("a legacy name takes everything typed", async () => {
  const { status, seen } = await call(["--help", "x"], { invokedAs: "old.sh" });
  assert.equal(status, 7);
  assert.deepEqual(seen[0]?.context.args, ["--help", "x"]);
  assert.equal((await call(["bad"], { invokedAs: "old.sh" })).status, 125);
});

Deno.test("two words win over one", () => {
  assert.equal(findCommand(registry, ["serve"]).command.name, "serve");
  assert.equal(findCommand(registry, ["serve", "--flag"]).command.name, "serve");
  assert.deepEqual(findCommand(registry, ["serve", "token", "x"]).args, ["x"]);
  assert.equal(findCommand(registry, ["serve", "token", "x"]).command.name, "serve token");
});

Deno.test("behind a command without operands a word is taken for one below it", () => {
  const serve = { ...command("serve", { exitUsage: 2, outcome: () => 0 }), operands: [] };
  const below = { commands: [serve, ...registry.commands.filter(({ name }) => name !== "serve")] };
  assert.equal(findCommand(below, ["serve", "--flag", "toke"]).command.name, "serve");
  for (const [word, why] of [["toke", "Did you mean serve token?"], ["else", "There is token"]]) {
    assert.throws(() => findCommand(below, ["serve", word!]), (error) => {
      assert.ok(error instanceof UsageError);
      assert.deepEqual([error.message, error.why], [`No command "${word}" below cordon serve`, why]);
      return true;
    });
  }
});
