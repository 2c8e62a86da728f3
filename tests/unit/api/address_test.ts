import assert from "node:assert/strict";
import { parseApiAddress, shownAddress, withToken } from "../../../lib/api/address.ts";
import { UsageError } from "../../../lib/errors.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";

const GOOD: { text: string; base: string; shown: string; socket?: string; authorization?: string }[] = [
  { text: "http://127.0.0.1:8000", base: "http://127.0.0.1:8000", shown: "http://127.0.0.1:8000" },
  { text: "http://127.0.0.1:8000/", base: "http://127.0.0.1:8000", shown: "http://127.0.0.1:8000" },
  { text: "HTTPS://Example.org/run//", base: "https://example.org/run", shown: "https://example.org/run" },
  { text: "http://[::1]:80", base: "http://[::1]", shown: "http://[::1]" },
  { text: `http://h/${TOKEN}`, base: `http://h/${TOKEN}`, shown: "http://h/***" },
  { text: `http://h/a/${TOKEN}/b`, base: `http://h/a/${TOKEN}/b`, shown: "http://h/a/***/b" },
  {
    text: `http://me:${TOKEN}@h:1`,
    base: "http://h:1",
    shown: "http://me:***@h:1",
    authorization: `Basic ${btoa(`me:${TOKEN}`)}`,
  },
  {
    text: "http://m%40e:p%3Aq%C3%BC@h",
    base: "http://h",
    shown: "http://m%40e:***@h",
    authorization: `Basic ${btoa("m@e:p:q\u00c3\u00bc")}`,
  },
  { text: "http://:x@h", base: "http://h", shown: "http://:***@h", authorization: `Basic ${btoa(":x")}` },
  { text: "unix:/run/c.sock", base: "http://localhost", shown: "unix:/run/c.sock", socket: "/run/c.sock" },
  { text: "unix:///run/c.sock", base: "http://localhost", shown: "unix:/run/c.sock", socket: "/run/c.sock" },
  {
    text: `unix:/run/c.sock:/${TOKEN}/`,
    base: `http://localhost/${TOKEN}`,
    shown: "unix:/run/c.sock:/***",
    socket: "/run/c.sock",
  },
];
for (const { text, ...wanted } of GOOD) {
  Deno.test(`address: ${text}`, () => {
    assert.deepEqual({ ...parseApiAddress("--api", text) }, wanted);
    assert.equal(shownAddress(text), wanted.shown);
    assert.equal(withToken(parseApiAddress("--api", text), "t").authorization, "Bearer t");
  });
}

for (
  const text of [
    "",
    "127.0.0.1:8000",
    "ftp://h",
    "http://",
    "http://h/?q=secret-of-mine",
    "http://h/#secret-of-mine",
    "unix:relative-secret-of-mine",
    "unix:/a:b-secret-of-mine",
    "http://me:%secret-of-mine@h",
  ]
) {
  Deno.test(`address: ${text || "nothing"} is refused without being repeated`, () => {
    assert.throws(() => parseApiAddress("--api", text), (error) => {
      assert.ok(error instanceof UsageError);
      assert.doesNotMatch(`${error.message} ${error.why} ${error.hint}`, /secret-of-mine/);
      return true;
    });
    assert.equal(shownAddress(text), "***");
  });
}
