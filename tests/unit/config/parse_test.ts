import assert from "node:assert/strict";
import { ConfigError, parseConfig } from "../../../lib/config/parse.ts";

const PATH = "/work/dockyter.toml";

function read(text: string | Uint8Array) {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  return parseConfig(bytes, { path: PATH, home: "/home/ada" });
}

const at = (line: number, column = 1) => ({ path: PATH, line, column });

Deno.test("parse: the example of Dockyter's README, with the place of every value", () => {
  const { values, problems } = read(`[backend]
mode = "api"                         # "docker" or "api"
api_url = "http://127.0.0.1:8000"    # required for "api"

[docker]
default_args = "-v /tmp:/tmp ubuntu:22.04"

[profiles]
local = "-v /tmp:/tmp ubuntu:22.04"
ml    = "--gpus all -v /data:/data pytorch/pytorch:latest"
`);
  assert.deepEqual(problems, []);
  assert.deepEqual(values, {
    mode: { value: "api", at: at(2) },
    apiUrl: { value: "http://127.0.0.1:8000", at: at(3) },
    defaultArgs: { value: "-v /tmp:/tmp ubuntu:22.04", at: at(6) },
    profiles: new Map([
      ["local", { value: "-v /tmp:/tmp ubuntu:22.04", at: at(9) }],
      ["ml", { value: "--gpus all -v /data:/data pytorch/pytorch:latest", at: at(10) }],
    ]),
  });
});

Deno.test("parse: places in other notations of TOML", () => {
  const dotted = read(`# profiles.x is not here
docker.default_args = """
-v /a:/b \\
host"""
  profiles = { x = "host", "with dot.s" = 'y' }
`).values;
  assert.deepEqual(dotted.defaultArgs, { value: "-v /a:/b host", at: at(2, 8) });
  assert.deepEqual(dotted.profiles.get("x"), { value: "host", at: at(5, 16) });
  assert.deepEqual(dotted.profiles.get("with dot.s"), { value: "y", at: at(5, 29) });
  // Nothing shows where a key with an escape stands.
  assert.deepEqual(read('[profiles]\n"\\u0061" = "host"\n').values.profiles.get("a")?.at, at(0, 0));
});

Deno.test("parse: empty texts count as not set, and a file may be empty", () => {
  const nothing = { values: { profiles: new Map() }, problems: [] };
  assert.deepEqual(read(""), nothing);
  assert.deepEqual(
    read('[backend]\nmode = ""\napi_url = ""\n[docker]\ndefault_args = ""\n[profiles]\nx = ""\n'),
    nothing,
  );
});

Deno.test("parse: a token's file is found from the file that names it, or from home", () => {
  const file = (text: string) => read(`[backend]\ntoken_file = "${text}"`).values.tokenFile?.value;
  assert.deepEqual(["token", "../t", "/etc/t", "~/t"].map(file), [
    "/work/token",
    "/t",
    "/etc/t",
    "/home/ada/t",
  ]);
});

Deno.test("parse: unknown tables and keys are told, with a near one", () => {
  const { problems, values } = read('[backend]\nmod = "api"\n[dokcer]\nx = 1\n[docker]\nx = {}\n');
  assert.deepEqual(problems, [
    { at: at(2), what: "unknown key backend.mod (did you mean mode?)" },
    { at: at(3, 2), what: "unknown table dokcer (did you mean docker?)" },
    { at: at(6), what: "unknown key docker.x (there is default_args)" },
  ]);
  assert.deepEqual(values, { profiles: new Map() });
});

for (
  const { text, line, column, what } of [
    { text: "x = [", line: 1, column: 6, what: /unfinished/ },
    { text: "[backend]\nmode = api\n", line: 2, column: 8, what: /invalid value/ },
    { text: '[backend]\nmode = "a"\nmode = "b"\n', line: 3, column: 1, what: /redefine/ },
    { text: "[backend]\n  mode = 3\n", line: 2, column: 3, what: /backend\.mode has to be a text/ },
    { text: '[backend]\nmode = "Docker"\n', line: 2, column: 1, what: /docker, api or namespaces/ },
    { text: 'docker = "x"\n', line: 1, column: 1, what: /docker has to be a table/ },
    { text: "[[profiles]]\n", line: 1, column: 3, what: /profiles has to be a table/ },
    { text: "[profiles]\na = ['x']\n", line: 2, column: 1, what: /profiles\.a has to be a text/ },
    { text: "[profiles]\na = 1979-05-27\n", line: 2, column: 1, what: /profiles\.a has to be a text/ },
  ]
) {
  Deno.test(`parse: ${JSON.stringify(text)} is refused at line ${line}, column ${column}`, () => {
    assert.throws(() => read(text), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual([error.at.line, error.at.column], [line, column], error.message);
      assert.match(error.what, what);
      assert.ok(error.message.startsWith(`${PATH}: line ${line}, column ${column}: `));
      return true;
    });
  });
}

Deno.test("parse: what is not UTF-8 is refused", () => {
  assert.throws(() => read(new Uint8Array([0x78, 0xff])), /dockyter\.toml: it is not UTF-8/);
});
