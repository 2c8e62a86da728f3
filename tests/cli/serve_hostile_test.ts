/** Clients of /v1 that race, guess, stall and send nonsense, before the real server. */
import assert from "node:assert/strict";
import { tmp } from "../helpers/run.ts";
import { attached, created } from "../helpers/attached.ts";
import { root, test, userns } from "../helpers/need.ts";
import { Raw } from "../helpers/raw_http.ts";
import { hashed, mark, type Serving, serving, sleeping, TOKEN, until } from "../helpers/serving.ts";
import { ordinaryTmp } from "../helpers/user.ts";

const options = { needs: [userns] };
const MIB = 2 ** 20;
const OTHER = "a-token-of-another-tenant";

// deno-lint-ignore no-explicit-any
type Json = any;

/** Two tenants. */
function config({ top = "", files = "", limits = "" } = {}): string {
  return `
engine = "namespaces"
${top}
[policies.default]
images = ["host"]
${limits}
${files && `[policies.default.files]\n${files}`}
[tenants.class]
tokens = ["${hashed(TOKEN)}"]
[tenants.other]
tokens = ["${hashed(OTHER)}"]
`;
}

async function ask(server: Serving, method: string, path: string, init: Json = {}) {
  const response = await server.request(`/v1/${path}`, { method, ...init });
  const text = await response.text();
  return { status: response.status, text, body: text.startsWith("{") ? JSON.parse(text) as Json : undefined };
}

const run = (server: Serving, json: Json) =>
  ask(server, "POST", "executions", { json: { wait: true, ...json } });

