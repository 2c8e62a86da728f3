import assert from "node:assert/strict";
import { proxyFor } from "../../../lib/api/proxy.ts";
import { CordonError } from "../../../lib/errors.ts";

const HERE = { hostname: "proxy", port: 3128 };
const HTTP = { HTTP_PROXY: "http://proxy:3128" };

for (
  const [url, env, wanted] of [
    ["http://api.example.org", {}, undefined],
    ["http://api.example.org", HTTP, HERE],
    ["https://api.example.org", HTTP, undefined],
    ["https://api.example.org", { https_proxy: "proxy:3128" }, HERE],
    ["https://api.example.org", { ALL_PROXY: "http://proxy:3128", HTTPS_PROXY: "http://other:1" }, HERE],
    ["http://api.example.org", { HTTP_PROXY: "" }, undefined],
    ["http://api.example.org", { HTTP_PROXY: "http://[::1]" }, { hostname: "::1", port: 80 }],
    [
      "http://api.example.org",
      { HTTP_PROXY: "http://me:p%40ss@proxy:3128" },
      { ...HERE, authorization: `Basic ${btoa("me:p@ss")}` },
    ],
    ["http://api.example.org", { ...HTTP, NO_PROXY: "other.org, example.org" }, undefined],
    ["http://api.example.org", { ...HTTP, no_proxy: ".example.org" }, undefined],
    ["http://api.example.org", { ...HTTP, NO_PROXY: "*" }, undefined],
    ["http://anexample.org", { ...HTTP, NO_PROXY: "example.org," }, HERE],
    ["http://10.1.2.3", { ...HTTP, NO_PROXY: "10.0.0.0/8" }, undefined],
    ["http://11.1.2.3", { ...HTTP, NO_PROXY: "10.0.0.0/8,11.1.2.4" }, HERE],
    ["http://[::1]:80", { ...HTTP, NO_PROXY: "::1" }, undefined],
  ] as [string, Record<string, string>, unknown][]
) {
  Deno.test(`proxy: ${url} with ${JSON.stringify(env)}`, () => {
    assert.deepEqual(proxyFor(new URL(url), env), wanted);
  });
}

Deno.test("proxy: one of another kind is told, and not what it holds", () => {
  for (const text of ["socks5://me:secret@proxy:1080", "https://me:secret@proxy"]) {
    assert.throws(() => proxyFor(new URL("http://x"), { ALL_PROXY: text }), (error) => {
      return error instanceof CordonError && !`${error.message} ${error.why}`.includes("secret");
    });
  }
});
