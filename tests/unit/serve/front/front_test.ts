/** A front in this process, with short deadlines, before a handler that shows what reaches it. */
import assert from "node:assert/strict";
import { type Front, type FrontOptions, openFront } from "../../../../lib/serve/front/front.ts";
import type { Handler } from "../../../../lib/serve/front/handler.ts";
import { Upgrade } from "../../../../lib/serve/front/websocket.ts";
import { Raw } from "../../../helpers/raw_http.ts";
import { until } from "../../../helpers/serving.ts";

interface Fixture extends AsyncDisposable {
  front: Front;
  port: number;
  /** Paths of requests in work. */
  working: Set<string>;
  /** Paths whose signal was aborted, or whose stream was cancelled. */
  gone: string[];
  /** Bytes that the handler of /endless was asked for. */
  made: number;
  events: Record<string, unknown>[];
}

async function serve(options: Partial<FrontOptions> = {}): Promise<Fixture> {
  const fixture = {
    working: new Set<string>(),
    gone: [] as string[],
    made: 0,
    events: [] as Fixture["events"],
  };
  const handler: Handler = async (request, { signal, peer }) => {
    const { pathname: path } = new URL(request.url);
    if (path === "/hello") return new Response("hello");
    if (path === "/peer") return Response.json(peer);
    if (path === "/echo") return new Response(await request.text());
    if (path === "/stream") return new Response(request.body);
    if (path === "/throw") throw new Error("on purpose");
    if (path === "/endless") return new Response(endless(fixture));
    if (path === "/ws") {
      return new Upgrade(async (socket) => {
        fixture.working.add(path);
        try {
          for (let data = await socket.receive(); data !== undefined; data = await socket.receive()) {
            await socket.send(typeof data === "string" ? `${peer.address} ${data}` : data);
          }
        } finally {
          fixture.working.delete(path);
          fixture.gone.push(path);
        }
      });
    }
    if (path === "/events") {
      fixture.working.add(path);
      return new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode("data: 1\n\n")),
          cancel: () => void fixture.gone.push(path),
        }),
      );
    }
    if (path.startsWith("/wait")) {
      fixture.working.add(path);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      fixture.working.delete(path);
      fixture.gone.push(path);
    }
    return new Response("nothing here", { status: 404 });
  };
  const front = await openFront({
    listen: [{ hostname: "127.0.0.1", port: 0 }],
    hosts: [],
    origins: [],
    log: (event) => fixture.events.push(event),
    ...options,
  }, handler);
  const port = Number(/:(\d+)$/.exec(front.addresses[0]!)?.[1]);
  return Object.assign(fixture, { front, port, [Symbol.asyncDispose]: () => front.close() });
}

function endless(count: { made: number }): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull(controller) {
      count.made += 65536;
      controller.enqueue(new Uint8Array(65536));
    },
  });
}

const GET = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

const SHORT = {
  most: 100,
  mostPerAddress: 0,
  headerSeconds: 0.2,
  bodySeconds: 5,
  idleSeconds: 0.2,
  stallSeconds: 0.2,
};

Deno.test("pipelined requests are answered in order, on one connection", async () => {
  await using served = await serve();
  await using raw = await Raw.open(served.port);
  const post = "POST /echo HTTP/1.1\r\nHost: a.b.c.d\r\n".replace("a.b.c.d", "127.0.0.1");
  await raw.send(
    GET("/hello") + post + "Content-Length: 5\r\n\r\nfirst" + post +
      "Transfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n" + "\r\n" + GET("/throw") + GET("/nothing"),
  );
  const got = [];
  for (let count = 0; count < 5; count++) got.push(await raw.response());
  assert.deepEqual(got.map(({ status, body }) => [status, body.slice(0, 36)]), [
    [200, "hello"],
    [200, "first"],
    [200, "second"],
    [500, '{"type":"urn:cordon:problem:internal'],
    [404, "nothing here"],
  ]);
  assert.equal(served.events.length, 1);
});

