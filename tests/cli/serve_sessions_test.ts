/** Sessions of the real server: files stay from one command to the next, and nothing else does. */
import assert from "node:assert/strict";
import { test, userns } from "../helpers/need.ts";
import { hashed, mark, type Serving, serving, sleeping, TOKEN, until } from "../helpers/serving.ts";

const options = { needs: [userns] };
const OTHER = "a-token-of-another-tenant";

function config(more: string): string {
  return `
engine = "namespaces"
[policies.default]
images = ["host"]
${more}
[tenants.class]
tokens = ["${hashed(TOKEN)}"]
[tenants.other]
tokens = ["${hashed(OTHER)}"]
`;
}

// deno-lint-ignore no-explicit-any
type Json = any;

interface Answer {
  status: number;
  body: Json;
}

async function ask(server: Serving, method: string, path: string, init: Json = {}): Promise<Answer> {
  const response = await server.request(`/v1/${path}`, { method, ...init });
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
}

const begin = (server: Serving, json: Json = {}) => ask(server, "POST", "sessions", { json });
const run = (server: Serving, session: string, json: Json) =>
  ask(server, "POST", "executions", { json: { wait: true, session, ...json } });

/** File systems in memory that the server holds. */
function held({ pid }: Serving): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].filter(({ name }) => {
    try {
      return Deno.statSync(`/proc/${pid}/fd/${name}/.`).isDirectory;
    } catch (error) {
      if (error instanceof Error) return false;
      throw error;
    }
  }).length;
}

test("files stay between commands, processes and what is outside do not", options, async () => {
  await using server = await serving();
  const { status, body: { id, idle_seconds, busy } } = await begin(server, {
    env: { WHO: "session", A: "1" },
  });
  assert.deepEqual([status, idle_seconds, busy], [201, 900, 0]);
  const word = mark();
  const first = await run(server, id, {
    command: "mkdir -p d/e; echo one >d/e/f; ln d/e/f hard; ln -s d/e/f soft; ln -s /etc/passwd out; " +
      "printf '#!/bin/sh\\necho ran' >tool; chmod 750 tool; mkfifo pipe; truncate -s 1G sparse; " +
      `touch -d 2001-02-03T04:05:06Z old; echo x >/tmp/gone; setsid sleep ${word} >/dev/null 2>&1 & echo $WHO$A`,
    files: [{ path: "in.txt", text: "in\n" }],
  });
  assert.deepEqual([first.body.stdout, first.body.stderr], ["session1\n", ""]);
  assert.equal(sleeping(word), false);
  const second = await run(server, id, {
    command:
      "pwd; cat d/e/f in.txt soft; ./tool; stat -c %a tool; stat -c %h hard; [ hard -ef d/e/f ] && echo same; " +
      "readlink out; stat -c '%s %b' sparse; date -u -r old +%F; ls /tmp; ls pipe 2>/dev/null; echo $WHO$A; echo two >>d/e/f",
    env: { A: "2" },
    results: ["d/e/f", "out"],
  });
  assert.equal(
    second.body.stdout,
    "/work\none\nin\none\nran\n750\n2\nsame\n/etc/passwd\n1073741824 0\n2001-02-03\nsession2\n",
  );
  assert.equal(second.body.results[0].size, 8);
  assert.equal(second.body.results[1].problem, "It is a symbolic link");
  // Also what a command left whose time was up, and one that was cancelled.
  const late = await run(server, id, { command: "echo late >late; sleep 600", limits: { time: 1 } });
  assert.equal(late.body.reason, "timeout");
  const another = mark();
  const begun = await ask(server, "POST", "executions", {
    json: { session: id, command: `echo cut >cut; exec sleep ${another}` },
  });
  await until(() => sleeping(another));
  await ask(server, "POST", `executions/${begun.body.id}/cancel`);
  const third = await run(server, id, { command: "cat late cut hard" });
  assert.equal(third.body.stdout, "late\ncut\none\ntwo\n");
  assert.equal((await ask(server, "DELETE", `sessions/${id}`)).status, 204);
  assert.equal((await ask(server, "GET", `sessions/${id}`)).status, 404);
  assert.equal((await run(server, id, { command: "true" })).status, 422);
});

test("commands of a session run one after the other, in their order", options, async () => {
  await using server = await serving();
  const { body: { id } } = await begin(server);
  const ids: string[] = [];
  for (let n = 0; n < 4; n++) {
    const command = `echo begin >>log; sleep 0.1; echo end${n} >>log`;
    ids.push((await ask(server, "POST", "executions", { json: { session: id, command } })).body.id);
  }
  for (const one of ids) await ask(server, "GET", `executions/${one}?wait=60`);
  const { body } = await run(server, id, { command: "cat log" });
  assert.equal(body.stdout, "begin\nend0\nbegin\nend1\nbegin\nend2\nbegin\nend3\n");
});

test(
  "a file put through a link that a command left goes nowhere, where writing follows it",
  options,
  async () => {
    await using server = await serving();
    const { body: { id } } = await begin(server);
    const target = `${server.state}/planted`;
    await run(server, id, { command: `ln -s ${server.state} dir; ln -s ${target} file; mkdir real` });
    const through = await run(server, id, { command: "ls", files: [{ path: "dir/planted", text: "x" }] });
    assert.deepEqual([through.body.reason, through.body.exit_code], ["cordon", null]);
    const over = await run(server, id, {
      command: "cat file; ls",
      files: [{ path: "file", text: "mine\n" }],
    });
    assert.equal(over.body.stdout, "mine\ndir\nfile\nreal\n");
    const onto = await run(server, id, { command: "ls", files: [{ path: "real", text: "x" }] });
    assert.equal(onto.body.reason, "cordon");
    assert.throws(() => Deno.lstatSync(target), Deno.errors.NotFound);
    // A failure to put files in leaves the session as it was.
    assert.equal((await run(server, id, { command: "ls" })).body.stdout, "dir\nfile\nreal\n");
  },
);

