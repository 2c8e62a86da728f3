import assert from "node:assert/strict";
import { type Backend, chooseBackend, completeLine } from "../../../cmd/run-backend.ts";
import { readLine, type RunOptions } from "../../../cmd/run.options.ts";
import { type Config, loadConfig } from "../../../lib/config/config.ts";
import { CordonError, UsageError } from "../../../lib/errors.ts";

function configOf(text: string): Config {
  return loadConfig(
    { env: {}, home: "/h", cwd: "/w" },
    ({ path }) => path === "/w/cordon.toml" ? { bytes: new TextEncoder().encode(text) } : { absent: true },
  );
}

const LINES = configOf(`[docker]
default_args = "-e D=1 --network none debian sleep 1"
[profiles]
ml = "--gpus all -v '/my data:/data' torch:1"
flags = "-e F=1"
here = "--engine namespaces host"
away = "--api http://h"
broken = "-e 'x"
unknown = "--nonsense img"
nested = "--profile ml"
`);

function complete(...line: string[]): RunOptions {
  return completeLine({ ...readLine(line), line }, LINES);
}

const argsOf = (...line: string[]) => complete(...line).dockerArgs;

Deno.test("defaults: their flags stand before those typed, their image counts where none is typed", () => {
  assert.deepEqual(argsOf(), ["-e", "D=1", "--network", "none", "--", "debian", "sleep", "1"]);
  assert.deepEqual(argsOf("--rm", "img", "ls", "-l"), [
    ...["-e", "D=1", "--network", "none", "--rm", "--", "img", "ls", "-l"],
  ]);
  assert.deepEqual(argsOf("--no-defaults", "img"), ["img"]);
  assert.deepEqual(argsOf("--", "img"), ["-e", "D=1", "--network", "none", "--", "img"]);
});

Deno.test("defaults: a network typed takes the place of the configured one", () => {
  assert.deepEqual(argsOf("--net=host", "img"), ["-e", "D=1", "--net=host", "--", "img"]);
});

Deno.test("profile: instead of the defaults; behind one with an image comes the command", () => {
  const ml = ["--gpus", "all", "-v", "/my data:/data"];
  assert.deepEqual(argsOf("--profile", "ml", "--rm", "python", "-c", "1"), [
    ...[...ml, "--rm", "--", "torch:1", "python", "-c", "1"],
  ]);
  assert.deepEqual(argsOf("--profile=ml"), [...ml, "--", "torch:1"]);
  assert.deepEqual(argsOf("--profile", "flags", "img", "ls"), ["-e", "F=1", "--", "img", "ls"]);
});

Deno.test("profile: one that does not exist is told with those that do", () => {
  assert.throws(() => complete("--profile", "mll"), (error) => {
    assert.ok(error instanceof UsageError);
    assert.match(error.why ?? "", /ml, .*did you mean ml\?/);
    return true;
  });
});

Deno.test("profile: one that is no line of cordon run is told with its place", () => {
  for (
    const [name, line, what] of [
      ["broken", 8, /a quote is not closed/],
      ["unknown", 9, /--nonsense/],
      ["nested", 10, /--profile/],
    ] as const
  ) {
    assert.throws(() => complete("--profile", name), (error) => {
      assert.ok(error instanceof CordonError);
      assert.match(error.message, new RegExp(`^/w/cordon.toml: line ${line}, column 1: profile ${name}: `));
      assert.match(error.message, what);
      return true;
    });
  }
});

Deno.test("profile: cordon's own options may stand in one, and give way to those typed", () => {
  assert.equal(complete("--profile", "here", "ls").engine, "namespaces");
  assert.equal(complete("--profile", "here", "--engine", "docker").engine, "docker");
  const { engine, api } = complete("--profile", "here", "--api", "http://x", "ls");
  assert.deepEqual([engine, api], [undefined, "http://x"]);
  assert.equal(complete("--profile", "away", "--host", "unix:///x", "img").api, undefined);
});

const API = configOf(`[backend]
mode = "api"
api_url = "http://configured"
token_file = "/t"
`);

const CHOICES: { line: string[]; env?: Record<string, string>; config?: Config; backend: Backend }[] = [
  { line: ["img"], backend: { kind: "docker" } },
  { line: ["--engine", "namespaces", "host"], config: API, backend: { kind: "namespaces" } },
  { line: ["--host", "unix:///x", "img"], config: API, backend: { kind: "docker" } },
  { line: ["img"], config: configOf('[backend]\nmode = "namespaces"'), backend: { kind: "namespaces" } },
  {
    line: ["img"],
    config: API,
    backend: {
      kind: "api",
      url: "http://configured",
      from: "/w/cordon.toml: line 3, column 1",
      tokenFile: "/t",
    },
  },
  {
    line: ["--token-file", "other", "img"],
    config: API,
    backend: {
      kind: "api",
      url: "http://configured",
      from: "/w/cordon.toml: line 3, column 1",
      tokenFile: "other",
    },
  },
  // A configured token is not for another address.
  {
    line: ["--api", "http://typed", "img"],
    env: { CORDON_API: "http://env" },
    config: API,
    backend: { kind: "api", url: "http://typed", from: "--api" },
  },
  {
    line: ["img"],
    env: { CORDON_API: "http://env" },
    config: API,
    backend: { kind: "api", url: "http://env", from: "CORDON_API" },
  },
  { line: ["img"], env: { CORDON_API: "" }, backend: { kind: "docker" } },
  { line: ["--engine=docker", "img"], env: { CORDON_API: "http://env" }, backend: { kind: "docker" } },
];
for (const { line, env = {}, config = configOf(""), backend } of CHOICES) {
  const where = [...Object.keys(env), ...(config === API ? ["a configured API"] : [])].join(" and ");
  Deno.test(`backend: ${line.join(" ")}${where && ` with ${where}`} goes to ${backend.kind}`, () => {
    assert.deepEqual(chooseBackend(readLine(line), { config, env }), backend);
  });
}

Deno.test("backend: a token without an API, an API without an address, a wish no engine can hear", () => {
  const none = configOf("");
  const choose = (line: string[], config: Config) => chooseBackend(readLine(line), { config, env: {} });
  assert.throws(() => choose(["--token-file", "t", "img"], none), UsageError);
  assert.throws(() => choose(["--best-effort", "img"], none), UsageError);
  assert.throws(() => choose(["img"], configOf('[backend]\nmode = "api"')), /line 2.*api_url is not set/);
});
