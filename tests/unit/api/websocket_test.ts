import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { parseApiAddress } from "../../../lib/api/address.ts";
import { Api, ApiError } from "../../../lib/api/request.ts";
import { type ClientSocket, openSocket } from "../../../lib/api/websocket.ts";
import { closing, frame, frameHead, OPCODE, unmask } from "../../../lib/serve/front/frames.ts";
import { Input } from "../../../lib/serve/front/input.ts";

/** The server's end: what it was asked, and frames both ways. */
class Peer {
  readonly input: Input;
  constructor(readonly connection: Deno.Conn) {
    this.input = new Input(connection);
  }

  async head(): Promise<string> {
    for (;;) {
      const text = new TextDecoder().decode(this.input.view());
      if (text.endsWith("\r\n\r\n")) return new TextDecoder().decode(this.input.take(text.length));
      assert.ok(await this.input.more());
    }
  }

  async say(bytes: Uint8Array | string): Promise<void> {
    const whole = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    for (let at = 0; at < whole.length;) at += await this.connection.write(whole.subarray(at));
  }

  /** The client's next frame. */
  async frame(): Promise<{ opcode: number; payload: Uint8Array }> {
    for (;;) {
      const head = frameHead(this.input.view().subarray(0, 14));
      if (head) {
        this.input.take(head.size);
        const payload = new Uint8Array(head.length);
        for (let at = 0; at < head.length;) {
          assert.ok(this.input.length > 0 || await this.input.more());
          const part = this.input.take(head.length - at);
          payload.set(part, at);
          at += part.length;
        }
        unmask(payload, head.mask, 0);
        return { opcode: head.opcode, payload };
      }
      assert.ok(await this.input.more());
    }
  }
}

const accepted = (head: string, more = "") => {
  const key = /^sec-websocket-key: (\S+)\r$/m.exec(head)![1]!;
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return `HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ${accept}\r\n${more}\r\n`;
};

/** Opens one to a peer that behaves as `serve` does. */
async function between(
  serve: (peer: Peer, head: string) => Promise<void>,
  use: (opening: Promise<ClientSocket>) => Promise<void>,
  signal = new AbortController().signal,
): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    const peer = new Peer(await listener.accept());
    await serve(peer, await peer.head());
    while (await peer.input.more()) peer.input.take(peer.input.length);
    peer.connection.close();
  })();
  using api = new Api(parseApiAddress("--api", `http://me:word@127.0.0.1:${listener.addr.port}/base`), {});
  await use(openSocket(api, { path: "/at?x=1", protocol: "some.v1", signal }));
  await serving;
  listener.close();
}

Deno.test("websocket: what is asked, and messages of every size both ways", async () => {
  const sizes = [0, 1, 125, 126, 65535, 65536, 200_000];
  let head = "";
  await between(async (peer, asked) => {
    head = asked;
    await peer.say(accepted(asked));
    for (const size of sizes) {
      const { opcode, payload } = await peer.frame();
      assert.deepEqual([opcode, payload.length], [OPCODE.binary, size]);
      await peer.say(frame(OPCODE.binary, payload));
    }
    const { opcode, payload } = await peer.frame();
    assert.deepEqual([opcode, new TextDecoder().decode(payload)], [OPCODE.text, "ü"]);
    // In three frames, with a ping between.
    const [one, two, three] = ["a", "b", "c"].map((text) =>
      frame(OPCODE.text, new TextEncoder().encode(text))
    );
    one![0] = OPCODE.text;
    two![0] = OPCODE.continuation;
    three![0] = 0x80 | OPCODE.continuation;
    await peer.say(one!);
    await peer.say(frame(OPCODE.ping, new TextEncoder().encode("there?")));
    await peer.say(two!);
    await peer.say(three!);
    const pong = await peer.frame();
    assert.deepEqual([pong.opcode, new TextDecoder().decode(pong.payload)], [OPCODE.pong, "there?"]);
    await peer.say(frame(OPCODE.close, closing(4001, "enough")));
    assert.equal((await peer.frame()).opcode, OPCODE.close);
  }, async (opening) => {
    const socket = await opening;
    for (const size of sizes) {
      const sent = Uint8Array.from({ length: size }, (_, at) => at * 3);
      assert.ok(await socket.send(sent));
      assert.deepEqual(await socket.receive(), sent);
    }
    await socket.send("ü");
    assert.equal(await socket.receive(), "abc");
    assert.equal(await socket.receive(), undefined);
    assert.deepEqual(socket.closed, { code: 4001, reason: "enough" });
    assert.equal(await socket.send("more"), false);
    await socket.over;
  });
  assert.match(head, /^GET \/base\/at\?x=1 HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\n/);
  assert.match(head, /\r\nsec-websocket-protocol: some\.v1\r\nauthorization: Basic bWU6d29yZA==\r\n/);
});

