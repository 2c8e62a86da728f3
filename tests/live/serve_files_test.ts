/** Files and sessions of `cordon serve` with containers, before engines of the tests' own, as root. */
import assert from "node:assert/strict";
import { listContainers } from "../../lib/docker/containers.ts";
import { tmp } from "../helpers/binary.ts";
import { IMAGE, type RunningEngine, testEngines } from "../helpers/engines.ts";
import { forContainers, mark, type Serving, serving, sleeping, until } from "../helpers/serving.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

function serve(engine: RunningEngine, state = tmp()): Promise<Serving> {
  const policy = `aliases = { box = "${IMAGE}" }
[policies.default.files]
work = "4M"
store = "2M"`;
  return serving({ user: "caller", config: forContainers(engine, IMAGE, { policy }), state });
}

async function ask(server: Serving, method: string, path: string, json?: Json): Promise<Json> {
  const response = await server.request(`/v1/${path}`, { method, ...(json !== undefined && { json }) });
  const text = await response.text();
  return { status: response.status, ...(text !== "" && JSON.parse(text)) };
}

const run = (server: Serving, json: Json) => ask(server, "POST", "executions", { wait: true, ...json });
const shown = ({ results }: Json) => results.map(({ path, size, problem }: Json) => [path, size, problem]);

async function filesAndSessions(t: Deno.TestContext, engine: RunningEngine): Promise<void> {
  const containers = async () => (await listContainers(engine.engine, { all: true })).map(({ Id }) => Id);
  await t.step("files in, results out, and the container is gone", async () => {
    await using server = await serve(engine);
    const done = await run(server, {
      image: "box",
      command:
        "pwd; cat a/b 'odd name'; ./tool; cat; mkdir p; echo 1 >p/1.png; echo 2 >'p/2 [x].png'; exit 3",
      stdin: "in\n",
      files: [
        { path: "a/b", text: "è\n" },
        { path: "odd name", base64: "Zg==" },
        { path: "tool", text: "#!/bin/sh\necho ran\n", mode: "755" },
      ],
      results: ["p/*.png", "absent", "p", "[x]"],
    });
    assert.deepEqual([done.stdout, done.stderr, done.exit_code], ["/work\nè\nfran\nin\n", "", 3]);
    assert.deepEqual(shown(done), [
      ["p/1.png", 2, null],
      ["p/2 [x].png", 2, null],
      ["absent", null, "There is no such file"],
      ["p", null, "It is a directory"],
      ["[x]", null, "There is no such file"],
    ]);
    const response = await server.request(`/v1/files/${done.results[1].file}`);
    assert.equal(await response.text(), "2\n");
    const word = mark();
    const bad = await run(server, {
      image: "box",
      command:
        `ln -s /etc/passwd link; mkfifo pipe; dd if=/dev/zero of=huge bs=1M count=50 2>/dev/null; echo $?; ` +
        `rm huge; truncate -s 1G sparse; sleep ${word} & sleep ${word}1 >/dev/null 2>&1 & exit 0`,
      results: ["link", "pipe", "sparse"],
    });
    assert.equal(bad.stdout, "1\n");
    assert.deepEqual(shown(bad), [
      ["link", null, "It is a symbolic link"],
      ["pipe", null, "It is no regular file"],
      ["sparse", 2 ** 30, "It has more than 2097152 bytes"],
    ]);
    assert.deepEqual([sleeping(word), sleeping(`${word}1`)], [false, false]);
    const late = await run(server, {
      image: "box",
      command: "echo kept >out; sleep 600",
      limits: { time: 1 },
      results: ["out"],
    });
    assert.deepEqual([late.reason, late.status, shown(late)], ["timeout", 124, [["out", 5, null]]]);
    await until(async () => (await containers()).length === 0);
  });
  await t.step("a session is one container; its files stay, its processes do not", async () => {
    await using server = await serve(engine);
    const { id, status } = await ask(server, "POST", "sessions", { image: "box", env: { WHO: "session" } });
    assert.equal(status, 201);
    const word = mark();
    const first = await run(server, {
      session: id,
      command: `echo one >f; echo tmp >/tmp/f; sleep ${word} >/dev/null 2>&1 & echo $WHO; sleep 0.1`,
    });
    assert.equal(first.stdout, "session\n");
    assert.equal(sleeping(word), false);
    const [container] = await containers();
    const second = await run(server, {
      session: id,
      command: ["sh", "-c", "cat f in /tmp/f; echo $WHO"],
      files: [{ path: "in", text: "in\n" }],
      env: { WHO: "me" },
    });
    assert.equal(second.stdout, "one\nin\ntmp\nme\n");
    assert.deepEqual(await containers(), [container]);
    const another = mark();
    const begun = await ask(server, "POST", "executions", { session: id, command: `exec sleep ${another}` });
    await until(() => sleeping(another));
    await ask(server, "POST", `executions/${begun.id}/cancel`);
    assert.equal(sleeping(another), false);
    assert.equal((await run(server, { session: id, command: "cat f; exit 4" })).exit_code, 4);
    // It cannot end what waits for the next command; if its container ends all the same, that is told.
    await run(server, { session: id, command: "kill -9 1; kill -9 -1" });
    assert.equal((await run(server, { session: id, command: "cat f" })).stdout, "one\n");
    // Processes without end leave none to end them with: then the container goes.
    const many = mark();
    const bomb = await run(server, {
      session: id,
      command: `while :; do sleep ${many} & done 2>/dev/null`,
      limits: { time: 2 },
    });
    assert.ok(["timeout", "exited"].includes(bomb.reason), bomb.reason);
    await until(() => !sleeping(many));
    assert.equal((await ask(server, "DELETE", `sessions/${id}`)).status, 204);
    await until(async () => (await containers()).length === 0);
  });
  await t.step("after SIGKILL the next server removes the session's container", async () => {
    const state = tmp();
    {
      await using server = await serve(engine, state);
      const { id } = await ask(server, "POST", "sessions", { image: "box" });
      await run(server, { session: id, command: "echo one >f" });
      assert.equal((await containers()).length, 1);
      server.kill("SIGKILL");
      await server.status;
    }
    await using server = await serve(engine, state);
    await until(async () => (await containers()).length === 0);
    assert.deepEqual((await ask(server, "GET", "sessions")).sessions, []);
  });
}

testEngines((name) => `serve gives containers of ${name} files and sessions`, filesAndSessions);