test("a session whose files its command shut away, filled or tangled goes on", options, async () => {
  await using server = await serving({ config: config(`[policies.default.files]\nwork = "2M"`) });
  const { body: { id } } = await begin(server);
  const first = await run(server, id, {
    command: "mkdir shut; echo x >shut/f; chmod 0 shut/f shut; head -c 1M /dev/zero >big; " +
      "for n in 1 2 3 4 5 6 7 8; do ln big big$n; done; head -c 9M /dev/zero >full; chmod 0 .",
  });
  assert.match(first.body.stderr, /No space left on device/);
  const second = await run(server, id, {
    command:
      "stat -c '%a' . shut; chmod 700 . shut shut/f; cat shut/f; stat -c %h big; rm full; echo room >room && cat room",
  });
  assert.equal(second.body.stdout, "700\n0\nx\n9\nroom\n", second.body.stderr);
});

test("how many there are, how long they stay, and whose they are", options, async () => {
  await using server = await serving({
    config: config(`[policies.default.sessions]\nmost = 2\nidle = "20s"`),
  });
  const [first, second] = [await begin(server), await begin(server, { idle_seconds: 1 })];
  const third = await begin(server);
  assert.deepEqual([third.status, third.body.type], [403, "urn:cordon:problem:refused"]);
  assert.equal((await begin(server, { idle_seconds: 21 })).status, 403);
  const { id } = first.body;
  for (const method of ["GET", "DELETE"]) {
    assert.equal((await ask(server, method, `sessions/${id}`, { token: OTHER })).status, 404);
  }
  assert.deepEqual((await ask(server, "GET", "sessions", { token: OTHER })).body.sessions, []);
  const foreign = await ask(server, "POST", "executions", {
    token: OTHER,
    json: { command: "true", session: id },
  });
  assert.equal(foreign.status, 422);
  await run(server, id, { command: "echo >f" });
  await run(server, second.body.id, { command: "echo >f; sleep 1.5" });
  assert.equal(held(server), 2);
  // A command that runs longer than the session may be idle does not end it: the second one was there until now.
  await until(async () => (await ask(server, "GET", `sessions/${second.body.id}`)).status === 404);
  await until(() => held(server) === 1);
  const list = await ask(server, "GET", "sessions");
  assert.deepEqual(list.body.sessions.map((session: Json) => session.id), [id]);
  // Its end ends what runs in it and what waits.
  const word = mark();
  const running = await ask(server, "POST", "executions", {
    json: { session: id, command: `exec sleep ${word}` },
  });
  const waiting = await ask(server, "POST", "executions", { json: { session: id, command: "echo late" } });
  await until(() => sleeping(word));
  assert.equal((await ask(server, "DELETE", `sessions/${id}`)).status, 204);
  assert.equal(sleeping(word), false);
  for (const { body } of [running, waiting]) {
    const { state, stdout } = (await ask(server, "GET", `executions/${body.id}`)).body;
    assert.deepEqual([state, stdout], ["cancelled", ""]);
  }
  assert.equal(held(server), 0);
});

test("nothing of a session is left after its server's death", options, async () => {
  let state: string, id: string;
  const word = mark();
  {
    await using server = await serving();
    state = server.state;
    id = (await begin(server)).body.id;
    await run(server, id, { command: "echo secret-of-the-session >f" });
    await ask(server, "POST", "executions", { json: { session: id, command: `exec sleep ${word}` } });
    await until(() => sleeping(word));
    server.kill("SIGKILL");
    await server.status;
  }
  await until(() => !sleeping(word));
  await using server = await serving({ state });
  assert.deepEqual((await ask(server, "GET", "sessions")).body.sessions, []);
  assert.equal((await run(server, id, { command: "cat f" })).status, 422);
  assert.equal(held(server), 0);
});

test("every bad request to /v1/sessions has its answer", options, async () => {
  await using server = await serving();
  const none = "0".repeat(32);
  for (
    const [json, status] of [
      [{ x: 1 }, 422],
      [{ command: "true" }, 422],
      [{ idle_seconds: 0 }, 422],
      [{ image: "host", args: "host" }, 422],
      [{ args: "--tmpfs /work host" }, 422],
      [{ args: "--privileged host" }, 403],
      [{ image: "nowhere" }, 403],
      [{ limits: { time: 1e6 } }, 403],
      [[], 422],
    ] as [Json, number][]
  ) {
    assert.equal((await begin(server, json)).status, status, JSON.stringify(json));
  }
  for (
    const [method, path, status] of [
      ["GET", none, 404],
      ["DELETE", none, 404],
      ["GET", "x", 404],
      ["PUT", none, 405],
    ] as const
  ) {
    assert.equal((await ask(server, method, `sessions/${path}`)).status, status);
  }
  assert.equal((await ask(server, "GET", "sessions", { token: "" })).status, 401);
  const { body: { id } } = await begin(server);
  for (
    const more of [{ image: "host" }, { args: "host" }, { network: "none" }, { session: none }, {
      session: "x",
    }]
  ) {
    assert.equal((await run(server, id, { command: "true", ...more })).status, 422, JSON.stringify(more));
  }
});
