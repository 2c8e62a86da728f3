/** More than the server can take: queues, rates, turns, and clients that read slowly or not at all. */
import assert from "node:assert/strict";
import { test, userns } from "../helpers/need.ts";
import { Raw } from "../helpers/raw_http.ts";
import {
  hashed,
  mark,
  memoryMib,
  type Serving,
  serving,
  sleeping,
  TOKEN,
  until,
} from "../helpers/serving.ts";

const options = { needs: [userns] };

const A = "a-token-of-tenant-a", B = "a-token-of-tenant-b";

function twoTenants(server: string, tenant = ""): string {
  return `${server}
[policies.default]
images = ["host"]
[tenants.a]
tokens = ["${hashed(A)}"]
${tenant}
[tenants.b]
tokens = ["${hashed(B)}"]
`;
}

async function create(server: Serving, token: string, command: string) {
  const response = await server.request("/v1/executions", { method: "POST", json: { command }, token });
  const body = await response.json();
  return { status: response.status, body, retryAfter: Number(response.headers.get("retry-after")) };
}

test("a tenant's limit is 429, the server's 503, both with a time to come back", options, async () => {
  const config = twoTenants("concurrency = 1\nqueue = 2", "concurrency = 1\nqueue = 1");
  await using server = await serving({ config });
  const word = mark();
  assert.equal((await create(server, A, `sleep ${word}`)).status, 202);
  await until(() => sleeping(word));
  assert.equal((await create(server, A, "true")).status, 202);
  const tenant = await create(server, A, "true");
  assert.deepEqual([tenant.status, tenant.body.type], [429, "urn:cordon:problem:tenant-busy"]);
  assert.equal((await create(server, B, "true")).status, 202);
  const full = await create(server, B, "true");
  assert.deepEqual([full.status, full.body.type], [503, "urn:cordon:problem:capacity"]);
  for (const { retryAfter } of [tenant, full]) assert.ok(retryAfter >= 1 && Number.isInteger(retryAfter));
});

test("a tenant's rate is 429", options, async () => {
  await using server = await serving({ config: twoTenants("", 'rate = "2/1h"') });
  const statuses: number[] = [];
  for (let n = 0; n < 3; n++) statuses.push((await create(server, A, "true")).status);
  assert.deepEqual(statuses, [202, 202, 429]);
  const refused = await create(server, A, "true");
  assert.equal(refused.body.type, "urn:cordon:problem:rate");
  assert.ok(refused.retryAfter > 60);
  assert.equal((await create(server, B, "true")).status, 202);
});

test("a tenant with one execution does not wait for the queue of another", options, async () => {
  await using server = await serving({ config: twoTenants("concurrency = 1\nqueue = 100") });
  const word = mark();
  const first = await create(server, A, `exec sleep ${word}`);
  await until(() => sleeping(word));
  const ids: string[] = [];
  for (let n = 0; n < 10; n++) ids.push((await create(server, A, `echo ${n}`)).body.id);
  const mine = (await create(server, B, "echo mine")).body.id;
  const cancelled = await server.request(`/v1/executions/${first.body.id}/cancel`, {
    method: "POST",
    token: A,
  });
  await cancelled.body?.cancel();
  const last = await server.request(`/v1/executions/${ids.at(-1)}?wait=60`, { token: A });
  assert.equal((await last.json()).stdout, "9\n");
  const started = async (id: string, token: string) => {
    const response = await server.request(`/v1/executions/${id}`, { token });
    return Date.parse((await response.json()).started);
  };
  const b = await started(mine, B);
  const before: string[] = [];
  for (const id of ids) if (await started(id, A) < b) before.push(id);
  assert.ok(before.length <= 1, `${before.length} of the other tenant's came first`);
});

test("tenants do not see each other's executions", options, async () => {
  await using server = await serving({ config: twoTenants("") });
  const { body: { id } } = await create(server, A, "echo secret");
  for (const path of [`/${id}`, `/${id}/events`]) {
    const response = await server.request(`/v1/executions${path}`, { token: B });
    assert.equal(response.status, 404);
    await response.body?.cancel();
  }
  const cancelled = await server.request(`/v1/executions/${id}/cancel`, { method: "POST", token: B });
  assert.equal(cancelled.status, 404);
  await cancelled.body?.cancel();
  const list = await server.request("/v1/executions", { token: B });
  assert.deepEqual((await list.json()).executions, []);
});

