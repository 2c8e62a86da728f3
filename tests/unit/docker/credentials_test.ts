import assert from "node:assert/strict";
import { delimiter, join } from "node:path";
import { registryAuth } from "../../../lib/docker/credentials.ts";
import type { CordonError } from "../../../lib/errors.ts";

interface Home {
  ask: (domain: string) => ReturnType<typeof registryAuth>;
  configure: (config: unknown) => Promise<void>;
  /** Installs `docker-credential-NAME` with this shell script. */
  helper: (name: string, script: string) => Promise<void>;
  path: string;
}

async function withHome(body: (home: Home) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir({ prefix: "cordon-home-" });
  const before = Deno.env.get("PATH") ?? "";
  Deno.env.set("PATH", `${path}${delimiter}${before}`);
  try {
    await body({
      path,
      ask: (domain) =>
        registryAuth(domain, { facts: { env: { DOCKER_CONFIG: path }, home: "/nonexistent" } }),
      configure: (config) => Deno.writeTextFile(join(path, "config.json"), JSON.stringify(config)),
      helper: async (name, script) => {
        const file = join(path, `docker-credential-${name}`);
        await Deno.writeTextFile(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      },
    });
  } finally {
    Deno.env.set("PATH", before);
    await Deno.remove(path, { recursive: true });
  }
}

Deno.test("without a configuration there are no credentials", async () => {
  await withHome(async ({ ask }) => assert.equal(await ask("docker.io"), undefined));
});

Deno.test("credentials in the file, under every kind of key", async () => {
  await withHome(async ({ ask, configure }) => {
    await configure({
      auths: {
        "https://index.docker.io/v1/": { auth: btoa("hub:pa:ss") },
        "localhost:5000": { auth: btoa("me:secret\0\0") },
        "https://old.example/v2/": { username: "u", password: "p" },
        "token.example": { auth: btoa("u:"), identitytoken: "T" },
        "empty.example": {},
      },
    });
    const hub = "https://index.docker.io/v1/";
    assert.deepEqual(await ask("docker.io"), { username: "hub", password: "pa:ss", serveraddress: hub });
    const local = { username: "me", password: "secret", serveraddress: "localhost:5000" };
    assert.deepEqual(await ask("localhost:5000"), local);
    assert.deepEqual(await ask("old.example"), {
      username: "u",
      password: "p",
      serveraddress: "old.example",
    });
    assert.deepEqual(await ask("token.example"), { identitytoken: "T", serveraddress: "token.example" });
    assert.equal(await ask("empty.example"), undefined);
    assert.equal(await ask("other.example"), undefined);
  });
});

Deno.test("a broken entry names registry and file and not the secret", async () => {
  await withHome(async ({ ask, configure, path }) => {
    for (const auth of ["%%%", btoa("no colon")]) {
      await configure({ auths: { "r.example": { auth } } });
      await assert.rejects(ask("r.example"), (error: CordonError) => {
        assert.equal(
          error.message,
          `Cannot use the credentials of r.example in ${join(path, "config.json")}`,
        );
        return !`${error.why}`.includes(auth);
      });
    }
  });
});

Deno.test("a helper is asked with the registry on its stdin; a particular one before the general", async () => {
  await withHome(async ({ ask, configure, helper }) => {
    await helper(
      "one",
      `read server; printf '{"ServerURL":"%s","Username":"one","Secret":"%s"}' x "$server-$1"`,
    );
    await helper("all", `cat >/dev/null; echo '{"Username":"<token>","Secret":"T"}'`);
    await configure({ credsStore: "all", credHelpers: { "r.example": "one" } });
    const one = { username: "one", password: "r.example-get", serveraddress: "r.example" };
    assert.deepEqual(await ask("r.example"), one);
    assert.deepEqual(await ask("docker.io"), {
      identitytoken: "T",
      serveraddress: "https://index.docker.io/v1/",
    });
  });
});

Deno.test("a helper that holds nothing leaves it to the file, one that fails is an error", async () => {
  await withHome(async ({ ask, configure, helper }) => {
    await helper("store", "echo 'credentials not found in native keychain'; exit 1");
    const auths = { "r.example": { auth: btoa("a:b") } };
    await configure({ credsStore: "store", auths });
    assert.equal((await ask("r.example"))?.username, "a");
    assert.equal(await ask("other.example"), undefined);

    const failures: [string, RegExp][] = [
      ["echo locked >&2; exit 3", /status 3: locked/],
      ["echo nonsense", /not JSON/],
      [`echo '{"Username":"a"}'`, /no Username and Secret/],
    ];
    for (const [script, why] of failures) {
      await helper("store", script);
      await assert.rejects(ask("r.example"), (error: CordonError) => {
        assert.match(error.why ?? "", why);
        return true;
      });
    }
    await configure({ credsStore: "absent" });
    await assert.rejects(ask("r.example"), (error: CordonError) => /not on PATH/.test(error.why ?? ""));
    await configure({ credsStore: "../evil" });
    await assert.rejects(
      ask("r.example"),
      (error: CordonError) => /no name of a program/.test(error.why ?? ""),
    );
  });
});
