import assert from "node:assert/strict";
import { CordonError } from "../../../../lib/errors.ts";
import {
  changeTokens,
  exists,
  loadConfig,
  readTokens,
  usualConfigPath,
} from "../../../../lib/serve/config/files.ts";
import {
  formatTokens,
  hashToken,
  newToken,
  parseTokens,
  tenantOf,
  tokenId,
} from "../../../../lib/serve/config/tokens.ts";
import type { Tenant } from "../../../../lib/serve/config/types.ts";
import { policyOf } from "../policy/policies.ts";
import { root, test } from "../../../helpers/need.ts";
import { tmp } from "../../../helpers/run.ts";

const CREATED = "2026-01-02T03:04:05Z";

function tenant(name: string, ...tokens: string[]): Tenant {
  return { name, tokens: tokens.map(hashToken), policy: policyOf("") };
}

Deno.test("a token is 160 random bits that need no quoting in a URL", () => {
  const tokens = Array.from({ length: 100 }, newToken);
  assert.equal(new Set(tokens).size, 100);
  for (const token of tokens) assert.match(token, /^[0-9a-f]{40}$/);
});

Deno.test("a token is its tenant's, and nobody else's", () => {
  const tenants = [tenant("a", "one", "two"), tenant("b", "three"), tenant("c")];
  assert.equal(tenantOf(tenants, ["two"])?.name, "a");
  assert.equal(tenantOf(tenants, ["wrong", "three"])?.name, "b");
  for (const tokens of [[], [""], ["four"], ["on"], ["onee"]]) {
    assert.equal(tenantOf(tenants, tokens), undefined);
  }
  assert.equal(tenantOf([], ["one"]), undefined);
});

Deno.test("the tokens file is read as it was written", () => {
  const entries = [
    { tenant: "a", hash: hashToken("one"), created: CREATED },
    { tenant: "b", hash: hashToken("two"), created: "" },
  ];
  const text = formatTokens(entries);
  assert.ok(!text.includes("one") && text.startsWith("# "));
  assert.deepEqual(parseTokens({ path: "/t", text }), entries);
  assert.deepEqual(parseTokens({ path: "/t", text: "\n\n" }), []);
});

Deno.test("a line that is none is named, and not shown", () => {
  for (
    const line of ["class", "class secret", "Class sha256:" + "0".repeat(64), `a sha256:${"0".repeat(63)} x`]
  ) {
    assert.throws(
      () => parseTokens({ path: "/t", text: `# x\n${line}\n` }),
      (error: CordonError) => /\/t:2:/.test(error.why!) && !error.why!.includes(line),
    );
  }
});

function directory(): string {
  return tmp();
}

function mode(path: string): number {
  return Deno.statSync(path).mode! & 0o777;
}

Deno.test("the tokens file is made for its owner alone, and its successor takes its name whole", () => {
  const at = directory();
  const path = `${at}/new/tokens`;
  changeTokens(path, (entries) => [...entries, { tenant: "a", hash: hashToken("one"), created: CREATED }]);
  assert.deepEqual([mode(path), mode(`${at}/new`)], [0o600, 0o700]);
  const before = Deno.statSync(path).ino;
  changeTokens(path, (entries) => [...entries, { tenant: "b", hash: hashToken("two"), created: CREATED }]);
  assert.notEqual(Deno.statSync(path).ino, before);
  assert.deepEqual(readTokens(path).map(({ tenant }) => tenant), ["a", "b"]);
  assert.deepEqual([...Deno.readDirSync(`${at}/new`)].map(({ name }) => name), ["tokens"]);
  assert.throws(() =>
    changeTokens(path, () => {
      throw new CordonError("no");
    }), /^CordonError: no$/);
  assert.equal(readTokens(path).length, 2);
});

Deno.test("the group that may read the configuration may read the tokens, and nobody else", () => {
  const at = directory();
  const config = `${at}/serve.toml`;
  Deno.writeTextFileSync(config, "");
  for (const [like, wanted] of [[0o640, 0o640], [0o644, 0o600], [0o600, 0o600]] as const) {
    Deno.chmodSync(config, like);
    const path = `${at}/tokens-${like}`;
    changeTokens(path, (entries) => entries, { like: config });
    assert.equal(mode(path), wanted, like.toString(8));
  }
});

Deno.test("what others could have written is not read, nor what is no file", () => {
  const at = directory();
  const path = `${at}/serve.toml`;
  Deno.writeTextFileSync(path, '[policies.default]\nimages = ["host"]\n');
  for (const bad of [0o666, 0o622, 0o620, 0o602]) {
    Deno.chmodSync(path, bad);
    assert.throws(() => loadConfig(path), (error: CordonError) => {
      return /can be written by others/.test(error.message) && error.hint === `chmod go-w ${path}`;
    });
  }
  Deno.chmodSync(path, 0o644);
  Deno.writeTextFileSync(
    `${at}/tokens`,
    formatTokens([{ tenant: "default", hash: hashToken("x"), created: "" }]),
  );
  Deno.chmodSync(`${at}/tokens`, 0o606);
  assert.throws(() => loadConfig(path), /tokens file .* can be written by others/);
  Deno.chmodSync(`${at}/tokens`, 0o600);
  assert.equal(tenantOf(loadConfig(path).tenants, ["x"])?.name, "default");
  assert.throws(() => loadConfig(at), /is not a file|Cannot read/);
  assert.throws(() => loadConfig(`${at}/none`), /Cannot read the configuration/);
});

test("a configuration of another user's is not read", { needs: [root] }, () => {
  const path = `${directory()}/serve.toml`;
  Deno.writeTextFileSync(path, '[policies.default]\nimages = ["host"]\n');
  Deno.chownSync(path, 12345, 12345);
  assert.throws(() => loadConfig(path), /belongs to user 12345/);
});

Deno.test("where the configuration is looked for is never the working directory", () => {
  const at = (uid: number, env: Record<string, string>) => usualConfigPath({ uid, env, home: "/home/a" });
  assert.equal(at(0, { XDG_CONFIG_HOME: "/x" }), "/etc/cordon/serve.toml");
  assert.equal(at(1, {}), "/home/a/.config/cordon/serve.toml");
  assert.equal(at(1, { XDG_CONFIG_HOME: "/x" }), "/x/cordon/serve.toml");
  assert.equal(at(1, { XDG_CONFIG_HOME: "." }), "/home/a/.config/cordon/serve.toml");
  assert.equal(exists("/no/such/file"), false);
});

Deno.test("the id of a token is not its beginning", () => {
  const token = newToken();
  assert.match(tokenId(hashToken(token)), /^[0-9a-f]{8}$/);
  assert.ok(!token.includes(tokenId(hashToken(token))));
});
