/** GET /v1/me, and the files of the page. The page in a browser: ../live/serve_page_test.ts. */
import assert from "node:assert/strict";
import { test, userns } from "../helpers/need.ts";
import { hashed, serving, TOKEN, until } from "../helpers/serving.ts";

const options = { needs: [userns] };
const OTHER = "another-token-of-the-tests";

const TWO_TENANTS = `queue = 7
[policies.default]
images = ["host", "python:*"]
aliases = { py = "python:3.12" }
[policies.default.limits]
time = { default = "5s", most = "20s" }
[tenants.class]
concurrency = 3
rate = "60/min"
tokens = ["${hashed(TOKEN)}"]
[tenants.other]
tokens = ["${hashed(OTHER)}"]
`;

test("who asks learns what may be run, what runs and what was used", options, async () => {
  await using server = await serving({ config: TWO_TENANTS });
  const me = async (token = TOKEN) => await (await server.request("/v1/me", { token })).json();
  const first = await me();
  assert.deepEqual(
    [first.tenant, first.running, first.waiting, first.concurrency, first.queue, first.rate],
    ["class", 0, 0, 3, 7, { count: 60, seconds: 60 }],
  );
  assert.deepEqual(first.usage, { since: null, executions: 0, wall_ms: 0, cpu_ms: 0, output_bytes: 0 });
  const { policy } = first;
  assert.deepEqual([policy.images, policy.aliases], [["host", "python:*"], { py: "python:3.12" }]);
  assert.deepEqual([policy.limits.time, policy.network, policy.mounts], [
    { value: 5, most: 20 },
    ["none"],
    [],
  ]);

  const created = await server.request("/v1/executions", { method: "POST", json: { command: "sleep 20" } });
  const { id } = await created.json();
  await until(async () => (await me()).running === 1);
  assert.deepEqual([(await me(OTHER)).running, (await me(OTHER)).tenant], [0, "other"]);
  await (await server.request(`/v1/executions/${id}/cancel`, { method: "POST" })).body?.cancel();
  await server.execute("echo four");
  await until(async () => (await me()).usage.output_bytes === 5);
  const { usage, running } = await me();
  assert.deepEqual([usage.executions, running], [2, 0]);
  assert.ok(Date.parse(usage.since) <= Date.now());
  assert.equal((await me(OTHER)).usage.executions, 0);
});

test("who has no token learns nothing, and gets the page all the same", options, async () => {
  await using server = await serving({ config: TWO_TENANTS });
  const refused = await server.request("/v1/me", { token: "" });
  assert.equal(refused.status, 401);
  await refused.body?.cancel();
  const page = await (await server.request("/", { token: "" })).text();
  const files = [...page.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, path]) => path!);
  assert.deepEqual(
    new Set(files),
    new Set(["page/app.js", "page/style.css", "page/icon.svg", "openapi.json"]),
  );
  const seen = new Set(["", ...files]);
  for (const path of seen) {
    const response = await server.request(`/${path}`, { token: "" });
    assert.equal(response.status, 200, path);
    const text = await response.text();
    // Nothing from elsewhere. What names a namespace of XML loads nothing.
    if (path !== "openapi.json") {
      assert.doesNotMatch(text.replace("http://www.w3.org/2000/svg", ""), /https?:\/\//, path);
      assert.match(
        response.headers.get("content-security-policy")!,
        /^default-src 'none'; script-src 'self';/,
      );
    }
    if (!path.endsWith(".js")) continue;
    assert.equal(response.headers.get("content-type"), "text/javascript; charset=utf-8", path);
    for (const [, name] of text.matchAll(/^import .* from "\.\/(.*)";$/gm)) seen.add(`page/${name}`);
  }
  const kept = [...Deno.readDirSync(new URL("../../assets/page", import.meta.url))].map(({ name }) => name);
  assert.deepEqual(
    [...seen].filter((path) => path.startsWith("page/")).toSorted(),
    kept.filter((name) => name !== "index.html").map((name) => `page/${name}`).toSorted(),
  );
  for (const path of ["page/none.js", "page/index.html", "page/"]) {
    const response = await server.request(`/${path}`);
    assert.equal(response.status, 404, path);
    await response.body?.cancel();
  }
  assert.doesNotMatch(page, /<script(?! type="module" src=)|<style| style=| on[a-z]+=/);
});