Deno.test("a body passes in both directions at once, as it comes", async () => {
  await using served = await serve();
  await using raw = await Raw.open(
    served.port,
    "POST /stream HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
  );
  await raw.send("3\r\none\r\n");
  await raw.until(/\r\n3\r\none\r\n$/);
  await raw.send("3\r\ntwo\r\n0\r\n\r\n");
  await raw.until(/^3\r\ntwo\r\n0\r\n\r\n$/);
});

Deno.test("100 Continue is sent when the body is wanted", async () => {
  await using served = await serve();
  const expecting = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`;
  await using raw = await Raw.open(served.port, expecting("/echo"));
  await raw.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
  await raw.send("hi");
  assert.equal((await raw.response()).body, "hi");
  await raw.send(expecting("/nothing"));
  const { status, head } = await raw.response();
  assert.equal(status, 404);
  assert.match(head, /^connection: close\r$/m);
  await raw.rest();
});

Deno.test("a head that does not come is answered 408, on the first request and on a later one", async () => {
  await using served = await serve({ connections: SHORT });
  await using slow = await Raw.open(served.port, "GET / HTTP/1.1\r\nHost: local");
  assert.match(await slow.rest(), /^HTTP\/1\.1 408 /);
  await using later = await Raw.open(served.port, GET("/hello"));
  assert.equal((await later.response()).status, 200);
  await later.send("GET");
  assert.match(await later.rest(), /^HTTP\/1\.1 408 /);
});

Deno.test("a connection without a request is closed, at its beginning and after a response", async () => {
  await using served = await serve({ connections: SHORT });
  await using silent = await Raw.open(served.port);
  assert.equal(await silent.rest(), "");
  await using idle = await Raw.open(served.port, GET("/hello"));
  await idle.response();
  assert.equal(await idle.rest(), "");
});

Deno.test("a body that stalls or drips is answered 408", async () => {
  await using served = await serve({ connections: { ...SHORT, bodySeconds: 0.5 } });
  const post = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
  await using stalled = await Raw.open(served.port, post + "a few");
  assert.match(await stalled.rest(), /^HTTP\/1\.1 408 /);
  await using drips = await Raw.open(served.port, post);
  const timer = setInterval(() => drips.sendAsFarAsTaken("x"), 50);
  try {
    assert.match(await drips.rest(), /^HTTP\/1\.1 408 /);
  } finally {
    clearInterval(timer);
  }
});

Deno.test("a chunked body that breaks its framing is answered 400", async () => {
  await using served = await serve();
  await using raw = await Raw.open(
    served.port,
    "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloGET /hello HTTP/1.1\r\n",
  );
  assert.match(await raw.rest(), /^HTTP\/1\.1 400 (?![^]*HTTP\/1\.1)/);
});

Deno.test("what is refused is not read further: no second request hides behind it", async () => {
  await using served = await serve();
  await using raw = await Raw.open(
    served.port,
    "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" +
      GET("/wait"),
  );
  assert.match(await raw.rest(), /^HTTP\/1\.1 400 (?![^]*HTTP\/1\.1)/);
  assert.deepEqual([...served.working], []);
});

Deno.test("the answer to a request that is too large arrives, though more is sent", async () => {
  await using served = await serve();
  await using raw = await Raw.open(served.port);
  const lines = "GET / HTTP/1.1\r\nHost: localhost\r\n" + "X: y\r\n".repeat(100_000) + "\r\n";
  const sent = raw.sendAsFarAsTaken(lines);
  assert.match(await raw.rest(), /^HTTP\/1\.1 431 /);
  await sent;
});

Deno.test("a client that goes away ends its request, waiting or streaming", async () => {
  await using served = await serve();
  for (const path of ["/wait", "/events"]) {
    const raw = await Raw.open(served.port, GET(path));
    await until(() => served.working.has(path));
    raw.close();
    await until(() => served.gone.includes(path));
  }
  await until(() => served.front.connections === 0);
});

Deno.test("a client that only closed its sending side gets what is answered at once", async () => {
  await using served = await serve();
  await using raw = await Raw.open(served.port, GET("/hello"));
  await raw.conn.closeWrite();
  assert.match(await raw.rest(), /^HTTP\/1\.1 200 [^]*hello$/);
  await using waits = await Raw.open(served.port, GET("/wait"));
  await waits.conn.closeWrite();
  assert.equal(await waits.rest(), "");
  assert.deepEqual(served.gone, ["/wait"]);
});

// libc stays open once it was needed.
const sanitizeResources = false;

Deno.test(
  "a reader that takes nothing is closed, and little is made for it",
  { sanitizeResources },
  async () => {
    await using served = await serve({ connections: SHORT });
    await using raw = await Raw.open(served.port, GET("/endless"));
    await until(() => served.front.connections === 0 && served.made > 0);
    // What the sockets hold, and not more.
    assert.ok(served.made < 16 * 2 ** 20, `${served.made}`);
    // The runtime would hold the descriptor until the client reads.
    await until(() => !accepted(served.port));
    raw.close();
  },
);

/** Whether this process has a connection that it accepted on that port. */
function accepted(port: number): boolean {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return Deno.readTextFileSync("/proc/self/net/tcp").split("\n").map((line) => line.trim().split(/ +/))
    .some(([, from, to, state, , , , , , inode]) =>
      from === local && to !== "00000000:0000" && state === "01" && inode !== "0"
    );
}

Deno.test("a reader on a Unix socket that takes nothing counts until the end, and then goes", {
  sanitizeResources,
}, async () => {
  const directory = Deno.makeTempDirSync();
  const path = `${directory}/s`;
  const served = await serve({ listen: [{ unix: path }], connections: { ...SHORT, most: 1 } });
  const raw = await Raw.open(path, GET("/endless"));
  await until(() => served.front.connections === 0 && served.made > 0);
  await using next = await Raw.open(path, GET("/hello"));
  assert.match(await next.rest(), /^HTTP\/1\.1 503 /);
  await served.front.close();
  await raw.rest();
  raw.close();
  Deno.removeSync(directory);
});

Deno.test("too many connections are turned away with 503, and come in when others are gone", async () => {
  await using served = await serve({ connections: { most: 2 } });
  const first = await Raw.open(served.port, GET("/hello"));
  await using second = await Raw.open(served.port, GET("/hello"));
  await first.response();
  await second.response();
  await using third = await Raw.open(served.port, GET("/hello"));
  assert.match(await third.rest(), /^HTTP\/1\.1 503 [^]*retry-after: /);
  assert.equal(served.front.refused, 1);
  first.close();
  await until(() => served.front.connections === 1);
  await using fourth = await Raw.open(served.port, GET("/hello"));
  assert.equal((await fourth.response()).status, 200);
});

Deno.test("connections from one address are counted, those by a Unix socket are not", async () => {
  const path = `${Deno.makeTempDirSync()}/s`;
  await using served = await serve({
    listen: [{ hostname: "127.0.0.1", port: 0 }, { unix: path }],
    connections: { mostPerAddress: 1 },
  });
  await using first = await Raw.open(served.port, GET("/hello"));
  await first.response();
  await using second = await Raw.open(served.port, GET("/hello"));
  assert.match(await second.rest(), /^HTTP\/1\.1 503 /);
  for (let count = 0; count < 2; count++) {
    await using raw = await Raw.open(path, GET("/hello"));
    assert.equal((await raw.response()).body, "hello");
  }
  await served.front.close();
  Deno.removeSync(path.replace(/\/s$/, ""));
});

Deno.test("a WebSocket passes, knows its peer, and ends with the client", async () => {
  await using served = await serve();
  const socket = new WebSocket(`ws://127.0.0.1:${served.port}/ws`);
  const echoed = new Promise((resolve) => socket.onmessage = ({ data }) => resolve(data));
  await new Promise((resolve) => socket.onopen = resolve);
  socket.send("hello");
  assert.equal(await echoed, "127.0.0.1 hello");
  const closed = new Promise((resolve) => socket.onclose = resolve);
  socket.close();
  await closed;
  await until(() => served.gone.includes("/ws") && served.front.connections === 0);
  assert.deepEqual([...served.working], []);
});

