import assert from "node:assert/strict";
import { Body, Malformed } from "../../../../lib/serve/front/chunks.ts";
import { Input } from "../../../../lib/serve/front/input.ts";
import { latin1 } from "../../../../lib/serve/front/reply.ts";

/** An input that gets these pieces, one with each read. */
function input(...pieces: string[]): Input {
  const read = (into: Uint8Array) => {
    const next = pieces.shift();
    if (next === undefined) return Promise.resolve(null);
    const bytes = latin1(next);
    const count = Math.min(bytes.length, into.length);
    into.set(bytes.subarray(0, count));
    if (count < bytes.length) pieces.unshift(next.slice(count));
    return Promise.resolve(count);
  };
  return new Input({ read } as unknown as Deno.Conn);
}

async function readAll(from: Input, framing: number | "chunked"): Promise<string> {
  const body = new Body(from, framing);
  let text = "";
  while (!body.done) {
    const piece = body.next();
    if (piece) text += String.fromCharCode(...piece);
    else if (!body.done && !await from.more()) throw new Error("it ends too soon");
  }
  return text;
}

const CHUNKED = '5\r\nhello\r\n6;name="v"\r\n world\r\n0\r\nTrailer: x\r\n\r\nGET /';

Deno.test("a chunked body, however it is cut, and what follows it", async () => {
  for (let size = 1; size <= CHUNKED.length; size++) {
    const pieces = CHUNKED.match(new RegExp(`[^]{1,${size}}`, "g"))!;
    const from = input(...pieces);
    assert.equal(await readAll(from, "chunked"), "hello world");
    while (await from.more());
    assert.equal(String.fromCharCode(...from.view()), "GET /");
  }
});

Deno.test("a counted body takes its length and no more", async () => {
  const from = input("hel", "loGET");
  assert.equal(await readAll(from, 5), "hello");
  assert.equal(String.fromCharCode(...from.view()), "GET");
});

Deno.test("a long body passes through a buffer that grows and shrinks", async () => {
  const long = "0123456789".repeat(30_000);
  const from = input(long, "x");
  assert.equal(await readAll(from, long.length), long);
  assert.equal(await readAll(from, 1), "x");
});

Deno.test("chunks that break their framing", async () => {
  const broken = [
    "\r\n",
    "g\r\n",
    "-1\r\n",
    "+1\r\n",
    "0x1\r\n",
    " 1\r\n",
    "123456789\r\n",
    "1\nx\r\n",
    "1\r\nxy\r\n",
    "1\r\nx\n",
    "1\r\nx0\r\n\r\n",
    "1;a\rb\r\nx\r\n",
    `1;${"a".repeat(300)}\r\n`,
    "1" + " ".repeat(300),
    `0\r\n${"X: y\r\n".repeat(2000)}\r\n`,
  ];
  for (const text of broken) {
    await assert.rejects(readAll(input(text), "chunked"), Malformed, JSON.stringify(text));
  }
});
