import assert from "node:assert/strict";
import * as values from "../../../lib/cli/values.ts";
import { UsageError } from "../../../lib/errors.ts";

type Parser = (option: string, text: string) => unknown;

/** Name, parser, what is taken for what, and what is refused. */
const CASES: [string, Parser, [string, unknown][], string[]][] = [
  [
    "size",
    values.parseSize,
    [
      ["0", 0],
      ["1", 1],
      ["4096b", 4096],
      ["64K", 65536],
      ["64M", 64 * 2 ** 20],
      ["64m", 64 * 2 ** 20],
      ["64MB", 64 * 2 ** 20],
      ["64MiB", 64 * 2 ** 20],
      ["1.5G", 1.5 * 2 ** 30],
      ["0.0001K", 0],
      ["2T", 2 ** 41],
      ["9007199254740993", 2 ** 53],
      ["9223372036854775807", 2 ** 63 - 1024],
      ["0000000000000000000000001", 1],
    ],
    [
      "",
      " ",
      "-1",
      "+1",
      "M",
      "64 M",
      "64Q",
      "64iB",
      "1.5",
      ".5M",
      "1e3",
      "0x10",
      "1M ",
      "9223372036854775808",
      "8388608T",
      "9".repeat(400),
      "NaN",
      "Infinity",
      "1M\n",
      "50%",
    ],
  ],
  [
    "duration",
    values.parseDuration,
    [["10", 10], ["1.5", 1.5], ["500ms", 0.5], ["2m", 120], ["1h", 3600], ["1d", 86400], [
      "9223372036",
      9223372036,
    ]],
    ["", "0", "0.0", "-1", "1.", ".5", "2 m", "1w", "1e3", "9223372037", "inf", "9".repeat(400), "1h30m"],
  ],
  [
    "count",
    values.parseCount,
    [["1", 1], ["007", 7], ["2147483647", 2147483647]],
    ["", "0", "-1", "1.0", "1k", "2147483648", "9223372036854775808", "x", "１"],
  ],
  [
    "cpus",
    values.parseCpus,
    [["0.5", 0.5], [".5", 0.5], ["2", 2], ["0.01", 0.01], ["8192", 8192]],
    ["", "0", "0.001", "-1", "1,5", "1.", "8193", "1e1", "NaN"],
  ],
  [
    "descriptor or file",
    values.parseFdOrFile,
    [
      ["fd:3", { fd: 3 }],
      ["fd:0", { fd: 0 }],
      ["out.json", { path: "out.json" }],
      ["./fd:3", { path: "./fd:3" }],
      ["-", { path: "-" }],
      ["/dev/shm/out", { path: "/dev/shm/out" }],
    ],
    ["", "/dev/null", "//dev//stdout", "fd:", "fd:x", "fd:-1", "fd:1073741824", "fd:99999999999", "a\0b"],
  ],
  ["descriptor", values.parseFd, [["3", 3], ["1073741823", 1073741823]], [
    "",
    "0",
    "2",
    "-3",
    "x",
    "1073741824",
  ]],
  [
    "variable",
    values.parseEnv,
    [
      ["A", { name: "A" }],
      ["A=", { name: "A", value: "" }],
      ["A=b=c", { name: "A", value: "b=c" }],
      ["A=line\nline", { name: "A", value: "line\nline" }],
    ],
    ["", "=", "=b", "A=\0"],
  ],
  ["pattern", values.parseEnvPattern, [["SLURM_*", "SLURM_*"], ["*", "*"]], ["", "A=b"]],
  ["path", values.parsePath, [[" ", " "], ["a b", "a b"]], ["", "a\0"]],
  [
    "hostname",
    values.parseHostname,
    [["box", "box"], ["a.b-c_1", "a.b-c_1"], ["h".repeat(64), "h".repeat(64)]],
    ["", "-a", "a b", "a/b", "h".repeat(65), "ü", "a\n"],
  ],
  [
    "address",
    values.parseHostPort,
    [["example.org:443", "example.org:443"], ["10.1.2.3:1", "10.1.2.3:1"], ["[::1]:65535", "[::1]:65535"]],
    [
      "",
      "example.org",
      "example.org:",
      ":80",
      "a:0",
      "a:65536",
      "::1:80",
      "[::1]",
      "a b:80",
      "a:80:90",
      "-a:80",
    ],
  ],
  [
    "choice",
    (option, text) => values.parseChoice(option, text, ["none", "host", "auto"]),
    [["host", "host"]],
    ["", "Host", "hos"],
  ],
];

for (const [name, parse, taken, refused] of CASES) {
  for (const [text, value] of taken) {
    Deno.test(`${name}: ${JSON.stringify(text)}`, () => assert.deepEqual(parse("--opt", text), value));
  }
  for (const text of refused) {
    const label = text.length > 30 ? `${text.length} characters` : JSON.stringify(text);
    Deno.test(`${name}: refuses ${label}, naming option, value and what is wanted`, () => {
      assert.throws(() => parse("--opt", text), (error) => {
        assert.ok(error instanceof UsageError);
        assert.ok(
          error.message.includes("--opt") && error.message.includes(JSON.stringify(text)),
          error.message,
        );
        assert.match(error.why ?? "", /^Wanted .+[^.]$/);
        return true;
      });
    });
  }
}

Deno.test("bounds hold at both ends", () => {
  assert.equal(values.parseSize("-x", "1", { least: 1, most: 2 }), 1);
  assert.throws(() => values.parseSize("-x", "0", { least: 1 }), UsageError);
  assert.throws(() => values.parseSize("-x", "3", { most: 2 }), UsageError);
  assert.equal(values.parseCount("-x", "0", { least: 0 }), 0);
  assert.throws(() => values.parseCount("-x", "5", { most: 4 }), UsageError);
});

Deno.test("a choice lists what there is", () => {
  assert.throws(() => values.parseChoice("--network", "lan", ["none", "host", "auto"]), {
    why: "Wanted none, host or auto",
  });
});