/** A client's frame, with a mask that changes nothing. */
function masked(opcode: number, payload: string | Uint8Array, final = true): Uint8Array {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  const { length } = bytes;
  const size = length < 126 ? [length] : length < 65536 ? [126, length >> 8, length & 255] : undefined;
  const told = size ?? [127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 255, length & 255];
  told[0]! |= 0x80;
  return Uint8Array.from([final ? 0x80 | opcode : opcode, ...told, 0, 0, 0, 0, ...bytes]);
}

/** A client that speaks as it likes, and what it was answered after the head. */
async function rawSocket(served: Fixture): Promise<Raw> {
  const raw = await Raw.open(served.port, `GET /ws HTTP/1.1\r\nHost: localhost\r\n${UPGRADE}`);
  const [head] = await raw.until(/^HTTP[^]*?\r\n\r\n/);
  // The example of RFC 6455 1.3.
  assert.match(head, /^sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/m);
  return raw;
}

/** The frames that came, all of them short. */
function framesOf({ held }: Raw): { opcode: number; payload: number[] }[] {
  const decoder = new TextDecoder("latin1");
  const byteOf = new Map(
    Array.from({ length: 256 }, (_, byte) => [decoder.decode(Uint8Array.of(byte)), byte]),
  );
  const bytes = [...held].map((character) => byteOf.get(character)!);
  const frames = [];
  for (let at = 0; at < bytes.length; at += 2 + bytes[at + 1]!) {
    frames.push({ opcode: bytes[at]! & 15, payload: bytes.slice(at + 2, at + 2 + bytes[at + 1]!) });
  }
  return frames;
}