function head(server: Serving, path: string, more: string[] = []): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${new URL(server.url).host}`,
    `Authorization: Bearer ${TOKEN}`,
  ];
  return `${[...lines, ...more].join("\r\n")}\r\n\r\n`;
}

const port = (server: Serving) => Number(new URL(server.url).port);

test("many at once under one key run once, and each is told the same", options, async () => {
  await using server = await serving();
  const headers = { "idempotency-key": "race" };
  const { body: { id: session } } = await ask(server, "POST", "sessions", { json: {} });
  const json = { command: "echo ran >>runs; sleep 0.2", session };
  const answers = await Promise.all(Array.from({ length: 24 }, async (_, n) => {
    const accept = n % 3 === 2 ? { accept: "text/event-stream" } : {};
    return await ask(server, "POST", "executions", {
      json: { ...json, wait: n % 3 === 1 },
      headers: { ...headers, ...accept },
    });
  }));
  assert.deepEqual(answers.map(({ status }) => status).filter((status) => status >= 300), []);
  const ids = new Set(answers.flatMap(({ body }) => body ? [body.id] : []));
  assert.equal(ids.size, 1);
  // Another body under the key, also while it runs, and another tenant's same key.
  const other = await ask(server, "POST", "executions", { json: { command: "true" }, headers });
  assert.equal(other.status, 409);
  assert.equal((await run(server, { command: "cat runs", session })).body.stdout, "ran\n");
});

test("nothing of another tenant is there, whatever is asked for with its id", options, async () => {
  await using server = await serving({ config: config() });
  const { body: { id: session } } = await ask(server, "POST", "sessions", { json: {} });
  const word = mark();
  const headers = { "idempotency-key": "mine" };
  const { body: { id } } = await ask(server, "POST", "executions", {
    json: { command: `sleep ${word}`, interactive: true, session },
    headers,
  });
  await until(() => sleeping(word));
  const upload = { body: "x", headers: { "content-type": "application/octet-stream" } };
  const { body: { id: file } } = await ask(server, "POST", "files", upload);
  const absent = { execution: "01a1fce8-0c65-77dd-b174-7bd7724579e1", other: "0".repeat(32) };
  for (
    const [method, path, own, none] of [
      ["GET", "executions/ID", id, absent.execution],
      ["GET", "executions/ID?wait=1", id, absent.execution],
      ["GET", "executions/ID/events", id, absent.execution],
      ["GET", "executions/ID/attach", id, absent.execution],
      ["GET", "executions/ID/attach?write=take", id, absent.execution],
      ["POST", "executions/ID/cancel", id, absent.execution],
      ["GET", "sessions/ID", session, absent.other],
      ["DELETE", "sessions/ID", session, absent.other],
      ["GET", "files/ID", file, absent.other],
      ["HEAD", "files/ID", file, absent.other],
      ["DELETE", "files/ID", file, absent.other],
    ] as const
  ) {
    const theirs = await ask(server, method, path.replace("ID", own), { token: OTHER });
    const nobodys = await ask(server, method, path.replace("ID", none), { token: OTHER });
    // Not even that there is one can be told.
    assert.deepEqual([theirs.status, theirs.text], [404, nobodys.text], `${method} ${path}`);
  }
  for (const json of [{ command: "true", session }, { command: "true", files: [{ path: "f", file }] }]) {
    assert.equal((await ask(server, "POST", "executions", { json, token: OTHER })).status, 422);
  }
  // Keys are each tenant's own.
  const same = await ask(server, "POST", "executions", { json: { command: "true" }, headers, token: OTHER });
  assert.equal(same.status, 202);
  assert.notEqual(same.body.id, id);
  const list = await ask(server, "GET", `executions?before=ffffffff-ffff-7fff-bfff-ffffffffffff`, {
    token: OTHER,
  });
  assert.deepEqual(list.body.executions.map((one: Json) => one.id), [same.body.id]);
  const mine = await ask(server, "GET", `executions/${id}`);
  assert.deepEqual([mine.body.state, mine.body.session], ["running", session]);
});

test("nonsense as Last-Event-ID is refused, and a position that there is not yet", options, async () => {
  await using server = await serving();
  const word = mark();
  const running = await created(server, { command: `echo one; exec sleep ${word}` });
  await until(() => sleeping(word));
  const { body: { id: ended } } = await run(server, { command: "echo one" });
  for (const id of [running, ended]) {
    for (
      const last of [
        ...["", "x", "-1", "1.5", "1e3", "0x10", "9".repeat(16), "9".repeat(4000), "1, 2", "1;2", "٣", "NaN"],
        ...["1000000", "999999999999999"],
      ]
    ) {
      const raw = await Raw.open(
        port(server),
        head(server, `/v1/executions/${id}/events`, [`Last-Event-ID: ${last}`]),
      );
      const [line] = await raw.until(/^HTTP\/1\.1 \d+/);
      raw.close();
      assert.match(line, / (422|400)$/, `${last} of ${id}`);
    }
    for (const after of ["x", "-1", "1.5", "1000000", "9".repeat(30)]) {
      const { status } = await ask(server, "GET", `executions/${id}/events?after=${after}`);
      assert.equal(status, 422, `${after} of ${id}`);
    }
  }
});

test("who followed an execution that was lost is told so, wherever it was", options, async () => {
  const state = ordinaryTmp();
  let id: string;
  const word = mark();
  {
    await using server = await serving({ state });
    id = await created(server, { command: `seq 1000; exec sleep ${word}` });
    await until(() => sleeping(word));
    server.kill("SIGKILL");
    await server.status;
  }
  await using server = await serving({ state });
  for (const last of [1, 2, 3000]) {
    const { status, text } = await ask(server, "GET", `executions/${id}/events`, {
      headers: { "last-event-id": String(last) },
    });
    assert.equal(status, 200);
    assert.match(text, /"state":"lost"/);
    const [, end] = /^id: (\d+)$/m.exec(text)!;
    const again = await ask(server, "GET", `executions/${id}/events?after=${end}`);
    assert.equal(again.status, 204);
  }
  const client = await attached(server, id, "?after=3000");
  assert.equal((await client.closed).code, 1000);
  assert.equal(client.states.at(-1)!.state, "lost");
});

test("uploads at the same time do not pass the quota together", options, async () => {
  await using server = await serving({ config: config({ files: `store = "1M"\nmost = 6` }) });
  const upload = (bytes: number) =>
    ask(server, "POST", "files", {
      // Of a length that is not told ahead.
      body: new ReadableStream({
        async start(to) {
          for (let at = 0; at < bytes; at += 65536) {
            to.enqueue(new Uint8Array(Math.min(65536, bytes - at)));
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
          to.close();
        },
      }),
      headers: { "content-type": "application/octet-stream" },
    });
  const stored = async () =>
    (await ask(server, "GET", "files")).body.files.map(({ size }: Json) => size as number);
  const onDisk = () =>
    [...Deno.readDirSync(`${server.state}/files`)]
      .map(({ name }) => Deno.statSync(`${server.state}/files/${name}`).size);
  let highest = 0;
  const watch = setInterval(() => {
    try {
      highest = Math.max(highest, onDisk().reduce((sum, size) => sum + size, 0));
    } catch (error) {
      // One went while we looked.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }, 1);
  const large = await Promise.all(Array.from({ length: 8 }, () => upload(0.4 * MIB)));
  clearInterval(watch);
  const kept = large.filter(({ status }) => status === 201).length;
  assert.ok(kept <= 2, `${kept} of 0.4 MiB were taken`);
  assert.ok(large.every(({ status }) => status === 201 || status === 413));
  assert.ok(highest <= MIB, `${highest} bytes were on the disk`);
  assert.equal((await stored()).length, kept);
  await until(() => onDisk().length === kept);
  const many = await Promise.all(Array.from({ length: 20 }, () => upload(10)));
  assert.equal(many.filter(({ status }) => status === 201).length, 6 - kept);
  // What was given back can be had again.
  for (const { body } of [...large, ...many]) {
    if (body?.id) assert.equal((await ask(server, "DELETE", `files/${body.id}`)).status, 204);
  }
  assert.equal((await upload(MIB)).status, 201);
  assert.deepEqual(await stored(), [MIB]);
});

test("sizes, times and names at the edge of what a file can have are told and kept", options, async () => {
  await using server = await serving();
  const { body: { id } } = await ask(server, "POST", "sessions", { json: {} });
  const first = await run(server, {
    session: id,
    command: "truncate -s 1E exa; echo end >>exa; truncate -s 9223372036854775807 most; echo x >kept; " +
      "touch -d @-5 before; touch -d @99999999999 later; touch -d @8999999999999999 never 2>/dev/null; " +
      `echo y >"$(printf '\\377')"; ln -s "$(printf '\\377')" link; echo z >"$(printf '%0255d' 0)"; ` +
      `echo n >-n; mkdir -p "a b/*"; echo s >'a b/*/[?]'; ` +
      'd=.; for i in $(seq 300); do d=$d/0123456789012345; mkdir "$d" 2>/dev/null || break; done; echo "$i"',
    results: ["exa", "most", "kept", "-n", "0*0", "a b/[*]/*", "a b/*/*", "link"],
  });
  assert.match(first.body.stdout, /^2\d\d\n$/);
  const results = new Map<string, Json>(first.body.results.map((one: Json) => [one.path, one]));
  for (const path of ["exa", "most"]) assert.match(results.get(path)?.problem ?? first.text, /more than/);
  for (const path of ["kept", "-n", "0".repeat(255), "a b/*/[?]"]) {
    assert.equal(results.get(path)?.problem, null, path);
  }
  const again = await ask(server, "GET", `executions/${first.body.id}`);
  assert.deepEqual(again.body?.results, first.body.results, again.text);
  assert.ok(again.body.results.every(({ size }: Json) => size === null || Number.isSafeInteger(size)));
  const second = await run(server, {
    session: id,
    command: "stat -c %s exa most; tail -c 4 exa; stat -c %Y later; cat kept ./-n 'a b/*/[?]'; LC_ALL=C ls",
  });
  assert.equal(second.body.reason, "exited", second.text);
  assert.equal(
    second.body.stdout,
    `${2n ** 60n + 4n}\n${2n ** 63n - 1n}\nend\n99999999999\nx\nn\ns\n` +
      `-n\n${"0".repeat(255)}\n0123456789012345\na b\nbefore\nexa\nkept\nlater\nmost\nnever\n`,
  );
  // Patterns may lead to more than the longest path.
  const long = "n".repeat(250);
  const deep = await run(server, {
    command: `for i in $(seq 20); do mkdir ${long}; cd ${long}; done; echo x >f; echo done`,
    results: [`${"*/".repeat(20)}f`],
  });
  assert.deepEqual([deep.body.stdout, deep.body.reason], ["done\n", "exited"], deep.text.slice(0, 500));
  assert.equal(deep.body.results[0].problem, "There is no such file");
});

test(
  "commands of a session wait in the queue, and hold no place that others could have",
  options,
  async () => {
    await using server = await serving({ config: config({ top: "concurrency = 2" }) });
    const { body: { id: session } } = await ask(server, "POST", "sessions", { json: {} });
    const word = mark();
    const json = (command: string) => ({ json: { session, command } });
    const first = await ask(server, "POST", "executions", json(`exec sleep ${word}`));
    await until(() => sleeping(word));
    const waiting = [];
    for (const n of [1, 2, 3]) waiting.push(await ask(server, "POST", "executions", json(`echo ${n} >>log`)));
    // Beside two that wait for the session there is a place, for each tenant.
    assert.equal((await run(server, { command: "echo on" })).body.stdout, "on\n");
    const theirs = await ask(server, "POST", "executions", {
      json: { command: "echo on", wait: true },
      token: OTHER,
    });
    assert.equal(theirs.body.stdout, "on\n");
    for (const { body } of waiting) {
      const { state, started } = (await ask(server, "GET", `executions/${body.id}`)).body;
      assert.deepEqual([state, started, body.session], ["queued", null, session]);
    }
    assert.equal((await ask(server, "GET", `sessions/${session}`)).body.busy, 4);
    const cancelled = await ask(server, "POST", `executions/${waiting[1]!.body.id}/cancel`);
    assert.equal(cancelled.body.state, "cancelled");
    await ask(server, "POST", `executions/${first.body.id}/cancel`);
    await ask(server, "GET", `executions/${waiting[2]!.body.id}?wait=60`);
    const { body } = await run(server, { session, command: "cat log" });
    assert.equal(body.stdout, "1\n3\n");
  },
);

test(
  "why the server could not start a command is told, where and whenever it is asked for",
  options,
  async () => {
    await using server = await serving();
    const { body: { id: session } } = await ask(server, "POST", "sessions", { json: {} });
    await run(server, { session, command: "ln -s /etc dir" });
    const json = { session, command: "true", files: [{ path: "dir/x", text: "x" }] };
    const { body } = await run(server, json);
    assert.deepEqual([body.reason, body.status], ["cordon", 125]);
    assert.equal(body.detail, 'Cannot put "dir/x" into the working directory: "dir" is a symbolic link');
    const events = await ask(server, "GET", `executions/${body.id}/events`);
    const last = JSON.parse(
      /^data: (.*)\n\n$/m.exec(events.text.slice(events.text.lastIndexOf("data: ")))![1]!,
    );
    assert.deepEqual([last.reason, last.detail], ["cordon", body.detail]);
    assert.equal((await ask(server, "GET", "executions?limit=1")).body.executions[0].detail, body.detail);
    const nowhere = await run(server, { command: "true", workdir: "/etc/passwd/x" });
    assert.equal(nowhere.body.reason, "cordon", nowhere.text);
    assert.match(nowhere.body.detail, /\/etc\/passwd\/x/);
    assert.equal((await run(server, { command: "echo cordon: no >&2; exit 125" })).body.detail, null);
  },
);

test("a WebSocket that floods, stalls or falls silent is closed with its code", options, async () => {
  await using server = await serving({ config: config({ top: '[connections]\nstall = "1s"' }) });
  const word = mark();
  const id = await created(server, { command: `exec sleep ${word}`, interactive: true });
  const flood = await attached(server, id);
  for (let n = 0; n < 20; n++) flood.type(new Uint8Array(64 * 1024));
  const { code, reason } = await flood.closed;
  assert.deepEqual([code, reason], [1013, "the command does not read its input"]);
  assert.ok(sleeping(word));
  // One who does not even answer pings.
  const silent = await Raw.open(
    port(server),
    head(server, `/v1/executions/${id}/attach?write=take`, [
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]),
  );
  const said = await silent.rest();
  silent.close();
  assert.match(said, /no answer to pings$/);
  // One who takes nothing of much output gets no code any more: it is cut off, and others are not held up.
  const much = await created(server, { command: "head -c 1000000 /dev/zero; cat", interactive: true });
  const stuck = await Raw.open(
    port(server),
    head(server, `/v1/executions/${much}/attach`, [
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]),
  );
  await until(async () => (await ask(server, "GET", `executions/${much}`)).body.stdout_bytes === 1_000_000);
  const next = await attached(server, much, "?write=take");
  await until(() => next.bytes.length === 1_000_000);
  next.say({ type: "eof" });
  assert.equal((await next.closed).code, 1000);
  stuck.close();
});

test("a full disk refuses files with a time to come back, and ends no command", {
  needs: [root, userns],
}, async () => {
  const state = tmp();
  const mount = 'mount -t tmpfs -o size=2m,mode=700 none "$0" && exec "$@"';
  const through = ["unshare", "-m", "--propagation", "private", "sh", "-c", mount, state];
  await using server = await serving({
    user: "caller",
    state,
    through,
    config: config({ top: 'user = "nobody"' }),
  });
  const upload = (bytes: number) =>
    server.request("/v1/files", {
      method: "POST",
      body: new Uint8Array(bytes),
      headers: { "content-type": "application/octet-stream" },
    });
  const refused = await upload(3 * MIB);
  const { type } = await refused.json();
  assert.deepEqual([refused.status, type], [503, "urn:cordon:problem:record"]);
  assert.ok(Number(refused.headers.get("retry-after")) >= 1);
  const { body } = await run(server, {
    command: "head -c 3M /dev/zero >large; echo small >small; exit 3",
    results: ["large", "small"],
  });
  assert.deepEqual([body.reason, body.exit_code], ["exited", 3], JSON.stringify(body));
  assert.equal(body.results[0].problem, "Cannot store a file");
  assert.equal(body.results[1].problem, null);
  const kept = await upload(10);
  assert.equal(kept.status, 201);
  await kept.body?.cancel();
});
