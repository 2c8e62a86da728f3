import assert from "node:assert/strict";
import type { CommandTable } from "../../../lib/cli/command.ts";
import { parseCommand } from "../../../lib/cli/parse.ts";
import { UsageError } from "../../../lib/errors.ts";

const TABLE: CommandTable = {
  name: "try",
  summary: "Try",
  usage: [""],
  examples: [],
  options: [
    { long: "list", short: "l", value: "LIST", repeat: true, description: "List" },
    { long: "size", value: "SIZE", description: "Size" },
    { long: "verbose", short: "v", description: "Verbose" },
    { long: "quick", short: "q", negatable: true, description: "Quick" },
    { long: "old", hidden: true, description: "Old" },
  ],
  operands: [{ name: "PROG", description: "Program" }, {
    name: "ARG",
    description: "Arguments",
    variadic: true,
  }],
  passThrough: true,
  exitUsage: 125,
};

function parse(argv: string[], table: Partial<CommandTable> = {}) {
  const result = parseCommand({ ...TABLE, ...table }, argv);
  assert.ok("parsed" in result);
  return result.parsed;
}

for (const argv of [["-l", "a b"], ["-la b"], ["-l=a b"], ["--list", "a b"], ["--list=a b"], ["-vla b"]]) {
  Deno.test(`the value is the same in ${JSON.stringify(argv)}`, () => {
    assert.deepEqual(parse(argv).all("list"), ["a b"]);
  });
}

Deno.test("only the first equals sign of a long option parts name and value", () => {
  assert.equal(parse(["--size=A=b"]).one("size"), "A=b");
  assert.equal(parse(["--size==b"]).one("size"), "=b");
  assert.equal(parse(["--size="]).one("size"), "");
});

Deno.test("repeated options keep their order, also among each other", () => {
  const parsed = parse(["-l", "1", "--size", "x", "--list=2"]);
  assert.deepEqual(parsed.all("list"), ["1", "2"]);
  assert.deepEqual(parsed.given.map(({ name }) => name), ["list", "size", "list"]);
  assert.equal(parse(["--size", "1", "--size", "2"]).one("size"), "2");
});

Deno.test("the last of a flag and its negation counts", () => {
  assert.equal(parse(["--quick"]).flag("quick"), true);
  assert.equal(parse(["-q", "--no-quick"]).flag("quick", true), false);
  assert.equal(parse(["--no-quick", "--quick"]).flag("quick"), true);
  assert.equal(parse([]).flag("quick", true), true);
});

Deno.test("options end at the first operand or at --", () => {
  assert.deepEqual(parse(["-v", "prog", "-v", "--", "--bogus", "-h"]).operands, [
    "prog",
    "-v",
    "--",
    "--bogus",
    "-h",
  ]);
  assert.deepEqual(parse(["--", "-x", "--"]).operands, ["-x", "--"]);
  assert.deepEqual(parse(["--", "-5"]).operands, ["-5"]);
  assert.deepEqual(parse(["--"]).operands, []);
  assert.deepEqual(parse([""]).operands, [""]);
  assert.deepEqual(parse(["-"]).operands, ["-"]);
});

Deno.test("an option's value may look like an option", () => {
  assert.equal(parse(["--size", "-v"]).one("size"), "-v");
  assert.equal(parse(["--size", "-1"]).one("size"), "-1");
});

Deno.test("a command that does not pass through takes options after operands", () => {
  const parsed = parse(["one", "-v"], { passThrough: false });
  assert.deepEqual(parsed.operands, ["one"]);
  assert.equal(parsed.flag("verbose"), true);
});

Deno.test("help is found among options, before a later mistake, and not after the program", () => {
  assert.deepEqual(parseCommand(TABLE, ["-h"]), { help: "short" });
  assert.deepEqual(parseCommand(TABLE, ["-vh"]), { help: "short" });
  assert.deepEqual(parseCommand(TABLE, ["-v", "--help"]), { help: "long" });
  assert.deepEqual(parseCommand(TABLE, ["--help", "--bogus"]), { help: "long" });
  assert.ok("parsed" in parseCommand(TABLE, ["prog", "--help"]));
});

const REFUSED: { argv: string[]; message: RegExp; why?: RegExp }[] = [
  { argv: ["--verbos"], message: /Unknown option "--verbos"/, why: /--verbose/ },
  { argv: ["--no-qick"], message: /Unknown option "--no-qick"/, why: /--no-quick/ },
  { argv: ["--verbos=x"], message: /Unknown option "--verbos"/, why: /--verbose/ },
  { argv: ["-x", "prog"], message: /Unknown option "-x"/ },
  { argv: ["-5", "prog"], message: /Unknown option "-5"/ },
  { argv: ["--verb"], message: /Unknown option "--verb"/ },
  { argv: ["--size"], message: /Option --size needs a value/, why: /SIZE: Size/ },
  { argv: ["-vl"], message: /Option -vl needs a value/, why: /LIST: List/ },
  { argv: ["--verbose=1"], message: /--verbose takes no value/ },
];
for (const { argv, message, why } of REFUSED) {
  Deno.test(`refused: ${argv.join(" ")}`, () => {
    assert.throws(() => parseCommand(TABLE, argv), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      if (why) assert.match(error.why ?? "", why);
      return true;
    });
  });
}

Deno.test("a hidden option is accepted and never suggested", () => {
  assert.equal(parse(["--old"]).flag("old"), true);
  assert.throws(() => parseCommand(TABLE, ["--olt"]), (error) => {
    assert.ok(error instanceof UsageError);
    assert.equal(error.why, undefined);
    return true;
  });
});

Deno.test("missing and surplus operands are refused", () => {
  const operands = [{ name: "SHELL", description: "A shell", required: true }];
  const table = { operands, passThrough: false };
  assert.throws(() => parse([], table), { name: "UsageError", message: "cordon try needs SHELL" });
  assert.throws(() => parse(["a", "b"], table), { name: "UsageError", message: /argument "b"/ });
});

Deno.test("reading an option the table does not have is a fault, not an absence", () => {
  assert.throws(() => parse([]).flag("verbos"), TypeError);
  assert.throws(() => parse([]).one("verbose"), TypeError);
});
