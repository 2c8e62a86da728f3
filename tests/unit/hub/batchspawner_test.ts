import assert from "node:assert/strict";
import { reportPort } from "../../../lib/hub/batchspawner.ts";
import { batchspawnerScript } from "../../../lib/hub/script.ts";

/** A Hub that keeps what it was sent and answers as told. */
async function hub(
  status: number,
  body: (url: string, asked: () => Request[]) => Promise<void>,
): Promise<void> {
  const asked: Request[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const text = await request.text();
    asked.push(new Request(request.url, { method: request.method, headers: request.headers, body: text }));
    return new Response("because", { status });
  });
  try {
    await body(`http://127.0.0.1:${server.addr.port}/hub/api/`, () => asked);
  } finally {
    await server.shutdown();
  }
}

Deno.test("the port is posted with the server's token", async () => {
  await hub(201, async (url, asked) => {
    await reportPort({ JUPYTERHUB_API_URL: url, JUPYTERHUB_API_TOKEN: "secret" }, 4000);
    const [request] = asked();
    assert.equal(request!.method, "POST");
    assert.match(request!.url, /\/hub\/api\/batchspawner$/);
    assert.equal(request!.headers.get("authorization"), "token secret");
    assert.deepEqual(await request!.json(), { port: 4000 });
  });
});

Deno.test("a Hub that refuses, is not there, or is not named is one clear error, without the token", async () => {
  const env = { JUPYTERHUB_API_TOKEN: "secret" };
  const told = async (promise: Promise<void>) => {
    const error = await promise.then(() => undefined, (error) => error);
    assert.equal(error?.name, "CordonError");
    assert.ok(!`${error.message} ${error.why}`.includes("secret"));
    return `${error.message}: ${error.why}`;
  };
  await hub(403, async (url) => {
    assert.match(await told(reportPort({ ...env, JUPYTERHUB_API_URL: url }, 1)), /status 403: because/);
  });
  await hub(404, async (url) => {
    assert.match(
      await told(reportPort({ ...env, JUPYTERHUB_API_URL: url }, 1)),
      /does not know batchspawner/,
    );
  });
  const nobody = "http://127.0.0.1:1/hub/api";
  assert.match(await told(reportPort({ ...env, JUPYTERHUB_API_URL: nobody }, 1)), /refused/);
  assert.match(await told(reportPort(env, 1)), /JUPYTERHUB_API_URL is not set/);
  assert.match(await told(reportPort({ JUPYTERHUB_API_URL: nobody }, 1)), /JUPYTERHUB_API_TOKEN is not set/);
  const files = { JUPYTERHUB_SSL_CLIENT_CA: "/nonexistent/ca.pem" };
  assert.match(
    await told(reportPort({ ...env, ...files, JUPYTERHUB_API_URL: nobody }, 1)),
    /ca.pem cannot be read/,
  );
});

Deno.test("the script is Python that names cordon, whatever its path", () => {
  const text = batchspawnerScript('/opt/a "b"\\c/cordon');
  assert.match(text, /^#!\/usr\/bin\/env python3\n/);
  assert.ok(text.includes('CORDON = "/opt/a \\"b\\"\\\\c/cordon"'));
  assert.ok(text.includes('["batchspawner-portwrap"] + sys.argv[1:]'));
});
