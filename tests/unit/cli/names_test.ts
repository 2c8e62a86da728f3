import assert from "node:assert/strict";
import { invokedAs } from "../../../lib/cli/invoked.ts";
import { makeStyle, wantsColor } from "../../../lib/cli/style.ts";
import { editDistance, nearest } from "../../../lib/cli/suggest.ts";

const legacy = ["isolate.sh", "portwrap"];

const NAMES: { argv0: string; name: string }[] = [
  { argv0: "/usr/bin/cordon", name: "cordon" },
  { argv0: "cordon", name: "cordon" },
  { argv0: "./isolate.sh", name: "isolate.sh" },
  { argv0: "isolate.sh", name: "isolate.sh" },
  { argv0: "/isolate.sh/other", name: "cordon" },
  { argv0: "", name: "cordon" },
  { argv0: "my-cordon", name: "cordon" },
];
for (const { argv0, name } of NAMES) {
  Deno.test(`argv[0] ${JSON.stringify(argv0)}: acts as ${name}`, () => {
    assert.equal(invokedAs(argv0, legacy), name);
  });
}

Deno.test("edit distance counts letters wrong, missing, added and swapped", () => {
  assert.equal(editDistance("abc", "abc"), 0);
  assert.equal(editDistance("abc", "axc"), 1);
  assert.equal(editDistance("abc", "ac"), 1);
  assert.equal(editDistance("abc", "abxc"), 1);
  assert.equal(editDistance("abc", "acb"), 1);
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("kitten", "sitting"), 3);
});

Deno.test("a near word is suggested, a far one is not", () => {
  const known = ["isolate", "kernel", "help", "--memory", "--mnt"];
  assert.equal(nearest("isloate", known), "isolate");
  assert.equal(nearest("kernal", known), "kernel");
  assert.equal(nearest("--memroy", known), "--memory");
  assert.equal(nearest("hepl", known), "help");
  assert.equal(nearest("docker", known), undefined);
  assert.equal(nearest("x", known), undefined);
  assert.equal(nearest("", known), undefined);
});

Deno.test("colour: on a terminal only, and never against the reader's wish", () => {
  const plain = { env: {}, noColor: false };
  assert.equal(wantsColor(true, plain), true);
  assert.equal(wantsColor(false, plain), false);
  assert.equal(wantsColor(true, { ...plain, noColor: true }), false);
  assert.equal(wantsColor(true, { ...plain, env: { NO_COLOR: "1" } }), false);
  assert.equal(wantsColor(true, { ...plain, env: { NO_COLOR: "" } }), true);
  assert.equal(wantsColor(true, { ...plain, env: { TERM: "dumb" } }), false);
  assert.equal(makeStyle(true).bold("x"), "\x1b[1mx\x1b[22m");
  assert.equal(makeStyle(false).bold("x"), "x");
});
