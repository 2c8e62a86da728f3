/** /v1/executions of the real server. */
import assert from "node:assert/strict";
import { test, userns } from "../helpers/need.ts";
import { mark, type Serving, serving, sleeping, TOKEN, until } from "../helpers/serving.ts";

const options = { needs: [userns] };

// deno-lint-ignore no-explicit-any
type Json = any;

async function create(server: Serving, json: Json, headers: Record<string, string> = {}) {
  const response = await server.request("/v1/executions", { method: "POST", json, headers });
  return { status: response.status, body: await response.json() as Json, headers: response.headers };
}

async function get(server: Serving, path: string) {
  const response = await server.request(`/v1/executions${path}`);
  return { status: response.status, body: await response.json() as Json };
}

interface Told {
  id: number;
  event: string;
  data: Json;
}

/** The events of a stream until it ends. */
async function events(response: Response): Promise<Told[]> {
  const told: Told[] = [];
  for (const block of (await response.text()).split("\n\n")) {
    const fields = Object.fromEntries(
      block.split("\n").map((line) => /^(\w*): ?(.*)$/.exec(line)?.slice(1) ?? []),
    );
    if (fields.event) {
      told.push({ id: Number(fields.id), event: fields.event, data: JSON.parse(fields.data) });
    }
  }
  return told;
}

const text = (told: Told[], stream: string) =>
  told.filter(({ event }) => event === stream).map(({ data }) => data.data).join("");

test("an execution is admitted, and looked at while it runs and afterwards", options, async () => {
  await using server = await serving();
  const { status, body, headers } = await create(server, {
    command: 'read line; echo "$line $NAME"; echo err >&2; pwd; exit 3',
    stdin: "hello\n",
    env: { NAME: "it's me" },
    workdir: "/tmp",
  });
  assert.equal(status, 202);
  assert.equal(headers.get("location"), `/v1/executions/${body.id}`);
  assert.ok(["queued", "running"].includes(body.state));
  const done = await get(server, `/${body.id}?wait=30`);
  assert.equal(done.status, 200);
  const { state, reason, exit_code, signal, stdout, stderr, engine, image, truncated } = done.body;
  assert.deepEqual([state, reason, exit_code, signal, truncated], ["finished", "exited", 3, null, false]);
  assert.deepEqual([stdout, stderr, engine, image], ["hello it's me\n/tmp\n", "err\n", "namespaces", "host"]);
  assert.ok(done.body.wall_ms >= 0 && done.body.limits.time === 60);
  // The same from the record, and as bytes.
  await until(async () => (await get(server, `/${body.id}?encoding=base64`)).body.stdout === btoa(stdout));
});

test("a program runs without a shell, as it was given", options, async () => {
  await using server = await serving();
  const words = ["printf", "%s|", "$HOME", "a b", "'", ""];
  const { status, body } = await create(server, { command: words, wait: true });
  assert.deepEqual([status, body.stdout, body.command], [200, "$HOME|a b|'||", words]);
  const absent = await create(server, { command: ["/nowhere"], wait: true });
  assert.equal(absent.body.status, 127);
});

test("stdin as bytes, and limits that are asked for", options, async () => {
  await using server = await serving();
  const bytes = await create(server, { command: "od -An -tx1", stdin_base64: "AP+A", wait: true });
  assert.equal(bytes.body.stdout, " 00 ff 80\n");
  const late = await create(server, { command: "echo before; sleep 600", limits: { time: 0.5 }, wait: true });
  assert.deepEqual([late.body.state, late.body.reason, late.body.status], ["finished", "timeout", 124]);
  assert.equal(late.body.stdout, "before\n");
  const short = await create(server, { command: "echo 123456789", limits: { output: 4 }, wait: true });
  assert.deepEqual([short.body.stdout, short.body.truncated, short.body.stdout_bytes], ["1234", true, 10]);
});

test("what the policy does not allow is refused with its reason", options, async () => {
  await using server = await serving();
  for (
    const [asked, words] of [
      [{ command: "true", limits: { time: 61 } }, /time 61/],
      [{ command: "true", limits: { output: 2 ** 30 } }, /output/],
      [{ command: "true", args: "--privileged host" }, /privileged/],
      [{ command: "true", network: "host" }, /network/],
    ] as const
  ) {
    const { status, body } = await create(server, asked);
    assert.deepEqual([status, body.type], [403, "urn:cordon:problem:refused"]);
    assert.match(body.detail, words);
  }
  assert.deepEqual((await get(server, "")).body.executions, []);
});

