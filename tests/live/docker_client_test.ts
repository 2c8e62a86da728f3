import assert from "node:assert/strict";
import { join } from "node:path";
import { inspectContainer, listContainers } from "../../lib/docker/containers.ts";
import { resolveEndpoint } from "../../lib/docker/endpoint.ts";
import type { EngineError, UnreachableError } from "../../lib/docker/errors.ts";
import { inspectImage, pullImage, pushImage, removeImage, tagImage } from "../../lib/docker/images.ts";
import { openEngine } from "../../lib/docker/system.ts";
import { dockerNeeds, IMAGE, registryNeeds, startDocker, startRegistry } from "../helpers/engines.ts";
import { program, test } from "../helpers/need.ts";
import { clientSuite, config, run } from "./client_suite.ts";
import { pullSuite } from "./pull_suite.ts";

test("the Engine API client with dockerd", { needs: dockerNeeds }, async (t) => {
  await using docker = await startDocker();
  await clientSuite(t, docker.engine);

  await t.step("a version the engine does not speak is explained", async () => {
    for (const apiVersion of ["1.99", "1.3"]) {
      const engine = await openEngine(docker.endpoint, { apiVersion });
      await assert.rejects(inspectContainer(engine, "x"), (error: EngineError) => {
        assert.match(
          error.why ?? "",
          new RegExp(`^The engine speaks API 1\\.\\d+ to 1\\.\\d+; it was asked with ${apiVersion}$`),
        );
        return error.status === 400;
      });
    }
  });

  await t.step("a memory limit and a missing bind source are the engine's to judge", async () => {
    const { Name, HostConfig } = await new Promise<Awaited<ReturnType<typeof inspectContainer>>>(
      (resolve, reject) => {
        run(docker.engine, config(["true"], { HostConfig: { Memory: 64 << 20 } }), {
          name: "cordon-named",
          onCreated: async (id) => resolve(await inspectContainer(docker.engine, id)),
        }).catch(reject);
      },
    );
    assert.deepEqual([Name, HostConfig["Memory"]], ["/cordon-named", 64 << 20]);
    const bind = { Mounts: [{ Type: "bind", Source: "/nonexistent-here", Target: "/x" }] };
    await assert.rejects(run(docker.engine, config(["true"], { HostConfig: bind })), (error: EngineError) => {
      assert.match(error.engineMessage, /bind source path does not exist/);
      return error.status === 400;
    });
  });
});

test("dockerd pulls with credentials", { needs: [...dockerNeeds, ...registryNeeds] }, async (t) => {
  await using docker = await startDocker();
  {
    await using registry = await startRegistry({ auth: true });
    await pullSuite(docker, registry);
  }
  await t.step("a layer that is missing in the registry is an error inside the stream", async () => {
    await using registry = await startRegistry();
    const image = `${registry.address}/broken:1`;
    const { engine } = docker;
    await tagImage(engine, IMAGE, { name: image });
    for await (const _step of pushImage(engine, image));
    await removeImage(engine, (await inspectImage(engine, image)).Id, { force: true });
    const blobs = join(registry.directory, "docker/registry/v2/blobs/sha256");
    for await (const blob of files(blobs)) {
      if ((await Deno.stat(blob)).size > 100_000) await Deno.writeTextFile(blob, "no longer a layer");
    }
    await assert.rejects(async () => {
      for await (const _step of pullImage(engine, image));
    }, (error: EngineError) => {
      assert.equal(error.message, `Cannot pull image ${image}`);
      assert.equal(error.status, 0, "the error came as a status, not inside the stream");
      return error.engineMessage !== "";
    });
  });
});

test(
  "dockerd over TLS with a client certificate",
  { needs: [...dockerNeeds, program("openssl")] },
  async () => {
    const certificates = await Deno.makeTempDir({ prefix: "cordon-tls-" });
    try {
      await makeCertificates(certificates);
      const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { port } = probe.addr;
      probe.close();
      const file = (name: string) => join(certificates, name);
      await using docker = await startDocker({
        args: [
          ...["-H", `tcp://127.0.0.1:${port}`, "--tlsverify", "--tlscacert", file("ca.pem")],
          ...["--tlscert", file("server-cert.pem"), "--tlskey", file("server-key.pem")],
        ],
      });
      const env = {
        DOCKER_HOST: `tcp://127.0.0.1:${port}`,
        DOCKER_TLS_VERIFY: "1",
        DOCKER_CERT_PATH: certificates,
      };
      const facts = { env, home: certificates, uid: 0 };
      const engine = await openEngine(await resolveEndpoint({}, facts));
      const stdin = ReadableStream.from([new TextEncoder().encode("through TLS")]);
      const ran = await run(engine, config(["cat"]), { streams: { stdin } });
      assert.deepEqual([ran.out, ran.exitCode], ["through TLS", 0]);
      assert.deepEqual(await listContainers(docker.engine), []);

      const { DOCKER_TLS_VERIFY: _, ...open } = env;
      await assert.rejects(
        async () => await openEngine(await resolveEndpoint({}, { ...facts, env: open })),
        (error: EngineError) => /DOCKER_TLS_VERIFY=1/.test(error.hint ?? ""),
      );
      await Deno.remove(file("cert.pem"));
      await Deno.remove(file("key.pem"));
      await assert.rejects(
        async () => await openEngine(await resolveEndpoint({}, facts)),
        /Cannot reach the engine/,
      );
      await Deno.remove(file("ca.pem"));
      await assert.rejects(
        async () => await openEngine(await resolveEndpoint({}, facts)),
        (error: UnreachableError) => /UnknownIssuer/.test(error.why ?? ""),
      );
    } finally {
      await Deno.remove(certificates, { recursive: true });
    }
  },
);

async function* files(directory: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(directory)) {
    const path = join(directory, entry.name);
    if (entry.isDirectory) yield* files(path);
    else yield path;
  }
}

/** An authority, a server certificate for 127.0.0.1 and a client certificate, under the names Docker gives them. */
async function makeCertificates(directory: string): Promise<void> {
  const openssl = async (...args: string[]) => {
    const { success, stderr } = await new Deno.Command("openssl", { args, cwd: directory }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await openssl("req", "-x509", ...key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=test-ca");
  const sign = async (name: string, extension: string) => {
    const prefix = name === "client" ? "" : `${name}-`;
    await Deno.writeTextFile(join(directory, `${name}.ext`), extension);
    await openssl(
      "req",
      ...key,
      "-keyout",
      `${prefix}key.pem`,
      "-out",
      `${name}.csr`,
      "-subj",
      `/CN=${name}`,
    );
    const ca = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-extfile", `${name}.ext`];
    await openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${prefix}cert.pem`, ...ca);
  };
  await sign("server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
  await sign("client", "subjectAltName=DNS:client\nextendedKeyUsage=clientAuth\n");
}
