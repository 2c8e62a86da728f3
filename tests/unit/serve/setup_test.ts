import assert from "node:assert/strict";
import { gatherHost } from "../../../lib/host/host.ts";
import { changeTokens } from "../../../lib/serve/config/files.ts";
import { hashToken, newToken, tenantOf } from "../../../lib/serve/config/tokens.ts";
import { type Given, setUp } from "../../../lib/serve/setup.ts";
import { tmp } from "../../helpers/run.ts";

const caller = gatherHost();
const given: Given = { listen: [], auth: true };

/** Somebody who has no configuration of the server. */
function nobodys() {
  const base = tmp();
  const host = { ...caller, uid: 1000, env: { XDG_CONFIG_HOME: base } };
  const tokens = `${base}/cordon/tokens`;
  const add = (token: string) =>
    changeTokens(
      tokens,
      (
        entries,
      ) => [...entries, { tenant: "default", hash: hashToken(token), created: "2026-11-21T08:00:00Z" }],
    );
  return { host, tokens, add };
}

Deno.test("without a configuration there is one new token, and later ones are found when it is read again", () => {
  const { host, add } = nobodys();
  const { config, newToken: first, again } = setUp(given, host);
  assert.ok(first !== undefined && tenantOf(config.tenants, [first]));
  const second = newToken();
  assert.equal(tenantOf(again().tenants, [second]), undefined);
  add(second);
  for (const token of [first, second]) assert.equal(tenantOf(again().tenants, [token])?.name, "default");
});

Deno.test("tokens that others could have written are refused, with a configuration or without", () => {
  const { host, tokens, add } = nobodys();
  add(newToken());
  assert.equal(setUp(given, host).newToken, undefined);
  Deno.chmodSync(tokens, 0o666);
  assert.throws(() => setUp(given, host), /tokens/);
});
