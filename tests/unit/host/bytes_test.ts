/** Strings of the system: every run of bytes survives the way through JavaScript and back. */
import assert from "node:assert/strict";
import { cString, decodeOs, encodeOs } from "../../../lib/host/bytes.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);
const utf8 = new TextEncoder();

Deno.test("what is UTF-8 is read as it is, byte order mark included", () => {
  for (const text of ["", "plain", "é€🦕", "\ufeffmark", "nul\0inside", "\uffff\u{10ffff}"]) {
    assert.equal(decodeOs(utf8.encode(text)), text);
    assert.deepEqual(encodeOs(text), utf8.encode(text));
  }
});

Deno.test("a byte that is not part of UTF-8 stands as the lone surrogate U+DC00 + byte", () => {
  const cases: [Uint8Array, string][] = [
    [bytes(0xff), "\udcff"],
    [bytes(0x80), "\udc80"],
    [bytes(0x61, 0xff, 0x62), "a\udcffb"],
    [bytes(0xc3), "\udcc3"], // the first half of é
    [bytes(0xc3, 0xa9, 0xc3), "é\udcc3"],
    [bytes(0xc3, 0x28), "\udcc3("],
    [bytes(0xe2, 0x82), "\udce2\udc82"], // two thirds of €
    [bytes(0xf0, 0x9f, 0xa6), "\udcf0\udc9f\udca6"],
    [bytes(0xc0, 0xaf), "\udcc0\udcaf"], // overlong
    [bytes(0xe0, 0x80, 0xaf), "\udce0\udc80\udcaf"],
    [bytes(0xed, 0xb3, 0xbf), "\udced\udcb3\udcbf"], // a surrogate, encoded
    [bytes(0xf4, 0x90, 0x80, 0x80), "\udcf4\udc90\udc80\udc80"], // beyond U+10FFFF
    [bytes(0xf5, 0xf8, 0xfe), "\udcf5\udcf8\udcfe"],
    [bytes(0xff, 0xf0, 0x9f, 0xa6, 0x95), "\udcff🦕"],
    [bytes(0xe2, 0x82, 0xac, 0xff), "€\udcff"],
    [bytes(0xef, 0xbb, 0xbf, 0xff), "\ufeff\udcff"],
  ];
  for (const [raw, text] of cases) {
    assert.equal(decodeOs(raw), text);
    assert.deepEqual(encodeOs(text), raw);
  }
});

Deno.test("every byte, every pair, and random runs come back as they were", () => {
  for (let a = 0; a < 256; a++) {
    assert.deepEqual(encodeOs(decodeOs(bytes(a))), bytes(a));
    for (let b = 0; b < 256; b++) {
      const back = encodeOs(decodeOs(bytes(a, b)));
      if (back.length !== 2 || back[0] !== a || back[1] !== b) assert.fail(`${a} ${b} came back as ${back}`);
    }
  }
  let x = 7;
  for (let turn = 0; turn < 3000; turn++) {
    const run = Uint8Array.from({ length: turn % 40 }, () => {
      x ^= x << 13, x ^= x >>> 17, x ^= x << 5;
      // Mostly what begins or continues a character.
      return (x >>> 8) % 3 ? 0x80 | x & 0x7f : x & 0xff;
    });
    assert.deepEqual(encodeOs(decodeOs(run)), run);
  }
});

Deno.test("an escaped byte beside a character above U+FFFF is still that byte", () => {
  assert.deepEqual(encodeOs("🦕\udcff🦕"), bytes(0xf0, 0x9f, 0xa6, 0x95, 0xff, 0xf0, 0x9f, 0xa6, 0x95));
});

Deno.test("a lone surrogate that stands for no byte becomes U+FFFD, as everywhere", () => {
  for (const text of ["\ud800", "\udc00", "\udc7f", "\udd00", "\udfff"]) {
    assert.deepEqual(encodeOs(text), bytes(0xef, 0xbf, 0xbd));
  }
});

Deno.test("long strings that are not UTF-8 are no matter", () => {
  const raw = new Uint8Array(300_000).fill(0xff);
  raw.set(utf8.encode("é"), 1000);
  assert.deepEqual(encodeOs(decodeOs(raw)), raw);
});

Deno.test("a C string is the bytes and a NUL", () => {
  assert.deepEqual(cString(""), bytes(0));
  assert.deepEqual(cString("a\udcffé"), bytes(0x61, 0xff, 0xc3, 0xa9, 0));
});
