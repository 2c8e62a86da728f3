/** The mount grammar: `[flags:]DEST[=SOURCE]`, lists of it, and the JSON form. */
import assert from "node:assert/strict";
import { UsageError } from "../../../lib/errors.ts";
import { parseMount, parseMountJson, parseMountList } from "../../../lib/spec/mounts.ts";
import type { Mount } from "../../../lib/spec/spec.ts";

const context = { cwd: "/w/dir", home: "/home/ann" };

/** A plain bind with changes. */
function mount(dest: string, changes: Partial<Mount> = {}): Mount {
  const { kind = "bind" } = changes;
  const base: Mount = { dest, kind, readOnly: false, devices: false, optional: false };
  if (kind !== "hide" && kind !== "tmp") base.source = dest;
  return { ...base, ...changes };
}

const WORDS: [word: string, mount: Mount][] = [
  // Absolute names stay as typed, relative ones show at their real path.
  ["/a", mount("/a")],
  ["/a/b/", mount("/a/b")],
  ["/", mount("/")],
  ["//a//b", mount("/a/b")],
  ["/a/./b", mount("/a/b")],
  ["a", mount("/w/dir/a", { atRealPath: true })],
  ["a/b", mount("/w/dir/a/b", { atRealPath: true })],
  [".", mount("/w/dir", { atRealPath: true })],
  ["..", mount("/w", { source: "/w/dir/..", atRealPath: true })],
  ["../x", mount("/w/x", { source: "/w/dir/../x", atRealPath: true })],
  ["~", mount("/home/ann")],
  ["~/c", mount("/home/ann/c")],
  ["~ben", mount("/w/dir/~ben", { atRealPath: true })],
  ["a~", mount("/w/dir/a~", { atRealPath: true })],
  // Where it leads behind a symlink only the kernel knows: `..` stays in sources.
  ["/a/../b", mount("/b", { source: "/a/../b" })],
  ["/../../a", mount("/a", { source: "/../../a" })],
  // Sources.
  ["/d=/s", mount("/d", { source: "/s" })],
  ["/d=s", mount("/d", { source: "/w/dir/s" })],
  ["/d=~/s", mount("/d", { source: "/home/ann/s" })],
  ["/d=~", mount("/d", { source: "/home/ann" })],
  ["d=/s", mount("/w/dir/d", { source: "/s" })],
  ["~/d=/s", mount("/home/ann/d", { source: "/s" })],
  ["/d=/s=t", mount("/d", { source: "/s=t" })],
  ["/d=/s:t", mount("/d", { source: "/s:t" })],
  ["/d=a:b", mount("/d", { source: "/w/dir/a:b" })],
  // Flags.
  ["ro:/a", mount("/a", { readOnly: true })],
  ["rw:/a", mount("/a")],
  ["bind:/a", mount("/a")],
  ["rbind:/a", mount("/a")],
  ["move:/a", mount("/a")],
  ["ro,rbind:/a", mount("/a", { readOnly: true })],
  ["rbind,ro:/a", mount("/a", { readOnly: true })],
  ["ro,ro:/a", mount("/a", { readOnly: true })],
  ["ro:a", mount("/w/dir/a", { readOnly: true, atRealPath: true })],
  ["ro:.", mount("/w/dir", { readOnly: true, atRealPath: true })],
  ["ro:~", mount("/home/ann", { readOnly: true })],
  ["ro:/d=/s", mount("/d", { source: "/s", readOnly: true })],
  ["ro:/d=/s:t", mount("/d", { source: "/s:t", readOnly: true })],
  ["ro:/a:b", mount("/a:b", { readOnly: true })],
  ["dev:/a", mount("/a", { devices: true })],
  ["try:/a", mount("/a", { optional: true })],
  ["try,dev,ro:/a", mount("/a", { optional: true, devices: true, readOnly: true })],
  ["copy:/a", mount("/a", { kind: "copy" })],
  ["ro,copy:/d=/s", mount("/d", { kind: "copy", source: "/s", readOnly: true })],
  ["overlay:/a", mount("/a", { kind: "overlay" })],
  ["overlay:/d=/s", mount("/d", { kind: "overlay", source: "/s" })],
  ["tmp:/a", mount("/a", { kind: "tmp" })],
  ["tmp,ro:/a", mount("/a", { kind: "tmp", readOnly: true })],
  ["tmp:a", mount("/w/dir/a", { kind: "tmp" })],
  // Hiding is read-only.
  ["/a=none", mount("/a", { kind: "hide", readOnly: true })],
  ["ro:/a=none", mount("/a", { kind: "hide", readOnly: true })],
  ["try:/a=none", mount("/a", { kind: "hide", readOnly: true, optional: true })],
  ["a=none", mount("/w/dir/a", { kind: "hide", readOnly: true })],
  ["/a=./none", mount("/a", { source: "/w/dir/none" })],
  ["none", mount("/w/dir/none", { atRealPath: true })],
  // Bytes that are not UTF-8.
  ["/a\udcff", mount("/a\udcff")],
];

for (const [word, expected] of WORDS) {
  Deno.test(`${JSON.stringify(word)} is what it says`, () =>
    assert.deepEqual(parseMount(word, context), expected));
}