test("under one key it runs once", options, async () => {
  await using server = await serving();
  const asked = { command: "date +%s%N" };
  const key = { "idempotency-key": "one" };
  const twice = await Promise.all([create(server, asked, key), create(server, asked, key)]);
  const ids = new Set(twice.map(({ body }) => body.id));
  assert.equal(ids.size, 1);
  const again = await create(server, { ...asked, wait: true }, key);
  assert.ok(ids.has(again.body.id));
  const recorded = await create(server, { ...asked, wait: true }, key);
  assert.deepEqual([recorded.status, recorded.body.stdout], [200, again.body.stdout]);
  const other = await create(server, { command: "true" }, key);
  assert.deepEqual([other.status, other.body.type], [409, "urn:cordon:problem:conflict"]);
  assert.equal((await get(server, "")).body.executions.length, 1);
});

test(
  "one that runs and one that waits are cancelled, one that has ended stays as it is",
  options,
  async () => {
    await using server = await serving();
    const word = mark();
    const { body: { id } } = await create(server, { command: `echo begun; exec sleep ${word}` });
    await until(() => sleeping(word));
    const cancelled = await server.request(`/v1/executions/${id}/cancel`, { method: "POST" });
    const body = await cancelled.json();
    assert.deepEqual([body.state, body.reason, body.exit_code], ["cancelled", "asked", null]);
    assert.equal(sleeping(word), false);
    const { body: done } = await create(server, { command: "exit 4", wait: true });
    const late = await server.request(`/v1/executions/${done.id}/cancel`, { method: "POST" });
    const { state, exit_code } = await late.json();
    assert.deepEqual([state, exit_code], ["finished", 4]);
  },
);

