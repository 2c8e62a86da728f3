import assert from "node:assert/strict";
import { checkTogether, parseRunLine, readLine, type RunOptions } from "../../../cmd/run.options.ts";
import { OWN_OPTIONS } from "../../../cmd/run.table.ts";
import { DOCKER_FLAGS } from "../../../lib/dockerargs/flags.ts";
import { UsageError } from "../../../lib/errors.ts";

function read(...argv: string[]): RunOptions {
  const result = parseRunLine(argv);
  assert.ok("parsed" in result, `${argv.join(" ")} asks for help`);
  assert.deepEqual(result.parsed.operands, argv);
  const options = readLine(argv);
  checkTogether(options);
  return options;
}

const DEFAULTS = {
  defaults: true,
  config: true,
  check: false,
  script: false,
  bestEffort: false,
  unprivileged: false,
};

Deno.test("cordon's own options have names that docker does not have", () => {
  const docker = new Set(DOCKER_FLAGS.map(({ name }) => name));
  assert.deepEqual(OWN_OPTIONS.filter(({ long }) => docker.has(long)), []);
});

Deno.test("docker's arguments stay as they were typed", () => {
  for (
    const argv of [
      ["img"],
      ["--rm", "-itm", "64m", "img", "sh", "-c", "x"],
      ["-e", "--engine", "img"],
      ["--name=--host", "img"],
      ["img", "--engine", "namespaces"],
      ["--", "img", "--script", "-"],
      ["-h", "name", "img"],
    ]
  ) assert.deepEqual(read(...argv), { ...DEFAULTS, dockerArgs: argv });
});

Deno.test("cordon's own are taken from wherever they stand before the image", () => {
  assert.deepEqual(read("--engine", "namespaces", "--script", "-", "host", "a"), {
    ...DEFAULTS,
    engine: "namespaces",
    script: true,
    dockerArgs: ["host", "a"],
  });
  assert.deepEqual(
    read("--rm", "--host=unix:///x", "-e", "A=1", "--script=-", "--network", "none", "img", "b"),
    {
      ...DEFAULTS,
      host: "unix:///x",
      script: true,
      dockerArgs: ["--rm", "-e", "A=1", "--network", "none", "img", "b"],
    },
  );
  assert.equal(read("--engine=namespaces", "--best-effort", "host").bestEffort, true);
  assert.equal(read("--engine=namespaces", "--engine", "docker", "img").engine, "docker");
  assert.equal(read("--parent", "42", "img").parent, 42);
  assert.equal(read("--unprivileged", "img").unprivileged, true);
});

Deno.test("help is asked for by --help anywhere, and by -h alone", () => {
  assert.deepEqual(parseRunLine(["-h"]), { help: "short" });
  assert.deepEqual(parseRunLine(["--rm", "--help"]), { help: "long" });
  assert.ok("parsed" in parseRunLine(["-e", "--help", "img"]));
  assert.ok("parsed" in parseRunLine(["img", "--help"]));
});

for (
  const argv of [
    ["--engine", "lxc", "img"],
    ["--script", "file.sh", "img"],
    ["--script"],
    ["--parent", "0", "img"],
    ["--no-such-option", "img"],
    ["--engin", "docker", "img"],
    ["--engine", "namespaces", "--host", "unix:///x", "host"],
    ["--best-effort", "--engine", "docker", "img"],
    ["--api", "http://x", "--engine", "docker", "img"],
    ["--api", "http://x", "--host", "unix:///x", "img"],
    ["--api", "http://x", "--best-effort", "img"],
    ["--token-file", "t", "--host", "unix:///x", "img"],
    ["--token-file", "", "img"],
  ]
) {
  Deno.test(`refused: cordon run ${argv.join(" ")}`, () => assert.throws(() => read(...argv), UsageError));
}
