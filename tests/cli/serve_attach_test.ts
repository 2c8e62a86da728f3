/** /v1/executions/{id}/attach of the real server: somebody at the keyboard. */
import assert from "node:assert/strict";
import { test, userns } from "../helpers/need.ts";
import { Raw } from "../helpers/raw_http.ts";
import { mark, type Serving, serving, sleeping, TOKEN, until } from "../helpers/serving.ts";
import { type Attached, attached, created } from "../helpers/attached.ts";

const options = { needs: [userns] };

async function refused(server: Serving, path: string, headers: Record<string, string> = {}) {
  const key = "dGhlIHNhbXBsZSBub25jZQ==";
  const asked: Record<string, string> = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": key,
    authorization: `Bearer ${TOKEN}`,
    host: "localhost",
    ...headers,
  };
  const lines = Object.entries(asked).filter(([, value]) => value !== "").map(([name, value]) =>
    `${name}: ${value}\r\n`
  );
  await using raw = await Raw.open(
    Number(new URL(server.url).port),
    `GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`,
  );
  const { status, head } = await raw.response();
  return { status, head };
}

test("input over time comes back from cat, byte for byte, up to its end", options, async () => {
  await using server = await serving();
  const id = await created(server, { command: "cat; echo end >&2; exit 3", interactive: true });
  const client = await attached(server, id);
  assert.equal(client.protocol, "cordon.v1");
  await until(() => client.begun);
  assert.deepEqual(client.begun, { type: "input", bytes: 0, ended: false, terminal: null });
  client.type("hello\n");
  await client.shows(/^hello\n$/);
  client.type(Uint8Array.of(0, 255, 128, 10));
  await until(() => client.bytes.length === 10);
  assert.deepEqual(client.bytes.slice(6), [0, 255, 128, 10]);
  client.say({ type: "eof" });
  const { code } = await client.closed;
  assert.deepEqual([code, client.errors], [1000, "end\n"]);
  const last = client.states.at(-1)!;
  assert.deepEqual([last.state, last.reason, last.exit_code], ["finished", "exited", 3]);
  assert.equal(client.taken, 10);
  // Who comes back is told the rest of what is kept, and its end.
  const again = await attached(server, id, `?after=${client.positions[0]}`);
  assert.equal((await again.closed).code, 1000);
  assert.deepEqual(again.bytes, client.bytes.slice(6));
  assert.equal(again.states.at(-1)!.exit_code, 3);
});

test("megabytes of input arrive, by a client that waits for what was taken", options, async () => {
  await using server = await serving();
  const id = await created(server, { command: "wc -c", interactive: true });
  const client = await attached(server, id);
  const piece = new Uint8Array(64 * 1024);
  for (let n = 0; n < 64; n++) {
    client.type(piece);
    await until(() => client.taken >= (n - 3) * piece.length);
  }
  client.say({ type: "eof" });
  await client.closed;
  assert.equal(client.text.trim(), String(64 * piece.length));
});

test("INT ends a sleep, and a trap sees USR1", options, async () => {
  await using server = await serving();
  const word = mark();
  const id = await created(server, { command: ["sleep", word], interactive: true });
  const client = await attached(server, id);
  client.say({ type: "signal", signal: "INT" });
  assert.equal((await client.closed).code, 1000);
  const { state, reason, signal } = client.states.at(-1)!;
  assert.deepEqual([state, reason, signal], ["finished", "signaled", 2]);
  const script = "trap 'echo seen; exit 5' USR1; echo ready; while :; do sleep 0.1; done";
  const other = await attached(server, await created(server, { command: script, interactive: true }));
  await other.shows(/ready/);
  other.say({ type: "signal", signal: "USR1" });
  await other.closed;
  assert.match(other.text, /seen/);
  assert.equal(other.states.at(-1)!.exit_code, 5);
});

test("a terminal has its size and is resized; Ctrl-C and Ctrl-D mean what they do", options, async () => {
  await using server = await serving();
  const word = mark();
  const id = await created(server, {
    command:
      `tty; stty size; echo "$TERM"; stty -echo; read line; stty size; cat; sleep ${word}; echo "after $?"`,
    interactive: true,
    tty: { rows: 33, columns: 111 },
  });
  const client = await attached(server, id);
  await client.shows(/^\/dev\/\S+\r\n33 111\r\nxterm\r\n/);
  client.say({ type: "resize", rows: 12, columns: 34 });
  client.type("\n");
  await client.shows(/12 34\r\n/);
  assert.deepEqual(client.begun.terminal, { rows: 33, columns: 111 });
  client.type("to cat\n");
  await client.shows(/to cat\r\n/);
  client.type("\x04");
  // A shell that is about to start it may miss the interrupt.
  await until(() => sleeping(word));
  client.type("\x03");
  const { code } = await client.closed;
  const { state, signal, exit_code } = client.states.at(-1)!;
  assert.deepEqual([code, state], [1000, "finished"]);
  assert.ok(signal === 2 || exit_code === 130, JSON.stringify(client.states));
  assert.equal(client.errors, "");
});

