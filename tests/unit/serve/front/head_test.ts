import assert from "node:assert/strict";
import { findHead, type Head, MOST_HEAD_BYTES, parseHead } from "../../../../lib/serve/front/head.ts";
import { latin1 } from "../../../../lib/serve/front/reply.ts";

const LF_ONLY = "a line ends without a carriage return";

function read(...lines: string[]): Head {
  const head = parseHead(lines.join("\r\n") + "\r\n\r\n");
  assert.ok(!("status" in head), JSON.stringify(head));
  return head;
}

function refused(...lines: string[]): [number, string] {
  const head = parseHead(lines.join("\r\n") + "\r\n\r\n");
  assert.ok("status" in head, `not refused: ${lines}`);
  return [head.status, head.detail];
}

Deno.test("a request as curl sends it", () => {
  assert.deepEqual(read("POST /execute?x=1 HTTP/1.1", "Host: localhost:8377", "Content-Length: 12", "X:"), {
    method: "POST",
    target: "/execute?x=1",
    version: "1.1",
    headers: [["host", "localhost:8377"], ["content-length", "12"], ["x", ""]],
    host: "localhost:8377",
    origin: undefined,
    body: 12,
    keepAlive: true,
    expectsContinue: false,
    webSocket: false,
  });
});

Deno.test("HTTP/1.0 needs no host and is closed after one answer", () => {
  const head = read("GET / HTTP/1.0");
  assert.deepEqual([head.version, head.host, head.keepAlive], ["1.0", undefined, false]);
});

Deno.test("connection: close, in whatever company", () => {
  assert.equal(read("GET / HTTP/1.1", "Host: a", "Connection: keep-alive, Close").keepAlive, false);
  assert.equal(read("GET / HTTP/1.1", "Host: a", "Connection: TE", "Connection: close").keepAlive, false);
});

Deno.test("a WebSocket is asked for with both lines", () => {
  const upgrade = ["Upgrade: WebSocket", "Connection: keep-alive, Upgrade"];
  assert.equal(read("GET / HTTP/1.1", "Host: a", ...upgrade).webSocket, true);
  assert.equal(read("GET / HTTP/1.1", "Host: a", upgrade[0]!).webSocket, false);
  assert.equal(read("POST / HTTP/1.1", "Host: a", ...upgrade).webSocket, false);
  assert.equal(read("GET / HTTP/1.1", "Host: a", "Upgrade: h2c", upgrade[1]!).webSocket, false);
});

Deno.test("what two readers could frame differently is refused", () => {
  const post = ["POST / HTTP/1.1", "Host: a"];
  const refusals: string[][] = [
    ["Content-Length: 5", "Transfer-Encoding: chunked"],
    ["Content-Length: 5", "Content-Length: 5"],
    ["Content-Length: 5", "Content-Length: 6"],
    ["Content-Length: 5, 5"],
    ["Content-Length: +5"],
    ["Content-Length: 0x5"],
    ["Content-Length: 5 "].map((line) => line + "\v"),
    ["Content-Length:"],
    ["Content-Length: 9999999999999999"],
    ["Content-Length : 5"],
    ["Transfer-Encoding : chunked"],
    ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    ["X: y", " Transfer-Encoding: chunked"],
    ["X: y", "\tfolded"],
    ["X: a\rTransfer-Encoding: chunked"],
    ["X: a\0b"],
    ["no colon"],
    [": no name"],
    ["b d: e"],
  ];
  for (const lines of refusals) assert.equal(refused(...post, ...lines)[0], 400, JSON.stringify(lines));
  for (const coding of ["gzip, chunked", "chunked, chunked", "xchunked", "identity", '"chunked"', ""]) {
    assert.equal(refused(...post, `Transfer-Encoding: ${coding}`)[0], 501, coding);
  }
  assert.equal(refused("POST / HTTP/1.0", "Transfer-Encoding: chunked")[0], 400);
  assert.equal(read(...post, "Transfer-Encoding: Chunked").body, "chunked");
});