test("clients that vanish leave nothing running and nothing unaccounted for", options, async () => {
  await using server = await serving({ flags: [] });
  const word = mark();
  const port = Number(new URL(server.url).port);
  const body = JSON.stringify({ cmd: `sleep ${word}`, args: "host" });
  const head = "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
    `Authorization: Bearer a-token-of-the-tests\r\nContent-Length: ${body.length}\r\n\r\n`;
  const clients = await Promise.all(Array.from({ length: 40 }, async () => {
    const client = await Deno.connect({ hostname: "127.0.0.1", port });
    await client.write(new TextEncoder().encode(head + body));
    return client;
  }));
  await until(() => sleeping(word));
  for (const client of clients) client.close();
  await until(() => !sleeping(word));
  await until(async () => {
    const text = await (await server.request("/metrics")).text();
    return /^cordon_executions_running 0$/m.test(text) && /^cordon_executions_waiting 0$/m.test(text);
  });
  assert.equal(sleeping(word), false);
  const list = await server.request("/v1/executions?limit=500");
  const states = (await list.json()).executions.map(({ state }: { state: string }) => state);
  assert.deepEqual(new Set(states), new Set(["cancelled"]));
});

test("answers that nobody takes do not fill the memory, nor do pages of long commands", options, async () => {
  await using server = await serving();
  const run = (json: object) =>
    server.request("/v1/executions", { method: "POST", json: { wait: true, ...json } });
  const { id } = await (await run({ command: "head -c 1048576 /dev/zero" })).json();
  // Six megabytes each, for in JSON a NUL has six characters.
  const ask =
    `GET /v1/executions/${id} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`;
  const slow = await Promise.all(Array.from({ length: 200 }, () => Raw.open(server.port, ask)));
  const refused: number[] = [];
  for (const raw of slow) {
    if (await raw.more() && raw.held.startsWith("HTTP/1.1 429 ")) refused.push(raw.held.length);
  }
  assert.ok(refused.length > 100, `${refused.length} were refused`);
  const busy = await server.request(`/v1/executions/${id}`);
  assert.deepEqual([busy.status, (await busy.json()).type], [429, "urn:cordon:problem:tenant-busy"]);
  for (const raw of slow) raw.close();
  await until(async () => {
    const again = await server.request(`/v1/executions/${id}`);
    await again.body?.cancel();
    return again.status === 200;
  });
  for (let n = 0; n < 24; n++) {
    const long = await run({ command: `: ${"x".repeat(110_000)}` });
    await long.body?.cancel();
  }
  const ids: string[] = [];
  let pages = 0;
  for (let next: string | null = "~"; next !== null; pages++) {
    const before: string = next === "~" ? "" : `&before=${next}`;
    const text = await (await server.request(`/v1/executions?limit=500${before}`)).text();
    assert.ok(text.length < 2_500_000, `a page of ${text.length}`);
    const page = JSON.parse(text);
    ids.push(...page.executions.map(({ id }: { id: string }) => id));
    next = page.next;
  }
  assert.deepEqual([new Set(ids).size, ids.length, pages], [25, 25, 2]);
  const peak = memoryMib(server.pid, "VmHWM");
  assert.ok(peak < 600, `${peak} MiB were resident`);
});

// 120 MB, its executable's mapped pages included.
const MOST_MIB = 120e6 / 2 ** 20;

test("a gigabyte of output goes through in bounded memory, cut where it says", options, async () => {
  await using server = await serving();
  const { body } = await server.execute("yes | head -c 1073741824");
  assert.deepEqual([body.exit_code, body.truncated, body.stdout.length], [0, true, 2 ** 20]);
  const peak = memoryMib(server.pid, "VmHWM");
  assert.ok(peak < MOST_MIB, `${peak} MiB were resident`);
});

test("so it does to one who follows it", options, async () => {
  await using server = await serving();
  const response = await server.request("/v1/executions", {
    method: "POST",
    json: { command: "head -c 1073741824 /dev/zero" },
    headers: { accept: "text/event-stream" },
  });
  const text = await response.text();
  assert.match(text, /"state":"finished".*"exit_code":0.*"truncated":true\}\n\n$/);
  const { executions: [told] } = await (await server.request("/v1/executions")).json();
  assert.equal(told.stdout_bytes, 2 ** 30);
  const peak = memoryMib(server.pid, "VmHWM");
  assert.ok(peak < MOST_MIB, `${peak} MiB were resident`);
});
