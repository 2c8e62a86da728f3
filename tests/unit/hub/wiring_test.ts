import assert from "node:assert/strict";
import { hubDestinations, readHubWiring, tellGuest } from "../../../lib/hub/wiring.ts";

const URL_ = "JUPYTERHUB_SERVICE_URL";

Deno.test("Hub 2 and later: port and address come from the service URL, which is rewritten", () => {
  for (
    const [url, port, address, inside] of [
      ["http://127.0.0.1:4000/user/a/", 4000, "127.0.0.1", "http://127.0.0.1:8888/user/a/"],
      ["https://0.0.0.0:4000/user/a/", 4000, "0.0.0.0", "https://127.0.0.1:8888/user/a/"],
      ["http://[::1]:4000/", 4000, "::1", "http://127.0.0.1:8888/"],
      ["http://:4000/user/a%20b/?x=1", 4000, "", "http://127.0.0.1:8888/user/a%20b/?x=1"],
      ["http://node/", 80, "node", "http://127.0.0.1:8888/"],
      ["https://node", 443, "node", "https://127.0.0.1:8888"],
    ] as const
  ) {
    const env = { [URL_]: url };
    const wiring = readHubWiring(["jupyterhub-singleuser", "--debug"], env);
    assert.deepEqual(wiring, {
      port,
      address,
      command: ["jupyterhub-singleuser", "--debug"],
      byArgument: false,
    });
    const told = tellGuest(wiring, { env, guestPort: 8888 });
    assert.deepEqual(told, { command: wiring.command, env: { [URL_]: inside } });
  }
});

Deno.test("port 0 in the service URL is no port: batchspawner leaves it to the job", () => {
  const wiring = readHubWiring(["x"], { [URL_]: "http://0.0.0.0:0/user/a/" });
  assert.equal(wiring.port, undefined);
  assert.equal(wiring.address, "0.0.0.0");
});

Deno.test("--port in either form, anywhere, counts before the URL; all of them go, the last one counts", () => {
  const env = { [URL_]: "http://127.0.0.1:1/" };
  const command = ["x", "--port", "0", "--ip=10.0.0.1", "a", "--port=4001", "--port", "4002", "--porter=3"];
  const wiring = readHubWiring(command, env);
  assert.deepEqual(wiring, {
    port: 4002,
    address: "10.0.0.1",
    command: ["x", "--ip=127.0.0.1", "a", "--porter=3"],
    byArgument: true,
  });
  assert.deepEqual(tellGuest(wiring, { env: {}, guestPort: 8888 }), {
    command: ["x", "--ip=127.0.0.1", "a", "--porter=3", "--port=8888"],
    env: {},
  });
});

Deno.test("a command that places the guest port itself is left to do so", () => {
  const wiring = readHubWiring(["x", "--port={guest-port}", "--port=4000"], {});
  assert.deepEqual(wiring.command, ["x", "--port={guest-port}"]);
  assert.deepEqual(tellGuest(wiring, { env: {}, guestPort: 1 }).command, ["x", "--port={guest-port}"]);
});

Deno.test("what the server must reach: the Hub's API and activity, each once", () => {
  assert.deepEqual(
    hubDestinations({
      JUPYTERHUB_API_URL: "http://127.0.0.1:8081/hub/api",
      JUPYTERHUB_ACTIVITY_URL: "http://127.0.0.1:8081/hub/api/users/a/activity",
    }),
    ["127.0.0.1:8081"],
  );
  assert.deepEqual(
    hubDestinations({
      JUPYTERHUB_API_URL: "https://hub.example.org/hub/api",
      JUPYTERHUB_ACTIVITY_URL: "http://[2001:db8::1]/x",
    }),
    ["hub.example.org:443", "[2001:db8::1]:80"],
  );
  assert.deepEqual(hubDestinations({ JUPYTERHUB_API_URL: "http+unix://%2Frun%2Fhub.sock/hub/api" }), []);
  assert.deepEqual(hubDestinations({}), []);
});

Deno.test("malformed URLs are named with their variable", () => {
  for (const url of ["hub", "ftp://x", "http://a b/", "http://x:70000/", "http://x:y/", "http://[::1/"]) {
    assert.throws(() => hubDestinations({ JUPYTERHUB_API_URL: url }), /JUPYTERHUB_API_URL is malformed/, url);
    assert.throws(() => readHubWiring(["x"], { [URL_]: url }), /JUPYTERHUB_SERVICE_URL is malformed/, url);
  }
  assert.throws(() => hubDestinations({ JUPYTERHUB_API_URL: "http:///hub" }), /malformed/);
  assert.throws(() => readHubWiring(["x", "--port=70000"], {}), /names no port/);
});
