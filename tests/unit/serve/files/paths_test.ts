import assert from "node:assert/strict";
import { clash, fits, pathFault } from "../../../../lib/serve/files/paths.ts";

Deno.test("a path has one spelling and stays below", () => {
  for (const path of ["a", "a/b.txt", "...", "..a/b", "-rf", "è/ü", "a b", "x".repeat(255)]) {
    assert.equal(pathFault(path), undefined, path);
  }
  for (
    const path of [
      "",
      "/",
      "/a",
      "a/",
      "a//b",
      ".",
      "..",
      "../a",
      "a/../b",
      "a/./b",
      "a\0",
      "\udfff",
      "é".repeat(128),
    ]
  ) {
    assert.notEqual(pathFault(path), undefined, JSON.stringify(path));
  }
  assert.equal(pathFault("d/".repeat(31) + "f"), undefined);
  assert.notEqual(pathFault("d/".repeat(32) + "f"), undefined);
});

Deno.test("a file is there once, and is no directory of another", () => {
  assert.equal(clash(["a", "b/a", "b/c", "ab"]), undefined);
  assert.equal(clash(["a", "b", "a"]), "a");
  assert.equal(clash(["a/b/c", "a"]), "a/b/c");
  assert.equal(clash(["a", "a/b/c"]), "a/b/c");
});

Deno.test("patterns stand for parts of one name", () => {
  for (
    const [name, pattern] of [
      ["a.png", "*.png"],
      ["a.png", "?.png"],
      ["a.png", "a.png"],
      ["", "*"],
      [".a", ".*"],
      ["abcabc", "a*c"],
      ["a*b", "a*b"],
      ["[a]", "[a]"],
    ] as const
  ) assert.ok(fits(name, pattern), `${name} ${pattern}`);
  for (const [name, pattern] of [[".a", "*"], [".a", "?a"], ["ab", "?"], ["a.pn", "*.png"], ["b", "[a-c]"]]) {
    assert.ok(!fits(name!, pattern!), `${name} ${pattern}`);
  }
  // A regular expression made of this would not come to an end.
  assert.ok(!fits("a".repeat(255), "*a".repeat(120) + "b"));
});