const REFUSED: [word: string, message: RegExp][] = [
  ["", /has no destination$/],
  ["ro:", /^Mount "ro:" has no destination$/],
  ["=/s", /has no destination$/],
  ["ro:=/s", /has no destination$/],
  ["/d=", /^Mount "\/d=" has an empty source$/],
  [":/a", /has an unknown flag ""$/],
  ["ro,:/a", /has an unknown flag ""$/],
  ["r0:/a", /^Mount "r0:\/a" has an unknown flag "r0"$/],
  ["RO:/a", /has an unknown flag "RO"$/],
  ["/a:b", /has an unknown flag "\/a"$/],
  ["/s:/d", /has an unknown flag "\/s"$/],
  ["ro rw:/a", /has an unknown flag "ro rw"$/],
  ["ro,rw:/a", /is both ro and rw$/],
  ["copy,overlay:/a", /is both copy and overlay$/],
  ["tmp,copy:/a", /is both tmp and copy$/],
  ["ro,overlay:/a", /is both overlay and ro$/],
  ["tmp:/a=/s", /is an empty tmpfs and has a source$/],
  ["copy:/a=none", /hides and is copy at once$/],
  ["tmp:/a=none", /hides and is tmp at once$/],
  ["overlay:/a=none", /hides and is overlay at once$/],
  ["/a\0b", /holds a NUL byte$/],
  ["/a=/s\0", /holds a NUL byte$/],
];

for (const [word, message] of REFUSED) {
  Deno.test(`${JSON.stringify(word)} is refused`, () => {
    assert.throws(() => parseMount(word, context), (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("an unknown flag names those there are, and the form for names with colons", () => {
  assert.throws(() => parseMount("x:/a", context), (error: UsageError) => {
    assert.equal(
      error.why,
      'known flags: ro rw rbind bind move dev tmp copy overlay try; a name that holds ":" needs the JSON form',
    );
    assert.match(error.hint!, /^--mount '\{/);
    // The form in the hint is one that is understood.
    const json = error.hint!.slice("--mount '".length, -1).replace('"dest":"…"', '"dest":"/d"').replace(
      "…",
      "/s",
    );
    assert.deepEqual(parseMountJson(json, context), mount("/d", { source: "/s", readOnly: true }));
    return true;
  });
});

Deno.test("a list is words between any white space, in their order", () => {
  const expected = [
    mount("/a"),
    mount("/b", { readOnly: true }),
    mount("/c", { kind: "hide", readOnly: true }),
  ];
  for (const list of ["/a ro:/b /c=none", "  /a\tro:/b\n\n/c=none ", "/a\r\nro:/b /c=none"]) {
    assert.deepEqual(parseMountList(list, context), expected);
  }
  assert.deepEqual(parseMountList("/a /a", context), [mount("/a"), mount("/a")]);
});

Deno.test("an empty list is an error, and so is a list with one bad word", () => {
  for (const list of ["", " ", "\n\t"]) {
    assert.throws(() => parseMountList(list, context), (e: UsageError) => /is empty$/.test(e.message));
  }
  assert.throws(() => parseMountList("/a zz:/b", context), /Mount "zz:\/b" has an unknown flag "zz"/);
});

Deno.test("2,000 mounts are parsed", () => {
  const list = Array.from({ length: 2000 }, (_, i) => `/d${i}=/s${i}`).join(" ");
  const mounts = parseMountList(list, context);
  assert.equal(mounts.length, 2000);
  assert.deepEqual(mounts[1999], mount("/d1999", { source: "/s1999" }));
});

// ------------------------------------------------------------------------------------------------ JSON

const json = (value: unknown) =>
  parseMountJson(typeof value === "string" ? value : JSON.stringify(value), context);

Deno.test("the JSON form says the same as the short one, for every word without a colon in its names", () => {
  for (const [word, expected] of WORDS) {
    const [, flags, dest, source] = /^(?:([a-z,]+):)?([^=]+?)(?:=(.*))?$/s.exec(word)!;
    const value = {
      dest,
      ...(source !== undefined && { source }),
      ...(flags && { flags: flags.split(",") }),
    };
    assert.deepEqual(json(value), expected, word);
  }
});

Deno.test("names of the JSON form hold anything but NUL", () => {
  const odd = "/a b:c=d,e\n'\"\\\udcff";
  assert.deepEqual(json({ dest: odd }), mount(odd));
  assert.deepEqual(json({ dest: "/d", source: odd }), mount("/d", { source: odd }));
  assert.deepEqual(json({ dest: "x:y" }), mount("/w/dir/x:y", { atRealPath: true }));
  assert.throws(() => json({ dest: "/a\0" }), /holds a NUL byte/);
});

const JSON_REFUSED: [text: string, message: RegExp][] = [
  ["", /is not JSON$/],
  ["{", /^Mount \{ is not JSON$/],
  ["/a", /is not JSON$/],
  ["null", /is not a JSON object$/],
  ["[]", /is not a JSON object$/],
  ['"/a"', /is not a JSON object$/],
  ["3", /is not a JSON object$/],
  ["{}", /has no "dest"$/],
  ['{"dest":3}', /has no "dest"$/],
  ['{"dest":null}', /has no "dest"$/],
  ['{"dest":""}', /has no destination$/],
  ['{"dest":"/a","source":3}', /has a "source" that is not a string$/],
  ['{"dest":"/a","source":null}', /has a "source" that is not a string$/],
  ['{"dest":"/a","source":""}', /has an empty source$/],
  ['{"dest":"/a","flags":"ro"}', /has "flags" that are not a list$/],
  ['{"dest":"/a","flags":["zz"]}', /has an unknown flag "zz"$/],
  ['{"dest":"/a","flags":[3]}', /has an unknown flag "3"$/],
  ['{"dest":"/a","flags":["ro","rw"]}', /is both ro and rw$/],
  ['{"dest":"/a","readOnly":true}', /has an unknown field "readOnly"$/],
  ['{"dest":"/a","__proto__":{}}', /has an unknown field "__proto__"$/],
];

for (const [text, message] of JSON_REFUSED) {
  Deno.test(`JSON ${JSON.stringify(text)} is refused`, () => {
    assert.throws(() => json(text), (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      return true;
    });
  });
}
