import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Connection, type Socket } from "../../../lib/docker/connection.ts";
import { BrokenConnectionError } from "../../../lib/docker/errors.ts";
import { encodeHead, readBody, readHead } from "../../../lib/docker/http1.ts";

/** A socket that delivers exactly these pieces, one a read, and then the end. */
function socketOf(pieces: Uint8Array[]): Socket {
  const queue = pieces.filter((piece) => piece.length > 0);
  return {
    read(into: Uint8Array): Promise<number | null> {
      const piece = queue.shift();
      if (!piece) return Promise.resolve(null);
      if (piece.length > into.length) queue.unshift(piece.subarray(into.length));
      into.set(piece.subarray(0, into.length));
      return Promise.resolve(Math.min(piece.length, into.length));
    },
    write: (bytes: Uint8Array) => Promise.resolve(bytes.length),
    closeWrite: () => Promise.resolve(),
    close: () => undefined,
  };
}

async function parse(pieces: Uint8Array[], method = "GET") {
  const connection = new Connection(socketOf(pieces));
  const head = await readHead(connection);
  if (!head) return null;
  const parts: Uint8Array[] = [];
  for await (const part of readBody(connection, head, method)) parts.push(part);
  return {
    status: head.status,
    headers: Object.fromEntries(head.headers),
    body: Buffer.concat(parts).toString(),
  };
}

const parseText = (text: string, method?: string) => parse([Buffer.from(text)], method);

const CHUNKED = Buffer.from(
  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" +
    "5\r\nhello\r\n1;name=value\r\n,\r\n1A\r\n abcdefghijklmnopqrstuvwxy\r\n0\r\nTrailer: x\r\n\r\n",
);

Deno.test("a chunked answer is read wherever it is split", async () => {
  for (let at = 0; at <= CHUNKED.length; at++) {
    const answer = await parse([CHUNKED.subarray(0, at), CHUNKED.subarray(at)]);
    assert.equal(answer?.body, "hello, abcdefghijklmnopqrstuvwxy", `split at ${at}`);
  }
  const answer = await parse([...CHUNKED].map((byte) => Uint8Array.of(byte)));
  assert.equal(answer?.body, "hello, abcdefghijklmnopqrstuvwxy");
  assert.equal(answer?.headers["content-type"], "text/plain");
});

Deno.test("a chunked answer cut anywhere is an error", async () => {
  const body = CHUNKED.indexOf("\r\n\r\n") + 4;
  for (let at = 1; at < CHUNKED.length; at++) {
    await assert.rejects(
      parse([CHUNKED.subarray(0, at)]),
      BrokenConnectionError,
      `cut at ${at} (body from ${body})`,
    );
  }
});

Deno.test("a body of known length ends there, and is an error when shorter", async () => {
  assert.equal((await parseText("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef"))?.body, "abc");
  await assert.rejects(
    parseText("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcdef"),
    (error: BrokenConnectionError) => {
      return error.why === "The connection ended with 1 of 7 bytes missing";
    },
  );
});

Deno.test("a body without a length lasts to the end of the connection", async () => {
  assert.equal((await parseText("HTTP/1.0 200 OK\r\n\r\nall of it"))?.body, "all of it");
  assert.equal(
    (await parseText("HTTP/1.1 101 UPGRADED\r\nContent-Length: 2\r\n\r\nraw bytes"))?.body,
    "raw bytes",
  );
});

Deno.test("answers without a body have none", async () => {
  assert.equal((await parseText("HTTP/1.1 204 No Content\r\n\r\nx"))?.body, "");
  assert.equal((await parseText("HTTP/1.1 304 Not Modified\r\n\r\nx"))?.body, "");
  assert.equal((await parseText("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD"))?.body, "");
});

Deno.test("interim answers are passed over, switching protocols is not", async () => {
  const interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n";
  const answer = await parseText(`${interim}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx`);
  assert.deepEqual(answer, { status: 200, headers: { "content-length": "1" }, body: "x" });
  assert.equal((await parseText(`${interim}HTTP/1.1 101 UPGRADED\r\n\r\n`))?.status, 101);
});

Deno.test("repeated headers are joined, names are case-insensitive, a missing reason is fine", async () => {
  const answer = await parseText("HTTP/1.1 200\r\nA: 1\r\na:2\r\nContent-Length: 0\r\n\r\n");
  assert.deepEqual(answer?.headers, { a: "1, 2", "content-length": "0" });
});

Deno.test("what is no HTTP is an error that shows it", async () => {
  const cases: [string, RegExp][] = [
    ["SSH-2.0-OpenSSH_9.2\r\n", /SSH-2\.0/],
    ["HTTP/1.1 200 OK\r\nno colon\r\n\r\n", /no colon/],
    ["HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", /Content-Length is "-1"/],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", /Chunk size is "xyz"/],
    [`HTTP/1.1 200 OK\r\nA: ${"x".repeat(70_000)}\r\n\r\n`, /exceeds 65536 bytes/],
    [`HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(300)}\r\n`, /More than 256 headers/],
  ];
  for (const [text, why] of cases) {
    await assert.rejects(parseText(text), (error: BrokenConnectionError) => {
      assert.match(error.why ?? "", why);
      return true;
    });
  }
});

Deno.test("a connection closed without a byte is told apart", async () => {
  assert.equal(await parse([]), null);
  await assert.rejects(parseText("HTT"), BrokenConnectionError);
});

Deno.test("a request header cannot smuggle another", () => {
  assert.throws(() => encodeHead("GET /a", [["X", "b\r\nY: c"]]), TypeError);
  assert.throws(() => encodeHead("GET /a", [["X", "b\nc"]]), TypeError);
  assert.equal(
    new TextDecoder().decode(encodeHead("GET /a", [["X", "b"]])),
    "GET /a HTTP/1.1\r\nX: b\r\n\r\n",
  );
});