test("a shell at a terminal has job control, and all its output arrives", options, async () => {
  await using server = await serving();
  const id = await created(server, { command: ["sh", "-i"], interactive: true, tty: true });
  const client = await attached(server, id);
  client.type("stty -echo; PS1=; echo be''gun\n");
  await client.shows(/begun/);
  const word = mark();
  client.type(`sleep ${word}\n`);
  await until(() => sleeping(word));
  client.type("\x03");
  await until(() => !sleeping(word));
  client.type("echo ali''ve; seq 20000; exit 7\n");
  assert.equal((await client.closed).code, 1000);
  assert.match(client.text, /alive\r\n1\r\n2\r\n[^]*\r\n20000\r\n/);
  assert.equal(client.states.at(-1)!.exit_code, 7);
});

test("one writes, others listen; who takes over ends the first", options, async () => {
  await using server = await serving();
  const id = await created(server, { command: "cat", interactive: true });
  const first = await attached(server, id);
  const { status } = await refused(server, `/v1/executions/${id}/attach`);
  assert.equal(status, 409);
  const listener = await attached(server, id, "?write=no");
  first.type("one\n");
  await listener.shows(/^one\n$/);
  listener.type("no\n");
  assert.equal((await listener.closed).code, 1008);
  assert.equal(listener.begun, undefined);
  const second = await attached(server, id, "?write=take");
  assert.equal((await first.closed).code, 4001);
  await until(() => second.begun);
  assert.equal(second.begun.bytes, 4);
  second.type("two\n");
  await second.shows(/^one\ntwo\n$/);
  second.say({ type: "eof" });
  assert.equal((await second.closed).code, 1000);
});

test("who writes goes away: it goes on, reads the end of its input, or is cancelled", options, async () => {
  await using server = await serving();
  for (const on_detach of ["keep", "eof", "cancel"]) {
    const word = mark();
    const command = on_detach === "eof" ? "cat; exit 6" : `echo begun; exec sleep ${word}`;
    const id = await created(server, { command, interactive: true, on_detach });
    const client = await attached(server, id);
    if (on_detach !== "eof") await until(() => sleeping(word));
    client.close();
    await client.closed;
    if (on_detach === "keep") {
      const back = await attached(server, id);
      back.say({ type: "signal", signal: "TERM" });
      await back.closed;
      assert.equal(back.states.at(-1)!.signal, 15);
    } else {
      const response = await server.request(`/v1/executions/${id}?wait=30`);
      const { state, reason, exit_code } = await response.json();
      const wanted = on_detach === "eof" ? ["finished", "exited", 6] : ["cancelled", "client", null];
      assert.deepEqual([state, reason, exit_code], wanted);
    }
  }
});

test("nonsense is closed with a code, and the execution goes on", options, async () => {
  await using server = await serving();
  const id = await created(server, { command: "cat", interactive: true });
  const orders = (client: Attached) => {
    for (let n = 0; n < 300; n++) client.say({ type: "signal", signal: "WINCH" });
  };
  for (
    const [does, wanted] of [
      [(client: Attached) => client.raw("hello"), 1007],
      [(client: Attached) => client.say({ type: "stdin" }), 1003],
      [(client: Attached) => client.say({ type: "signal", signal: "KILL" }), 1003],
      [(client: Attached) => client.say({ type: "eof", more: 1 }), 1003],
      [(client: Attached) => client.say({ type: "resize", rows: 1, columns: 1 }), 1008],
      [(client: Attached) => client.raw(new Uint8Array(300_000)), 1009],
      [orders, 1008],
    ] as const
  ) {
    const client = await attached(server, id);
    does(client);
    assert.equal((await client.closed).code, wanted, String(does));
  }
  const last = await attached(server, id);
  last.type("still\n");
  await last.shows(/still/);
});

test("a flood that the command does not read stays with the client", options, async () => {
  await using server = await serving();
  const resident = () =>
    Number(/^VmRSS:\s+(\d+)/m.exec(Deno.readTextFileSync(`/proc/${server.pid}/status`))![1]) / 1024;
  const before = resident();
  const id = await created(server, { command: "sleep 600", interactive: true });
  const client = await attached(server, id);
  for (let n = 0; n < 2000; n++) client.type(new Uint8Array(100_000));
  const { status } = await server.execute("echo others");
  assert.equal(status, 200);
  assert.ok(resident() - before < 100, `${before} MB, then ${resident()} MB`);
  const cancelled = await server.request(`/v1/executions/${id}/cancel`, { method: "POST" });
  assert.equal((await cancelled.json()).state, "cancelled");
  await client.closed;
});