Deno.test("websocket: who closes waits for what was said before, and for the answer", async () => {
  const got: number[] = [];
  await between(async (peer, head) => {
    await peer.say(accepted(head));
    for (let one = await peer.frame(); one.opcode !== OPCODE.close; one = await peer.frame()) {
      got.push(one.opcode);
    }
    await peer.say(frame(OPCODE.text, new TextEncoder().encode("late")));
    await peer.say(frame(OPCODE.close, closing(1000, "")));
  }, async (opening) => {
    const socket = await opening;
    void socket.send("one");
    void socket.send(new Uint8Array(100_000));
    await socket.close();
    assert.equal(socket.closed?.code, 1000);
  });
  assert.deepEqual(got, [OPCODE.text, OPCODE.binary]);
});

for (
  const [name, bytes] of [
    ["a mask", frame(OPCODE.text, new Uint8Array(1), new Uint8Array(4))],
    ["an opcode that is none", Uint8Array.of(0x83, 0)],
    ["text that is none", frame(OPCODE.text, Uint8Array.of(0xff))],
    ["a part of no message", frame(OPCODE.continuation, new Uint8Array(1))],
    ["a message without end", Uint8Array.of(0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0)],
  ] as const
) {
  Deno.test(`websocket: ${name} ends it`, async () => {
    await between(async (peer, head) => {
      await peer.say(accepted(head));
      await peer.say(bytes);
      assert.equal((await peer.frame()).opcode, OPCODE.close);
    }, async (opening) => {
      const socket = await opening;
      assert.equal(await socket.receive(), undefined);
      assert.ok(socket.closed && socket.closed.code < 1012);
    });
  });
}

for (
  const [name, answer, status, wanted] of [
    [
      "a refusal in words",
      'HTTP/1.1 409 Conflict\r\ncontent-length: 16\r\n\r\n{"detail":"who"}',
      409,
      /answers 409 Conflict: who$/,
    ],
    ["a redirection", "HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", 302, /It sends elsewhere/],
    ["a page", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", 200, /It opens no WebSocket: 200 OK$/],
    [
      "another key",
      "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: x\r\n\r\n",
      101,
      /It opens no WebSocket: 101/,
    ],
    ["no HTTP", "220 mail\r\n\r\n", 0, /It is no HTTP$/],
  ] as const
) {
  Deno.test(`websocket: ${name} instead`, async () => {
    await between((peer) => peer.say(answer), async (opening) => {
      await assert.rejects(opening, (error) => {
        assert.ok(error instanceof ApiError);
        assert.equal(error.status, status);
        assert.match(`${error.message}: ${error.why}`, wanted);
        assert.doesNotMatch(`${error.message}: ${error.why}`, /word/);
        return true;
      });
    });
  });
}

Deno.test("websocket: given up while it opens", async () => {
  const abort = new AbortController();
  await between(() => Promise.resolve(abort.abort(new Error("enough"))), async (opening) => {
    await assert.rejects(opening, /^Error: enough$/);
  }, abort.signal);
});
