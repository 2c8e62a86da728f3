/** Requests that nobody ought to send: each has its documented answer, and the server stays up. */
import assert from "node:assert/strict";
import { test, userns } from "../helpers/need.ts";
import { type Serving, serving, TOKEN } from "../helpers/serving.ts";

const options = { needs: [userns] };

async function post(server: Serving, body: BodyInit, type = "application/json") {
  const response = await server.request("/execute", {
    method: "POST",
    body,
    headers: { "content-type": type },
  });
  return { status: response.status, body: await response.json(), type: response.headers.get("content-type") };
}

/** One request line and head as they are; the status line that comes back. */
async function raw(server: Serving, text: string): Promise<string> {
  const { hostname, port } = new URL(server.url);
  using conn = await Deno.connect({ hostname, port: Number(port) });
  await conn.write(new TextEncoder().encode(text));
  const bytes = new Uint8Array(4096);
  const count = await conn.read(bytes);
  return count === null ? "" : new TextDecoder().decode(bytes.subarray(0, count)).split("\r\n")[0]!;
}

async function alive(server: Serving): Promise<void> {
  const { status, body } = await server.execute("echo alive");
  assert.deepEqual([status, body.stdout], [200, "alive\n"]);
}

test("bodies that are none have their answers", options, async () => {
  await using server = await serving();
  for (
    const [body, status, type] of [
      ["", 400],
      ["{", 400],
      ["[".repeat(200_000), 400],
      ['{"a":'.repeat(100_000), 400],
      [new Uint8Array([0x22, 0xff, 0x22]), 400],
      ["null", 422],
      ["[]", 422],
      ['{"cmd":"ls"}', 422],
      ['{"cmd":1,"args":"host"}', 422],
      ['{"cmd":"ls","args":"host","x":1}', 422],
      ['{"cmd":"ls","args":"host","__proto__":{}}', 422],
      ['{"cmd":"a\\u0000b","args":"host"}', 422],
      ['{"cmd":"\\ud800","args":"host"}', 422],
      ['{"cmd":"ls","args":"\\udfff"}', 422],
      [JSON.stringify({ cmd: "x".repeat(200_000), args: "host" }), 422],
      [JSON.stringify({ cmd: "x".repeat(2_000_000), args: "host" }), 413],
      ['{"cmd":"ls","args":"host"}', 415, "text/plain"],
      ['{"cmd":"ls","args":"host"}', 415, "application/x-www-form-urlencoded"],
    ] as [BodyInit, number, string?][]
  ) {
    const answer = await post(server, body, type);
    assert.equal(answer.status, status, String(body).slice(0, 60));
    assert.equal(answer.type, "application/problem+json");
    assert.equal(answer.body.status, status);
    assert.match(answer.body.type, /^urn:cordon:problem:[a-z-]+$/);
  }
  await alive(server);
});

test("arguments that are refused say why in stderr, and nothing runs", options, async () => {
  await using server = await serving();
  for (
    const args of [
      "",
      "'host",
      "--net host host",
      "--network=host host",
      "--privileged=true host",
      "--privileged false host",
      "-v/:/h host",
      "-v /:/h host",
      "--mount type=bind,src=/,dst=/h host",
      "--security-opt seccomp=unconfined host",
      "--device /dev/null host",
      "--pid=container:x host",
      "--volumes-from x host",
      "--env-file /etc/passwd host",
      "-- --privileged",
    ]
  ) {
    const { status, body } = await server.execute("echo ran", args);
    assert.equal(status, 200, args);
    assert.deepEqual([body.stdout, body.exit_code, body.id], ["", null, null], args);
    assert.match(body.stderr, /\w/, args);
  }
  const list = await (await server.request("/v1/executions")).json();
  assert.deepEqual(list.executions, []);
  await alive(server);
});

test("tokens that are none, and where there is none", options, async () => {
  await using server = await serving();
  for (
    const authorization of [
      "",
      "Bearer",
      "Bearer ",
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(1)}`,
      `Basic ${btoa(TOKEN)}`,
      `Basic ${btoa(`${TOKEN}:`)}`,
      "Basic %%%",
      `Digest ${TOKEN}`,
      `Bearer ${"x".repeat(5000)}`,
    ]
  ) {
    const response = await fetch(`${server.url}/execute`, {
      method: "POST",
      headers: { authorization, "content-type": "application/json" },
      body: '{"cmd":"echo ran","args":"host"}',
    });
    assert.equal(response.status, 401, authorization.slice(0, 30));
    assert.match(response.headers.get("www-authenticate") ?? "", /^Basic/);
    assert.equal((await response.json()).type, "urn:cordon:problem:unauthorized");
  }
  await alive(server);
});

test("paths that lead nowhere, and methods that mean nothing", options, async () => {
  await using server = await serving();
  for (
    const [line, status] of [
      ["GET /nothing", 404],
      ["GET /execute", 405],
      ["DELETE /health", 405],
      ["POST /health", 405],
      ["GET //health", 400],
      ["GET /health/", 404],
      ["GET /HEALTH", 404],
      ["GET /health%00", 400],
      ["GET /../health", 400],
      ["GET /%2e%2e/health", 400],
      ["GET \\health", 400],
      ["TRACE /health", 405],
      ["GET http://elsewhere/health", 400],
    ] as const
  ) {
    const told = await raw(server, `${line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    const got = Number(told.split(" ")[1]);
    assert.equal(got, status, line);
  }
  await alive(server);
});

test("requests carry an id, and logs no secrets", options, async () => {
  await using server = await serving();
  const named = await server.request("/health", { headers: { "x-request-id": "from-the-proxy.1" } });
  await named.body?.cancel();
  assert.equal(named.headers.get("x-request-id"), "from-the-proxy.1");
  const odd = await server.request("/health", { headers: { "x-request-id": "a b" } });
  await odd.body?.cancel();
  assert.match(odd.headers.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/);
  await server.execute("echo a-secret-in-the-command");
  const inPath = await server.request(`/${TOKEN}/nothing`, { token: "" });
  await inPath.body?.cancel();
  await server.stop();
  const lines = server.said().split("\n").filter((line) => line.startsWith("{")).map((line) =>
    JSON.parse(line)
  );
  const executed = lines.find(({ event }) => event === "executed");
  assert.deepEqual([executed.tenant, executed.state, executed.exit_code], ["default", "finished", 0]);
  assert.doesNotMatch(server.said(), new RegExp(`a-secret-in-the-command|${TOKEN}`));
});

test("the document describes every route, and refers to what it has", options, async () => {
  await using server = await serving();
  const text = await (await server.request("/openapi.json", { token: "" })).text();
  const document = JSON.parse(text);
  assert.equal(document.openapi, "3.1.0");
  for (
    const path of [
      "/health",
      "/execute",
      "/v1/executions",
      "/v1/executions/{id}/events",
      "/metrics",
      "/readyz",
    ]
  ) {
    assert.ok(path in document.paths, path);
  }
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    assert.ok(name! in document.components.schemas, name);
  }
  const metrics = await (await server.request("/metrics", { token: "" })).text();
  assert.match(metrics, /^cordon_requests_total\{route="openapi",status="200"\} 1$/m);
  const proxied = { headers: { "X-Forwarded-For": "192.0.2.1" } };
  const refused = await server.request("/metrics", { ...proxied, token: "" });
  assert.equal(refused.status, 401);
  await refused.body?.cancel();
  assert.equal((await (await server.request("/metrics", proxied)).text()).startsWith("# HELP"), true);
});
