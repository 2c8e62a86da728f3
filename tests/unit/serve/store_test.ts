import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Recorded } from "../../../lib/serve/recorded.ts";
import { Store } from "../../../lib/serve/store.ts";
import { tmp } from "../../helpers/run.ts";

function row(id: string, change: Partial<Recorded> = {}): Recorded {
  return {
    id,
    tenant: "t",
    via: "v1",
    request_id: "r",
    state: "queued",
    reason: null,
    detail: null,
    engine: "namespaces",
    image: "host",
    args: "host",
    command: "true",
    session: null,
    created: 1,
    started: null,
    ended: null,
    exit_code: null,
    signal: null,
    wall_ms: null,
    user_ms: null,
    system_ms: null,
    max_rss: null,
    stdout_bytes: null,
    stderr_bytes: null,
    truncated: null,
    limits: "{}",
    key: null,
    asked: null,
    ...change,
  };
}

Deno.test("what was left unfinished is lost once, and what ended stays as it was", async () => {
  const path = `${tmp()}/db`;
  const first = new Store(path);
  await Promise.all([first.insert(row("a")), first.insert(row("b")), first.insert(row("c"))]);
  first.update(row("b", { state: "running", started: 2 }));
  first.update(row("c", { state: "finished", reason: "exited", exit_code: 3, ended: 4 }));
  first.close();
  const second = new Store(path);
  assert.deepEqual(second.loseUnfinished(9).sort(), ["a", "b"]);
  assert.deepEqual(second.loseUnfinished(9), []);
  assert.deepEqual(second.list("t", { most: 10 }).rows.map(({ id, state, ended }) => [id, state, ended]), [
    ["c", "finished", 4],
    ["b", "lost", 9],
    ["a", "lost", 9],
  ]);
  second.close();
});

Deno.test("a second server is kept off the record", () => {
  const path = `${tmp()}/db`;
  const first = new Store(path);
  assert.throws(() => new Store(path), /Another cordon serve|Cannot open the record/);
  first.close();
  new Store(path).close();
});

Deno.test("a page begins before an id, and tenants do not see each other", async () => {
  const store = new Store(":memory:");
  for (const id of ["a", "b", "c", "d"]) {
    await store.insert(
      row(id, { tenant: id === "c" ? "other" : "t", state: id === "d" ? "finished" : "queued" }),
    );
  }
  const ids = (options: Parameters<Store["list"]>[1]) => store.list("t", options).rows.map(({ id }) => id);
  assert.deepEqual(ids({ most: 2 }), ["d", "b"]);
  assert.deepEqual(ids({ most: 2, before: "b" }), ["a"]);
  assert.deepEqual(ids({ most: 9, state: "finished" }), ["d"]);
  assert.equal(store.get("c", "t"), undefined);
  await store.insert(row("e", { command: "x".repeat(100) }));
  const page = (options: Parameters<Store["list"]>[1]) => {
    const { rows, more } = store.list("t", options);
    return [rows.map(({ id }) => id).join(""), more];
  };
  assert.deepEqual(page({ most: 9, bytes: 200 }), ["edba", false]);
  assert.deepEqual(page({ most: 9, bytes: 10 }), ["e", true]);
  assert.deepEqual(page({ most: 9, bytes: 10, before: "e" }), ["d", true]);
  assert.deepEqual(page({ most: 9, bytes: 16, before: "e" }), ["db", true]);
  assert.deepEqual(page({ most: 3, bytes: 99, before: "e" }), ["dba", false]);
  assert.deepEqual(page({ most: 3, before: "a" }), ["", false]);
  store.close();
});

Deno.test("what can never be written says so, and keeps nothing else from it", async () => {
  const store = new Store(":memory:");
  await store.insert(row("a"));
  const [again, other] = [store.insert(row("a")), store.insert(row("b"))];
  store.keep("nobody", { after: 1, type: "stdout", bytes: new Uint8Array(1) });
  await assert.rejects(again, /record/);
  await other;
  await store.written();
  assert.equal(store.trouble, undefined);
  store.close();
});

Deno.test("a full disk is told, refuses what is new, keeps what must be written, and passes", async () => {
  const path = `${tmp()}/db`;
  const store = new Store(path);
  await store.insert(row("a"));
  const pages = (most: number) => store.limitPages(most);
  pages(1);
  await assert.rejects(store.insert(row("b", { command: "x".repeat(100_000) })), /record/);
  assert.match(store.trouble ?? "", /full/);
  store.update(row("a", { state: "finished", command: "y".repeat(100_000) }));
  pages(1e6);
  await store.written();
  assert.equal(store.trouble, undefined);
  assert.deepEqual(store.list("t", { most: 9 }).rows.map(({ id, state }) => [id, state]), [[
    "a",
    "finished",
  ]]);
  store.close();
});

Deno.test("trouble passes also when there is nothing to write", async () => {
  const store = new Store(":memory:");
  store.limitPages(1);
  await assert.rejects(store.insert(row("b", { command: "x".repeat(100_000) })), /record/);
  store.limitPages(1e6);
  while (store.trouble !== undefined) await new Promise((resolve) => setTimeout(resolve, 50));
  store.close();
});

Deno.test("what is too old is forgotten with its output, and the oldest output goes first", async () => {
  const store = new Store(":memory:");
  for (const [id, ended] of [["a", 10], ["b", 20], ["c", 30]] as const) {
    await store.insert(row(id, { state: "finished", ended }));
    store.keep(id, { after: 100, type: "stdout", bytes: new Uint8Array(100) });
  }
  await store.written();
  assert.equal(store.prune({ endedBefore: 15, outputBytes: 150 }), 1);
  assert.deepEqual(store.list("t", { most: 9 }).rows.map(({ id }) => [id, [...store.output(id)].length]), [[
    "c",
    1,
  ], [
    "b",
    0,
  ]]);
  store.close();
});

Deno.test("what a tenant used is counted without reading what was asked for", () => {
  const path = `${tmp()}/db`;
  new Store(path).close();
  const db = new DatabaseSync(path);
  const sql = "SELECT created, wall_ms, user_ms, system_ms, stdout_bytes, stderr_bytes " +
    "FROM executions WHERE tenant = ? ORDER BY id DESC LIMIT ?";
  const [plan] = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all("t", 9);
  db.close();
  assert.match(String(plan!["detail"]), /USING COVERING INDEX executions_of_tenant/);
});