/** Reads up to a close frame, and goes: the server waits for the client's own otherwise. */
async function closeOf(raw: Raw): Promise<{ opcode: number; payload: number[] }> {
  for (;;) {
    const last = framesOf(raw).at(-1);
    if (last?.opcode === 8 && last.payload.length >= 2) break;
    assert.ok(await raw.more(), "it ended without a close frame");
  }
  raw.close();
  return framesOf(raw).at(-1)!;
}

const text = ({ payload }: { payload: number[] }) => String.fromCharCode(...payload);

Deno.test("frames in pieces, control frames between them, and messages of every length come whole", async () => {
  await using served = await serve();
  await using raw = await rawSocket(served);
  await raw.send(masked(1, "one ", false));
  await raw.send(masked(9, "are you there"));
  for (const byte of masked(0, "two")) await raw.send(Uint8Array.of(byte));
  await raw.send(masked(8, Uint8Array.of(3, 232)));
  await raw.rest();
  const [pong, answer, close] = framesOf(raw);
  assert.deepEqual([pong!.opcode, text(pong!)], [10, "are you there"]);
  assert.deepEqual([answer!.opcode, text(answer!)], [1, "127.0.0.1 one two"]);
  assert.deepEqual([close!.opcode, close!.payload], [8, [3, 232]]);
  const socket = new WebSocket(`ws://127.0.0.1:${served.port}/ws`);
  socket.binaryType = "arraybuffer";
  await new Promise((resolve) => socket.onopen = resolve);
  for (const length of [0, 1, 125, 126, 65535, 65536, 262144]) {
    const bytes = crypto.getRandomValues(new Uint8Array(Math.min(length, 65536)));
    const whole = new Uint8Array(length).map((_, index) => bytes[index % bytes.length]!);
    const back = new Promise<Uint8Array>((resolve) =>
      socket.onmessage = ({ data }) => resolve(new Uint8Array(data))
    );
    socket.send(whole);
    assert.deepEqual(await back, whole);
  }
  const closed = new Promise((resolve) => socket.onclose = resolve);
  socket.close();
  await closed;
});

