import assert from "node:assert/strict";
import { closeClient, type DockerClient } from "../../../lib/engine/docker/client.ts";
import { type PoolOptions, WarmPool } from "../../../lib/engine/docker/pool.ts";
import { CordonError } from "../../../lib/errors.ts";
import { FakeEngine, type Routes } from "../../helpers/fake-engine.ts";
import { type Behaviour, collector, FakeContainers, quickClient, stdout } from "./docker_fake.ts";

/** Waits for its line, answers it and ends. */
const shell: Behaviour = async (call, container) => {
  const line = await call.read();
  if (line === null) return container.end(0);
  await call.send(stdout(line.toString()));
  container.end(0);
};

const JOB = { image: "img", config: {}, script: "echo" };

interface At {
  pool: WarmPool;
  containers: FakeContainers;
  fake: FakeEngine;
  client: DockerClient;
}

async function withPool(
  { behave = shell, overrides = {}, ...options }: Partial<PoolOptions> & {
    behave?: Behaviour;
    overrides?: Routes;
  },
  body: (at: At) => Promise<void>,
): Promise<void> {
  const containers = new FakeContainers(behave);
  await using fake = new FakeEngine(containers.routes(overrides));
  const client = quickClient(fake, { appearMs: 10 });
  const pool = new WarmPool(client, { size: 1, enter: 0.5, ...options });
  try {
    await body({ pool, containers, fake, client });
    await pool.close();
    assert.equal(await client.removals.settled(5000), 0);
    assert.deepEqual([...containers.all.keys()], [], "left behind");
  } finally {
    containers.endAll();
    await pool.close();
    await closeClient(client, 0);
  }
}

async function until(met: () => boolean): Promise<void> {
  while (!met()) await new Promise((resolve) => setTimeout(resolve, 5));
}

Deno.test("what is used again is made ahead, each is used once, and its place is filled again", async () => {
  await withPool({}, async ({ pool, containers }) => {
    const { text, streams } = collector();
    await pool.run(JOB, streams);
    await until(() => pool.stats.ready === 1);
    const before = containers.made;
    await pool.run({ ...JOB, script: "two" }, streams);
    assert.equal(pool.stats.warm, 1);
    assert.match(text.out, /echo[^]*two/);
    await until(() => pool.stats.ready === 1 && containers.made === before + 1);
  });
});

Deno.test("another configuration, labels included, is another container", async () => {
  await withPool({ size: 4 }, async ({ pool }) => {
    const { streams } = collector();
    await pool.prepare(JOB);
    const others = [
      { ...JOB, image: "other" },
      { ...JOB, config: { User: "1" } },
      { ...JOB, config: { HostConfig: { Memory: 1 } } },
      { ...JOB, labels: { "org.cordon.owner": "bob" } },
    ];
    for (const job of others) await pool.run(job, streams);
    assert.deepEqual([pool.stats.warm, pool.stats.cold], [0, 4]);
    await pool.run({ ...JOB, wallSeconds: 3, script: "x" }, streams);
    assert.equal(pool.stats.warm, 1);
  });
});

Deno.test("what was used once is not made ahead, and no more than its size is", async () => {
  await withPool({ size: 2, enter: 1.5 }, async ({ pool, containers }) => {
    const { streams } = collector();
    for (const image of ["a", "b", "c", "d"]) await pool.run({ ...JOB, image }, streams);
    for (let i = 0; i < 8; i++) await pool.run({ ...JOB, image: "popular" }, streams);
    await until(() => pool.stats.ready === 2);
    const waiting = [...containers.all.values()].filter(({ running }) => running);
    assert.deepEqual(new Set(waiting.map(({ config }) => config["Image"])), new Set(["popular"]));
  });
});

Deno.test("one that died while it waited is noticed and never used", async () => {
  await withPool({}, async ({ pool, containers }) => {
    await pool.prepare(JOB);
    for (const container of containers.all.values()) container.end(0);
    await until(() => pool.stats.died === 1);
    const { text, streams } = collector();
    const result = await pool.run(JOB, streams);
    assert.deepEqual([result.exitCode, pool.stats.warm, pool.stats.cold], [0, 0, 1]);
    assert.match(text.out, /echo/);
  });
});

