import assert from "node:assert/strict";
import { readEvents, type ServerEvent } from "../../../lib/api/sse.ts";
import { CordonError } from "../../../lib/errors.ts";

const encoder = new TextEncoder();

/** What is read of a text that comes in pieces of `every` bytes. */
async function read(text: string, every: number): Promise<ServerEvent[]> {
  const bytes = encoder.encode(text);
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += every) yield bytes.subarray(at, at + every);
  }
  return await Array.fromAsync(readEvents(pieces()));
}

const TEXT =
  'retry: 1000\n\n:\n\nid: 1\nevent: stdout\ndata: {"ü":1}\n\ndata:a\ndata:  b\n\nid: 3\r\nevent: state\r\n' +
  "data\r\n\r\nevent: none\n\ndata: unfinished";
const EVENTS = [
  { id: "1", event: "stdout", data: '{"ü":1}' },
  { id: "1", event: "message", data: "a\n b" },
  { id: "3", event: "state", data: "" },
];

for (const every of [1000, 7, 2, 1]) {
  Deno.test(`sse: comments, several lines, no space, CR LF, no data, no end; ${every} bytes at a time`, async () => {
    assert.deepEqual(await read(TEXT, every), EVENTS);
  });
}

Deno.test("sse: an event that does not end is refused", async () => {
  async function* endless() {
    for (;;) yield encoder.encode(`data: ${"x".repeat(1 << 20)}\n`);
  }
  await assert.rejects(Array.fromAsync(readEvents(endless())), CordonError);
});