Deno.test("one Host line that is a host", () => {
  assert.deepEqual(refused("GET / HTTP/1.1"), [400, "there is no host line"]);
  assert.equal(refused("GET / HTTP/1.1", "Host: a", "Host: a")[0], 400);
  for (
    const host of [
      "",
      "a b",
      "a/b",
      "user@a",
      "a:b",
      "a:123456",
      "[::1",
      "a,b",
      "ä",
      "256.1.1.1",

      "a:65536",
      "[:::]",
      "xn--",
    ]
  ) {
    assert.equal(refused("GET / HTTP/1.1", `Host: ${host}`)[0], 400, host);
  }
  for (const host of ["[::1]:80", "127.0.0.1", "a-b.example.org:8377"]) {
    assert.equal(read("GET / HTTP/1.1", `Host: ${host}`).host, host);
  }
});

Deno.test("request lines", () => {
  const status = (line: string) => refused(line, "Host: a")[0];
  assert.equal(status("GET / HTTP/2.0"), 505);
  assert.equal(status("PRI * HTTP/2.0"), 505);
  assert.equal(status("GET / http/1.1"), 400);
  assert.equal(status("GET  / HTTP/1.1"), 400);
  assert.equal(status("GET /"), 400);
  assert.equal(status("GET / HTTP/1.1 "), 400);
  assert.equal(status("G\tT / HTTP/1.1"), 400);
  assert.equal(status("BREW / HTTP/1.1"), 501);
  assert.equal(status("get / HTTP/1.1"), 501);
  assert.equal(status("TRACE / HTTP/1.1"), 405);
  assert.equal(status("CONNECT a:80 HTTP/1.1"), 405);
  assert.equal(status(`GET /${"a".repeat(9000)} HTTP/1.1`), 414);
});

Deno.test("one spelling of a path", () => {
  const targets = [
    "*",
    "http://a/",
    "a",
    "//",
    "//a",
    "/a//b",
    "/.",
    "/..",
    "/a/./b",
    "/a/../b",
    "/%2e%2e/b",
    "/a/%2E/b",
    "/.%2e",
    "/a%2fb",
    "/a%5cb",
    "/a\\b",
    "/%00",
    "/a%0d%0ab",
    "/%7f",
    "/%",
    "/%g1",
    "/%1",
    "/a?%",
    "/a#b",
    "/a?b#c",
    "/<",
    "/ä",
  ];
  for (const target of targets) assert.equal(refused(`GET ${target} HTTP/1.1`, "Host: a")[0], 400, target);
  for (
    const target of ["/", "/a/", "/a.b/..c/...", "/a%20b%C3%A4", "/a?b=//../%2e&c[]={}", "/a:b@c;d=(e)~"]
  ) {
    assert.equal(read(`GET ${target} HTTP/1.1`, "Host: a").target, target);
  }
});

Deno.test("a hundred header lines and no more", () => {
  const lines = (count: number) => Array.from({ length: count }, (_, index) => `X-${index}: y`);
  assert.equal(read("GET / HTTP/1.1", "Host: a", ...lines(99)).headers.length, 100);
  assert.equal(refused("GET / HTTP/1.1", "Host: a", ...lines(100))[0], 431);
});

Deno.test("an expectation that cannot be met", () => {
  assert.equal(read("POST / HTTP/1.1", "Host: a", "Expect: 100-Continue").expectsContinue, true);
  assert.equal(refused("POST / HTTP/1.1", "Host: a", "Expect: 200-ok")[0], 417);
});

Deno.test("the end of a head is found however it is cut", () => {
  const bytes = latin1("GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST");
  let from = 0;
  for (let length = 1; length < bytes.length - 4; length++) {
    const found = findHead(bytes.subarray(0, length), from);
    assert.ok("from" in found, JSON.stringify(found));
    from = found.from;
  }
  assert.deepEqual(findHead(bytes, from), { end: bytes.length - 4 });
});

Deno.test("a bare line feed and a head without end are refused as soon as they are seen", () => {
  assert.deepEqual(findHead(latin1("GET / HTTP/1.1\nHost"), 0), { status: 400, detail: LF_ONLY });
  assert.deepEqual(findHead(latin1("\n"), 0), { status: 400, detail: LF_ONLY });
  const endless = findHead(new Uint8Array(MOST_HEAD_BYTES).fill(65), 0);
  assert.equal("status" in endless && endless.status, 431);
});
