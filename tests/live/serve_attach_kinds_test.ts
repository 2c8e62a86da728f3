/** Attaching to executions in containers of real engines, as root. */
import assert from "node:assert/strict";
import { listContainers } from "../../lib/docker/containers.ts";
import { attached, created } from "../helpers/attached.ts";
import { IMAGE, type RunningEngine, testEngines } from "../helpers/engines.ts";
import { forContainers, type Serving, serving, until } from "../helpers/serving.ts";

const TRAP = "trap 'echo seen; exit 5' USR1; echo ready; while :; do sleep 0.1; done";
/** Engines before Docker 23 learn of the size when it has started. */
const SIZED = "until stty size 2>/dev/null | grep '33 111'; do sleep 0.1; done; read line; stty size; " +
  'echo "$TERM"; exit 7';

async function attachSuite(t: Deno.TestContext, engine: RunningEngine): Promise<void> {
  await using server = await serving({
    user: "caller",
    config: forContainers(engine, IMAGE),
  });
  await t.step(
    "a container of its own takes input, signals and the size of its terminal",
    () => conversation(server, { image: IMAGE }),
  );
  await t.step("so does one with files, whose results come back", async () => {
    await conversation(server, { image: IMAGE, files: [{ path: "in", text: "in\n" }], results: ["out"] });
    const id = await created(server, {
      command: "cat in - >out",
      image: IMAGE,
      files: [{ path: "in", text: "in\n" }],
      results: ["out"],
      interactive: true,
    });
    const client = await attached(server, id);
    client.type("typed\n");
    client.say({ type: "eof" });
    await client.closed;
    const { results } = await (await server.request(`/v1/executions/${id}`)).json();
    const file = await server.request(`/v1/files/${results[0].file}`);
    assert.equal(await file.text(), "in\ntyped\n");
  });
  await t.step("so does one of a session, which goes on", async () => {
    const begun = await server.request("/v1/sessions", { method: "POST", json: { image: IMAGE } });
    const { id: session } = await begun.json();
    await conversation(server, { session });
    // What nobody writes to ends at its time, and what is cancelled at once.
    const late = await created(server, {
      session,
      command: "echo kept >f; cat",
      interactive: true,
      limits: { time: 1 },
    });
    const { reason } = await (await server.request(`/v1/executions/${late}?wait=60`)).json();
    assert.equal(reason, "timeout");
    const on_detach = "cancel";
    const left = await created(server, { session, command: "cat", interactive: true, tty: true, on_detach });
    const client = await attached(server, left);
    client.type("x\n");
    await client.shows(/x\r\n/);
    client.close();
    const { state } = await (await server.request(`/v1/executions/${left}?wait=60`)).json();
    assert.equal(state, "cancelled");
    const last = await server.request("/v1/executions", {
      method: "POST",
      json: { session, command: "cat f", wait: true },
    });
    assert.equal((await last.json()).stdout, "kept\n");
    const absent = await created(server, { session, command: ["nowhere"], interactive: true });
    const { status } = await (await server.request(`/v1/executions/${absent}?wait=60`)).json();
    assert.equal(status, 127);
    await (await server.request(`/v1/sessions/${session}`, { method: "DELETE" })).body?.cancel();
  });
  await until(async () => (await listContainers(engine.engine, { all: true })).length === 0);
}

/** The same in each kind of container. */
async function conversation(server: Serving, where: Record<string, unknown>): Promise<void> {
  const begin = async (more: Record<string, unknown>) =>
    await attached(server, await created(server, { ...where, interactive: true, ...more }));
  const plain = await begin({ command: "cat; exit 3" });
  plain.type("12\nhello\n");
  await plain.shows(/^12\nhello\n$/);
  plain.say({ type: "eof" });
  assert.equal((await plain.closed).code, 1000);
  assert.equal(plain.states.at(-1)!.exit_code, 3);
  const much = await begin({ command: "wc -c" });
  const piece = new Uint8Array(64 * 1024);
  for (let n = 0; n < 32; n++) {
    much.type(piece);
    await until(() => much.taken >= (n - 3) * piece.length);
  }
  much.say({ type: "eof" });
  await much.closed;
  assert.equal(much.text.trim(), String(32 * piece.length));
  const signalled = await begin({ command: ["sh", "-c", TRAP] });
  await signalled.shows(/ready/);
  signalled.say({ type: "signal", signal: "USR1" });
  await signalled.closed;
  assert.match(signalled.text, /seen/);
  assert.equal(signalled.states.at(-1)!.exit_code, 5);
  const terminal = await begin({ command: SIZED, tty: { rows: 33, columns: 111 } });
  await terminal.shows(/^33 111\r\n/);
  terminal.say({ type: "resize", rows: 12, columns: 34 });
  terminal.type("\n");
  assert.equal((await terminal.closed).code, 1000);
  assert.match(terminal.text, /12 34\r\nxterm\r\n/);
  assert.equal(terminal.states.at(-1)!.exit_code, 7);
  const shell = await begin({ command: ["sh", "-i"], tty: true });
  shell.type("stty -echo; PS1=; echo be''gun\n");
  await shell.shows(/begun/);
  shell.type("cat >/dev/null\n");
  // Ctrl-C ends what runs, not the shell.
  let turn = 0;
  const again = setInterval(() => shell.type(turn++ % 2 === 0 ? "\x03" : "echo ali''ve\n"), 200);
  await shell.shows(/alive/);
  clearInterval(again);
  shell.type("exit 4\n");
  await shell.closed;
  assert.equal(shell.states.at(-1)!.exit_code, 4);
}

testEngines((name) => `a container of ${name} is attached to`, attachSuite);