Deno.test("an image that cannot wait is not made again and again", async () => {
  const behave: Behaviour = (_call, container) => Promise.resolve(container.end(1));
  let now = 0;
  await withPool({ behave, now: () => now }, async ({ pool, containers }) => {
    const { streams } = collector();
    await pool.run(JOB, streams);
    await until(() => pool.stats.died === 1);
    const made = containers.made;
    await pool.run(JOB, streams);
    await pool.run(JOB, streams);
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.equal(containers.made, made + 2, "made ahead although it has just failed");
    now += 60_000;
    await pool.run(JOB, streams);
    await until(() => pool.stats.died === 2);
  });
});

Deno.test("what cannot be made ahead is told in the stats, and by a run of its own", async () => {
  const overrides: Routes = {
    "POST /containers/create": (call) => call.json(404, { message: "No such image: img" }),
  };
  await withPool({ overrides }, async ({ pool }) => {
    await assert.rejects(pool.run(JOB, collector().streams), /Cannot create a container/);
    await until(() => pool.stats.failure !== undefined);
    assert.ok(pool.stats.failure instanceof CordonError);
    await assert.rejects(pool.prepare(JOB), /Cannot create a container/);
  });
});

Deno.test("the popularity of what nobody uses fades until it is removed, and age ends it too", async () => {
  let now = 0;
  await withPool({ now: () => now, halfLifeMs: 1000, maxAgeMs: 10_000 }, async ({ pool, containers }) => {
    await pool.prepare(JOB);
    assert.equal(containers.all.size, 1);
    now += 5000;
    // Another one's use makes the pool look around.
    await pool.run({ ...JOB, image: "other" }, collector().streams);
    await until(() => [...containers.all.values()].every(({ config }) => config["Image"] === "other"));
  });
  await withPool({ now: () => now, maxAgeMs: 1000 }, async ({ pool, containers }) => {
    await pool.prepare(JOB);
    const [first] = containers.all.keys();
    now += 2000;
    await pool.prepare(JOB);
    await until(() => !containers.all.has(first ?? ""));
  });
});

Deno.test("at its close everything that waits goes, also what is being made", async () => {
  await withPool({ size: 4 }, async ({ pool, client, containers }) => {
    const { streams } = collector();
    for (let i = 0; i < 6; i++) await pool.run(JOB, streams);
    await until(() => pool.stats.starting + pool.stats.ready > 0);
    await pool.close();
    assert.equal(await client.removals.settled(5000), 0);
    assert.equal(containers.all.size, 0);
    const result = await pool.run(JOB, streams);
    assert.equal(result.exitCode, 0);
    assert.equal(pool.stats.starting, 0);
  });
});

Deno.test("an abort before the start uses nothing up", async () => {
  await withPool({}, async ({ pool }) => {
    await pool.prepare(JOB);
    const result = await pool.run(JOB, { ...collector().streams, signal: AbortSignal.abort() });
    assert.deepEqual([result.reason, pool.stats.ready], ["aborted", 1]);
  });
});

Deno.test("what is configured stands ready before anybody asks, and no longer when it is not configured any more", async () => {
  let now = 0;
  await withPool({ size: 0, enter: 1.5, now: () => now }, async ({ pool, containers }) => {
    pool.keep([{ job: JOB, count: 2 }, { job: { ...JOB, image: "other" }, count: 1 }], 3);
    const images = () => [...containers.all.values()].map(({ config }) => config["Image"]).sort();
    await until(() => pool.stats.ready === 3);
    assert.deepEqual(images(), ["img", "img", "other"]);
    now += 1e9;
    pool.keep([{ job: JOB, count: 1 }], 1);
    await until(() => containers.all.size === 1 && pool.stats.ready === 1);
    assert.deepEqual(images(), ["img"]);
  });
});