Deno.test("what breaks the protocol of WebSockets is closed with its code", async () => {
  await using served = await serve();
  const announced = Uint8Array.of(0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  for (
    const [what, frames, code] of [
      ["no mask", [Uint8Array.of(0x81, 1, 65)], 1002],
      ["a reserved bit", [Uint8Array.of(0xc1, 0x80, 0, 0, 0, 0)], 1002],
      ["an unknown opcode", [masked(3, "")], 1002],
      ["a cut ping", [masked(9, "", false)], 1002],
      ["a long ping", [masked(9, "x".repeat(126))], 1002],
      ["no beginning", [masked(0, "x")], 1002],
      ["two beginnings", [masked(1, "x", false), masked(1, "x")], 1002],
      ["no UTF-8", [masked(1, Uint8Array.of(0xff))], 1007],
      ["4 GiB, as announced", [announced], 1009],
      [
        "too much in pieces",
        Array.from({ length: 5 }, (_, n) => masked(n ? 0 : 2, "x".repeat(60000), false)),
        1009,
      ],
      [
        "empty frames",
        [masked(1, "", false), ...Array.from({ length: 400 }, () => masked(0, "", false))],
        1008,
      ],
      ["a close code that is none", [masked(8, Uint8Array.of(3, 0xed))], 1002],
    ] as const
  ) {
    await using raw = await rawSocket(served);
    for (const bytes of frames) await raw.sendAsFarAsTaken(bytes);
    const { payload: [high, low] } = await closeOf(raw);
    assert.equal(high! << 8 | low!, code, what);
  }
  await until(() => served.front.connections === 0);
  assert.deepEqual([...served.working], []);
});

Deno.test("a WebSocket that says nothing is asked, and closed when it does not answer", async () => {
  await using served = await serve({ connections: { stallSeconds: 0.2 } });
  await using raw = await rawSocket(served);
  const close = await closeOf(raw);
  assert.equal(framesOf(raw)[0]!.opcode, 9);
  assert.equal(text(close).slice(2), "no answer to pings");
});

Deno.test("drain ends a WebSocket that nobody ends", async () => {
  await using served = await serve();
  const socket = new WebSocket(`ws://127.0.0.1:${served.port}/ws`);
  await new Promise((resolve) => socket.onopen = resolve);
  const closed = new Promise((resolve) => socket.onclose = resolve);
  await served.front.drain();
  await closed;
});

const UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

Deno.test("behind a refused upgrade nothing is read as a request", async () => {
  await using served = await serve();
  await using raw = await Raw.open(
    served.port,
    `GET /nothing HTTP/1.1\r\nHost: localhost\r\n${UPGRADE}${GET("/wait")}`,
  );
  assert.match(await raw.rest(), /^HTTP\/1\.1 404 (?![^]*HTTP\/1\.1)/);
  assert.deepEqual([...served.working], []);
});

Deno.test("a foreign page cannot open a WebSocket", async () => {
  await using served = await serve();
  await using raw = await Raw.open(
    served.port,
    `GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n${UPGRADE}`,
  );
  assert.match(await raw.rest(), /^HTTP\/1\.1 403 /);
});

Deno.test("drain answers what is in work and closes what is not", async () => {
  await using served = await serve();
  await using idle = await Raw.open(served.port, GET("/hello"));
  await idle.response();
  await using working = await Raw.open(
    served.port,
    "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n",
  );
  await until(() => served.front.connections === 2);
  const drained = served.front.drain();
  assert.equal(await idle.rest(), "");
  await working.send("last");
  const { body, head } = await working.response();
  assert.equal(body, "last");
  assert.match(head, /^connection: close\r$/m);
  await drained;
  await assert.rejects(Raw.open(served.port), Deno.errors.ConnectionRefused);
});
