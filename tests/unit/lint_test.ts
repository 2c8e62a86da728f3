import assert from "node:assert/strict";
import plugin from "../../lint/plugin.ts";

/** The rules that object to `source` as the content of `file`. */
function objections(file: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, file, source).map((found) => found.id.replace("cordon/", ""));
}

interface Case {
  rule: string;
  file: string;
  wrong: string[];
  right?: string[];
  /** Files where the wrong ones are right. */
  home?: string;
}

const CASES: Case[] = [
  {
    rule: "import-table",
    file: "cmd/isolate.ts",
    wrong: [
      'import { libc } from "../ffi/libc.ts";',
      'export { libc } from "../ffi/libc.ts";',
      'export * from "../ffi/libc.ts";',
      'const x = await import("../ffi/libc.ts");',
      'import type { Fact } from "../tests/helpers/need.ts";',
      'import "../main.ts";',
    ],
    right: ['import { a } from "../lib/errors.ts";', 'import "./help.ts";', 'import "commander";'],
    home: "tests/unit/x_test.ts",
  },
  {
    rule: "import-table",
    file: "lib/engine/namespaces/tree.ts",
    wrong: ['import "../../../cmd/isolate.ts";', 'import type { X } from "../../../main.ts";'],
    right: ['import "../../../ffi/libc.ts";', 'import "../../shim/kit.ts";', 'import "node:path";'],
  },
  {
    rule: "import-table",
    file: "ffi/libc.ts",
    wrong: ['import { CordonError } from "../lib/errors.ts";'],
    right: ['import "./errno.ts";'],
  },
  {
    rule: "import-table",
    file: "main.ts",
    wrong: ['import "./ffi/libc.ts";'],
    right: ['import "./cmd/help.ts";'],
  },
  {
    rule: "outgoing-only-in-clients",
    file: "lib/serve/page.ts",
    wrong: ['await fetch("http://x");', 'await globalThis.fetch("http://x");', 'new WebSocket("ws://x");'],
    right: ["app.fetch(request);", "const fetched = 1;"],
    home: "lib/api/client.ts",
  },
  {
    rule: "outgoing-sockets-only-in-clients",
    file: "lib/host/facts.ts",
    wrong: [
      "await Deno.connect({ port: 1 });",
      'await Deno["connect"]({ port: 1 });',
      "const { connect } = Deno;",
      "globalThis.Deno.createHttpClient({});",
    ],
    right: ["other.connect({ port: 1 });", "await Deno.readFile('/x');"],
    home: "lib/docker/connection.ts",
  },
  {
    rule: "incoming-only-in-serve",
    file: "cmd/serve.ts",
    wrong: ["Deno.serve(() => new Response());", "Deno.listen({ port: 1 });"],
    right: ["server.listen(1);"],
    home: "lib/serve/server.ts",
  },
  {
    rule: "network-modules",
    file: "lib/host/facts.ts",
    wrong: ['import net from "node:net";', 'import "node:http";', 'import { request } from "https";'],
    right: ['import path from "node:path";'],
    home: "lib/serve/server.ts",
  },
  {
    rule: "foreign-code-only-in-ffi",
    file: "lib/shim/image.ts",
    wrong: ['Deno.dlopen("libc.so.6", {});', "Deno.UnsafePointer.of(bytes);", "const { dlopen } = Deno;"],
    right: ["libc.dlopen(1);"],
    home: "ffi/libc.ts",
  },
  {
    rule: "numbers-and-code-only-in-ffi",
    file: "lib/shim/image.ts",
    wrong: [
      "const numbers = { close: [3, 57] };",
      'const numbers = { "execve": [59, 221] };',
      "const code = [0x48, 0x31, 0xff, 0x6a, 0x3c, 0x58, 0x0f, 0x05];",
      "Uint8Array.from([0x0f, 0x05, 0x90, 0x90, 72, 49, 0xc0, 0xc3]);",
    ],
    right: [
      "const pipe = { read: 3, write: 4 };",
      "const sizes = [1, 2, 3, 4, 5, 6, 7, 8];",
      "const elf = [0x7f, 0x45, 0x4c, 0x46];",
    ],
    home: "ffi/syscalls.ts",
  },
];

for (const [index, { rule, file, wrong, right = [], home }] of CASES.entries()) {
  Deno.test(`lint ${rule} in ${file} (${index})`, () => {
    for (const source of wrong) assert.deepEqual(objections(file, source), [rule], source);
    for (const source of right) assert.deepEqual(objections(file, source), [], source);
    for (const source of home ? wrong : []) {
      assert.deepEqual(objections(home!, source).filter((id) => id === rule), [], `${home}: ${source}`);
    }
  });
}

Deno.test("lint: every rule has a case", () => {
  const tested = new Set(CASES.map((c) => c.rule));
  assert.deepEqual(Object.keys(plugin.rules).filter((rule) => !tested.has(rule)), []);
});

Deno.test("lint: rules see absolute paths and file URLs of this checkout", () => {
  const url = new URL("../../cmd/x.ts", import.meta.url);
  for (const name of [url.href, url.pathname]) {
    assert.deepEqual(objections(name, 'import "../ffi/libc.ts";'), ["import-table"], name);
  }
});