test("what cannot be attached to is refused as any request is", options, async () => {
  await using server = await serving();
  const none = "01a1fce8-0c65-77dd-b174-7bd7724579e1";
  const plain = await created(server, { command: "sleep 600" });
  const path = `/v1/executions/${plain}/attach`;
  for (
    const [where, headers, wanted] of [
      [`/v1/executions/${none}/attach`, {}, 404],
      [path, {}, 409],
      [`${path}?write=maybe`, {}, 422],
      [`${path}?after=-1`, {}, 422],
      [path, { authorization: "" }, 401],
      [path, { authorization: "", "sec-websocket-protocol": "cordon.v1, cordon.token.wrong" }, 401],
      [path, { origin: "https://evil.example" }, 403],
      [`${path}?write=no`, { "sec-websocket-protocol": "other" }, 400],
      [`${path}?write=no`, { "sec-websocket-key": "short" }, 400],
      [`${path}?write=no`, { "sec-websocket-version": "8" }, 426],
      [`${path}?write=no`, { upgrade: "" }, 426],
    ] as [string, Record<string, string>, number][]
  ) {
    assert.equal(
      (await refused(server, where, headers)).status,
      wanted,
      `${where} ${JSON.stringify(headers)}`,
    );
  }
  // As browsers do, and by the path.
  const port = new URL(server.url).port;
  for (
    const [url, protocols] of [
      [`ws://127.0.0.1:${port}${path}?write=no`, ["cordon.v1", `cordon.token.${TOKEN}`]],
      [`ws://127.0.0.1:${port}/${TOKEN}${path}?write=no`, []],
    ] as [string, string[]][]
  ) {
    const socket = new WebSocket(url, protocols);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    assert.equal(socket.protocol, protocols[0] ?? "");
    const closed = new Promise((resolve) => socket.onclose = resolve);
    socket.close();
    await closed;
  }
  for (
    const json of [
      { command: "cat", tty: true },
      { command: "cat", on_detach: "eof" },
      { command: "cat", interactive: true, stdin: "x" },
      { command: "cat", interactive: true, tty: { rows: 0, columns: 1 } },
      { command: "cat", interactive: true, on_detach: "wait" },
    ]
  ) {
    const response = await server.request("/v1/executions", { method: "POST", json });
    assert.equal(response.status, 422, JSON.stringify(json));
    await response.body?.cancel();
  }
});

test("one that is stopped is continued, or ended at its time", options, async () => {
  await using server = await serving();
  const script = "echo ready; kill -STOP $$; echo on";
  const client = await attached(server, await created(server, { command: script, interactive: true }));
  await client.shows(/ready/);
  // Sent before it stops, a signal to continue does nothing.
  const again = setInterval(() => client.say({ type: "signal", signal: "CONT" }), 100);
  await client.closed;
  clearInterval(again);
  assert.match(client.text, /on/);
  const response = await server.request("/v1/executions", {
    method: "POST",
    json: { command: "kill -STOP $$", limits: { time: 1 }, wait: true },
  });
  assert.equal((await response.json()).reason, "timeout");
});

test("one with files, results and a session is attached to like any other", options, async () => {
  await using server = await serving();
  const begun = await server.request("/v1/sessions", { method: "POST", json: {} });
  const { id: session } = await begun.json();
  for (const tty of [false, { rows: 33, columns: 111 }]) {
    const id = await created(server, {
      session,
      command: "cat in; stty size 2>/dev/null; read line; echo $line >>out; trap 'echo seen; exit 4' USR1; " +
        "echo ready; while :; do sleep 0.1; done",
      files: [{ path: "in", text: "brought\n" }],
      results: ["out"],
      interactive: true,
      tty,
    });
    const client = await attached(server, id);
    client.type("typed\n");
    await client.shows(/ready/);
    client.say({ type: "signal", signal: "USR1" });
    assert.equal((await client.closed).code, 1000);
    assert.match(client.text, tty ? /^(typed\r\n)?brought\r\n33 111\r\n/ : /^brought\nready\n/);
    assert.equal(client.states.at(-1)!.exit_code, 4);
    const { results } = await (await server.request(`/v1/executions/${id}`)).json();
    const file = await server.request(`/v1/files/${results[0].file}`);
    assert.equal(await file.text(), tty ? "typed\ntyped\n" : "typed\n");
  }
});