test("a waiting client that goes away ends it, unless it has a key to come back with", options, async () => {
  await using server = await serving();
  for (const kept of [false, true]) {
    const word = mark();
    const client = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(server.url).port) });
    const body = JSON.stringify({ command: `exec sleep ${word}`, wait: true });
    const head = [
      "POST /v1/executions HTTP/1.1",
      "Host: localhost",
      "Content-Type: application/json",
      `Content-Length: ${body.length}`,
      `Authorization: Bearer ${TOKEN}`,
      ...(kept ? ["Idempotency-Key: back"] : []),
    ];
    await client.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n${body}`));
    await until(() => sleeping(word));
    client.close();
    const newest = async () => (await get(server, "?limit=1")).body.executions[0];
    if (!kept) {
      await until(() => !sleeping(word));
      await until(async () => (await newest()).state !== "running");
      const { state, reason } = await newest();
      assert.deepEqual([state, reason], ["cancelled", "client"]);
      continue;
    }
    const { id, state } = await newest();
    assert.equal(state, "running");
    const cancelled = await server.request(`/v1/executions/${id}/cancel`, { method: "POST" });
    assert.equal((await cancelled.json()).state, "cancelled");
  }
});

test("pages lead from the newest to the oldest", options, async () => {
  await using server = await serving();
  const ids: string[] = [];
  for (let n = 0; n < 5; n++) {
    ids.unshift((await create(server, { command: `exit ${n}`, wait: true })).body.id);
  }
  const seen: string[] = [];
  let path = "?limit=2";
  for (let page = (await get(server, path)).body;; page = (await get(server, path)).body) {
    seen.push(...page.executions.map(({ id }: Json) => id));
    if (page.next === null) break;
    path = `?limit=2&before=${page.next}`;
  }
  assert.deepEqual(seen, ids);
  assert.deepEqual((await get(server, "?state=cancelled")).body.executions, []);
});

test("several watchers are told the same, and one that comes back misses nothing", options, async () => {
  await using server = await serving();
  const command =
    "for n in 1 2 3 4 5; do echo out$n; echo err$n >&2; sleep 0.1; done; printf '\\303'; exit 2";
  const { body: { id } } = await create(server, { command });
  const follow = (after?: number) =>
    server.request(`/v1/executions/${id}/events`, {
      headers: after === undefined ? {} : { "last-event-id": String(after) },
    });
  const told = await Promise.all([follow(), follow()].map(async (response) => await events(await response)));
  for (const one of told) {
    assert.equal(text(one, "stdout"), "out1\nout2\nout3\nout4\nout5\n\ufffd");
    assert.equal(text(one, "stderr"), "err1\nerr2\nerr3\nerr4\nerr5\n");
    assert.deepEqual(one.filter(({ event }) => event === "state").map(({ data }) => data.state), [
      "queued",
      "running",
      "finished",
    ]);
    const last = one.at(-1)!;
    assert.deepEqual([last.event, last.data.exit_code, last.data.reason], ["state", 2, "exited"]);
    const ids = one.map((event) => event.id);
    assert.deepEqual(ids, [...ids].sort((a, b) => a - b));
  }
  // Now from the record, after any of the events.
  for (const { id } of told[0]!.slice(0, -1)) {
    const rest = await events(await follow(id));
    const before = told[0]!.filter((event) => event.id <= id);
    for (const stream of ["stdout", "stderr"]) {
      assert.equal(text(before, stream) + text(rest, stream), text(told[0]!, stream));
    }
  }
  const nothing = await follow(told[0]!.at(-1)!.id);
  assert.deepEqual([nothing.status, await nothing.text()], [204, ""]);
});

test("a request that accepts events is answered with them", options, async () => {
  await using server = await serving();
  const response = await server.request("/v1/executions", {
    method: "POST",
    json: { command: "echo one; exit 1" },
    headers: { accept: "text/event-stream" },
  });
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const told = await events(response);
  assert.deepEqual([text(told, "stdout"), told.at(-1)!.data.exit_code], ["one\n", 1]);
});

test("every bad request to /v1 has its answer", options, async () => {
  await using server = await serving();
  const none = "01a1fce8-0c65-77dd-b174-7bd7724579e1";
  for (
    const [json, status] of [
      [{}, 422],
      [{ command: [] }, 422],
      [{ command: [1] }, 422],
      [{ command: "true", x: 1 }, 422],
      [{ command: "true", env: { "A=B": "x" } }, 422],
      [{ command: "true", env: { "": "x" } }, 422],
      [{ command: "true", env: { A: "\0" } }, 422],
      [{ command: "true", workdir: "relative" }, 422],
      [{ command: "true", image: "--privileged" }, 422],
      [{ command: "true", image: "host", args: "host" }, 422],
      [{ command: "true", args: "host", limits: { memory: 1 } }, 422],
      [{ command: "true", stdin: "a", stdin_base64: "YQ==" }, 422],
      [{ command: "true", stdin_base64: "%" }, 422],
      [{ command: "true", limits: { time: -1 } }, 422],
      [{ command: "true", limits: { cpus: 1e300 } }, 422],
      [{ command: "true", limits: { x: 1 } }, 422],
      [{ command: "true\ud800" }, 422],
      [{ command: "x".repeat(5_000_000) }, 413],
    ] as [Json, number][]
  ) {
    const { status: got, body } = await create(server, json);
    assert.equal(got, status, JSON.stringify(json).slice(0, 100));
    assert.match(body.type, /^urn:cordon:problem:/);
  }
  for (
    const [path, status] of [
      [`/${none}`, 404],
      ["/x", 404],
      ["/..%2f..%2fetc", 400],
      [`/${none}/events`, 404],
      [`/${none}/nothing`, 404],
      ["?limit=0", 422],
      ["?limit=x", 422],
      ["?before=x", 422],
      ["?state=unknown", 422],
      ["?more=1", 422],
    ] as const
  ) {
    assert.equal((await get(server, path)).status, status, path);
  }
  const { status, body } = await create(server, { command: "true" }, { "idempotency-key": "x".repeat(256) });
  assert.deepEqual([status, body.detail.split(":")[0]], [422, "Idempotency-Key"]);
  for (const [method, path, allow] of [["PUT", "", "POST, GET, HEAD"], ["POST", `/${none}`, "GET, HEAD"]]) {
    const response = await server.request(`/v1/executions${path}`, { method: method! });
    assert.deepEqual([response.status, response.headers.get("allow")], [405, allow]);
    await response.body?.cancel();
  }
  for (const path of ["", `/${none}`, `/${none}/events`]) {
    const response = await server.request(`/v1/executions${path}`, { token: "" });
    assert.equal(response.status, 401);
    await response.body?.cancel();
  }
});
