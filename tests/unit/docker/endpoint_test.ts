import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { defaultSockets, formatEndpoint, parseHost, resolveEndpoint } from "../../../lib/docker/endpoint.ts";
import { connect } from "../../../lib/docker/connection.ts";
import { UnreachableError } from "../../../lib/docker/errors.ts";
import { type CordonError, UsageError } from "../../../lib/errors.ts";

const origin = "test";

async function withHome(body: (home: string) => Promise<void>): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "cordon-home-" });
  try {
    await body(home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

async function writeContext(
  home: string,
  name: string,
  options: { endpoint: unknown; tls?: Record<string, string> },
) {
  const id = createHash("sha256").update(name).digest("hex");
  const meta = join(home, ".docker/contexts/meta", id);
  await Deno.mkdir(meta, { recursive: true });
  const text = JSON.stringify({ Name: name, Metadata: {}, Endpoints: { docker: options.endpoint } });
  await Deno.writeTextFile(join(meta, "meta.json"), text);
  for (const [file, content] of Object.entries(options.tls ?? {})) {
    const directory = join(home, ".docker/contexts/tls", id, "docker");
    await Deno.mkdir(directory, { recursive: true });
    await Deno.writeTextFile(join(directory, file), content);
  }
}

Deno.test("hosts in every spelling", () => {
  const cases: [string, string][] = [
    ["unix:///run/x.sock", "unix:///run/x.sock"],
    ["/run/x.sock", "unix:///run/x.sock"],
    ["unix://", "unix:///var/run/docker.sock"],
    ["tcp://engine", "tcp://engine:2375"],
    ["tcp://engine:80", "tcp://engine:80"],
    ["engine:1234", "tcp://engine:1234"],
    ["tcp://[::1]:2375", "tcp://[::1]:2375"],
    ["tcp://10.0.0.1:2375/prefix/", "tcp://10.0.0.1:2375/prefix"],
    ["https://engine", "tcp://engine:2376"],
  ];
  for (const [text, expected] of cases) {
    assert.equal(formatEndpoint(parseHost(text, { origin })), expected, text);
  }
  assert.deepEqual(parseHost("tcp://e", { origin, tls: { ca: "x" } }), {
    kind: "tcp",
    host: "e",
    port: 2376,
    basePath: "",
    tls: { ca: "x" },
    origin,
  });
  assert.ok(!("tls" in parseHost("tcp://e", { origin })));
});

Deno.test("hosts that cannot be spoken to are refused with what stood there", () => {
  for (
    const text of ["ssh://me@lab", "npipe:////./pipe/x", "unix://relative", "tcp://", "tcp://a b", "fd://"]
  ) {
    assert.throws(() => parseHost(text, { origin: "DOCKER_HOST" }), (error: UsageError) => {
      assert.ok(error.message.includes(JSON.stringify(text)), error.message);
      assert.ok(error.message.includes("DOCKER_HOST"));
      return error instanceof UsageError;
    });
  }
});

Deno.test("flag, environment, context: the first that speaks decides", async () => {
  await withHome(async (home) => {
    await writeContext(home, "lab", { endpoint: { Host: "tcp://lab:2375" } });
    await writeContext(home, "other", { endpoint: { Host: "unix:///other.sock" } });
    await Deno.writeTextFile(join(home, ".docker/config.json"), '{"currentContext":"lab"}');
    const choose = async (choice: Parameters<typeof resolveEndpoint>[0], env: Record<string, string>) => {
      const endpoint = await resolveEndpoint(choice, { env, home, uid: 1000 });
      return `${formatEndpoint(endpoint)} ${endpoint.origin}`;
    };
    const env = { DOCKER_HOST: "tcp://env:1", DOCKER_CONTEXT: "other" };
    assert.equal(
      await choose({ host: "/flag.sock", context: "other" }, env),
      "unix:///flag.sock the command line",
    );
    assert.equal(await choose({ context: "other" }, env), "unix:///other.sock context other");
    assert.equal(await choose({}, env), "tcp://env:1 DOCKER_HOST");
    assert.equal(await choose({}, { DOCKER_CONTEXT: "other" }), "unix:///other.sock context other");
    assert.equal(await choose({}, {}), "tcp://lab:2375 context lab");
    assert.equal(
      (await resolveEndpoint({}, { env: { DOCKER_CONTEXT: "default" }, home, uid: 1 })).origin,
      "default",
    );
  });
});

Deno.test("a context brings its certificates, and must exist", async () => {
  await withHome(async (home) => {
    const tls = { "ca.pem": "CA", "cert.pem": "CERT", "key.pem": "KEY" };
    await writeContext(home, "secure", { endpoint: { Host: "tcp://s:1" }, tls });
    await writeContext(home, "blind", { endpoint: { Host: "tcp://s:1", SkipTLSVerify: true } });
    await writeContext(home, "half", { endpoint: { Host: "tcp://s:1" }, tls: { "cert.pem": "CERT" } });
    const facts = { env: {}, home, uid: 1000 };
    const secure = await resolveEndpoint({ context: "secure" }, facts);
    assert.deepEqual(secure.kind === "tcp" && secure.tls, { ca: "CA", cert: "CERT", key: "KEY" });
    await assert.rejects(resolveEndpoint({ context: "blind" }, facts), /Cannot use Docker context "blind"/);
    await assert.rejects(resolveEndpoint({ context: "half" }, facts), /Incomplete client certificate/);
    await assert.rejects(resolveEndpoint({ context: "nope" }, facts), (error: CordonError) => {
      assert.equal(error.why, "Known contexts: default, blind, half, secure");
      return true;
    });
    await Deno.writeTextFile(join(home, ".docker/config.json"), "{broken");
    await assert.rejects(resolveEndpoint({}, facts), /Cannot parse .*config\.json/);
  });
});

Deno.test("DOCKER_TLS_VERIFY takes the files of DOCKER_CERT_PATH, for TCP alone", async () => {
  await withHome(async (home) => {
    await Deno.writeTextFile(join(home, "ca.pem"), "CA");
    const env = { DOCKER_HOST: "tcp://e", DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: home };
    const endpoint = await resolveEndpoint({}, { env, home, uid: 0 });
    assert.equal(formatEndpoint(endpoint), "tcp://e:2376");
    assert.deepEqual(endpoint.kind === "tcp" && endpoint.tls, { ca: "CA" });
    const local = await resolveEndpoint({}, { env: { ...env, DOCKER_HOST: "unix:///x" }, home, uid: 0 });
    assert.equal(local.kind, "unix");
  });
});

Deno.test("of the usual sockets the first that answers is taken", async () => {
  await withHome(async (home) => {
    const facts = { env: { XDG_RUNTIME_DIR: home }, home, uid: 1000 };
    const sockets = defaultSockets(facts, "podman");
    assert.deepEqual(sockets, [join(home, "podman/podman.sock"), "/run/podman/podman.sock"]);
    assert.deepEqual(defaultSockets({ ...facts, env: {} }), [
      "/var/run/docker.sock",
      "/run/user/1000/docker.sock",
      "/run/user/1000/podman/podman.sock",
      "/run/podman/podman.sock",
    ]);
    await Deno.mkdir(join(home, "podman"));
    const path = join(home, "podman/podman.sock");
    using _listener = Deno.listen({ transport: "unix", path });
    // DOCKER_HOST may well name the other engine: asking for one by name does not look at it.
    const asked = await resolveEndpoint({ engine: "podman" }, {
      ...facts,
      env: { ...facts.env, DOCKER_HOST: "tcp://docker" },
    });
    assert.deepEqual(asked, { kind: "unix", path, origin: "default" });
  });
});

Deno.test("why nothing answers is found out by looking", async () => {
  await withHome(async (home) => {
    const whyNot = async (path: string): Promise<string> => {
      try {
        (await connect({ kind: "unix", path, origin: "DOCKER_HOST" })).close();
      } catch (error) {
        if (!(error instanceof UnreachableError)) throw error;
        assert.equal(error.message, `Cannot connect to the engine at unix://${path} (from DOCKER_HOST)`);
        return error.why ?? "";
      }
      throw new Error("something answered");
    };
    assert.match(await whyNot(join(home, "absent.sock")), /no such socket/);
    Deno.listen({ transport: "unix", path: join(home, "left.sock") }).close();
    assert.match(await whyNot(join(home, "left.sock")), /nothing listens on it/);
    await Deno.writeTextFile(join(home, "file"), "");
    assert.match(await whyNot(join(home, "file")), /That is no socket/);
    assert.match(await whyNot(join(home, "x".repeat(120))), /longer than the 107 bytes/);
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    await assert.rejects(
      connect({ kind: "tcp", host: "127.0.0.1", port, basePath: "", origin: "default" }),
      (error: UnreachableError) => /Connection refused/.test(error.why ?? ""),
    );
  });
});
