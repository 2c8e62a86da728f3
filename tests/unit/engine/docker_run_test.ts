/** Faults of an engine while a container is run: each ends in a bounded time, and with nothing left. */
import assert from "node:assert/strict";
import { CordonError } from "../../../lib/errors.ts";
import { closeClient, type DockerClient } from "../../../lib/engine/docker/client.ts";
import { runContainer } from "../../../lib/engine/docker/run.ts";
import { type FakeCall, FakeEngine, frame, gate, type Routes } from "../../helpers/fake-engine.ts";
import { type Behaviour, collector, FakeContainers, quickClient, stderr, stdout } from "./docker_fake.ts";

const JOB = { image: "img", config: {} };

/** A fake engine with these containers, and a client. Checks that no container is left in the end. */
async function withFake(
  { behave, overrides = {} }: { behave: Behaviour; overrides?: Routes },
  body: (client: DockerClient, at: { containers: FakeContainers; fake: FakeEngine }) => Promise<void>,
): Promise<void> {
  const containers = new FakeContainers(behave);
  await using fake = new FakeEngine(containers.routes(overrides));
  const client = quickClient(fake);
  try {
    await body(client, { containers, fake });
    assert.equal(await client.removals.settled(5000), 0);
    assert.deepEqual([...containers.all.keys()], [], "left behind");
  } finally {
    containers.endAll();
    await closeClient(client, 0);
  }
}

const untilGone: Behaviour = (call) => call.closed();

Deno.test("a container is run in the order without a race, with labels that tell its daemon", async () => {
  let config: Record<string, unknown> = {};
  const behave: Behaviour = async (call, container) => {
    config = container.config;
    await call.send(stdout("out"));
    await call.send(stderr("err"));
    container.end(7);
  };
  await withFake({ behave }, async (client, { fake }) => {
    const { text, streams } = collector();
    const labels = { "org.cordon.owner": "ann", "org.cordon.kind": "forged" };
    const result = await runContainer(client, { ...JOB, labels }, streams);
    assert.deepEqual([text.out, text.err, result.reason, result.exitCode], ["out", "err", "exited", 7]);
    const calls = fake.asked.map((line) => line.replace(/c{10,}\w*/, "ID"));
    assert.equal(calls[0], "POST /containers/create");
    assert.deepEqual(calls.slice(1, 3).sort(), ["POST /containers/ID/attach", "POST /containers/ID/wait"]);
    assert.deepEqual(calls.slice(3), [
      "POST /containers/ID/start",
      "GET /containers/ID/json", // how it ended, and where its groups are: asked once of an engine
      "GET /containers/ID/json",
      "DELETE /containers/ID",
    ]);
    assert.deepEqual(config["Labels"], {
      "org.cordon.owner": "ann",
      "org.cordon.kind": "serve",
      "org.cordon.uid": String(client.identity.uid),
      "org.cordon.machine": client.identity.machine,
      "org.cordon.process": client.identity.process,
      "org.cordon.instance": client.identity.instance,
    });
    assert.deepEqual([config["OpenStdin"], config["Tty"]], [false, false]);
  });
});

Deno.test("frames may be split anywhere", async () => {
  const bytes = Uint8Array.of(...stdout("grün"), ...stderr("e"), ...stdout(""), ...stdout("x".repeat(300)));
  const behave: Behaviour = (call) => call.send(bytes, 1);
  await withFake({ behave }, async (client) => {
    const { text, streams } = collector();
    await runContainer(client, JOB, streams);
    assert.deepEqual([text.out, text.err], [`grün${"x".repeat(300)}`, "e"]);
  });
});

Deno.test("a connection cut within a frame is told, with what came before", async () => {
  const cuts = [stdout("rest").subarray(0, 3), stdout("rest").subarray(0, 10)];
  for (const cut of cuts) {
    const behave: Behaviour = async (call) => {
      await call.send(stdout("before"));
      await call.send(cut);
    };
    await withFake({ behave }, async (client) => {
      const { text, streams } = collector();
      await assert.rejects(runContainer(client, JOB, streams), /broke off/);
      assert.equal(text.out.slice(0, 6), "before");
    });
  }
});

Deno.test("an error of the engine within the stream, after all went well, is told", async () => {
  const behave: Behaviour = (call) => call.send(frame(3, "no space left on device"));
  await withFake({ behave }, async (client) => {
    await assert.rejects(
      runContainer(client, JOB, collector().streams),
      (error: CordonError) => /no space left/.test(error.why ?? ""),
    );
  });
});

Deno.test("a wait that is refused, cut or never answered does not lose the status", async () => {
  const behave: Behaviour = async (call, container) => {
    await call.send(stdout("out"));
    container.end(3);
  };
  const waits: ((call: FakeCall) => Promise<void>)[] = [
    (call) => call.closed(),
    (call) => call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    async (call) => {
      await call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{");
      await call.closed();
    },
  ];
  for (const wait of waits) {
    await withFake({ behave, overrides: { "POST /containers/*/wait": wait } }, async (client) => {
      const result = await runContainer(client, JOB, collector().streams);
      assert.deepEqual([result.reason, result.exitCode], ["exited", 3]);
    });
  }
});

Deno.test("the time limit keeps what was printed", async () => {
  const behave: Behaviour = async (call, container) => {
    await call.send(stdout("before"));
    await container.ended.promise;
  };
  await withFake({ behave }, async (client) => {
    const { text, streams } = collector();
    const result = await runContainer(client, { ...JOB, wallSeconds: 0.05 }, streams);
    assert.deepEqual([result.reason, result.exitCode, text.out], ["timeout", null, "before"]);
  });
});

Deno.test("an engine that hangs at the time limit is told, and asked again until the container is gone", async () => {
  const resumed = gate();
  const hang = async (call: FakeCall) => {
    await Promise.race([resumed.promise, call.closed()]);
  };
  let hung = true;
  const containers = new FakeContainers(untilGone);
  const routes = containers.routes();
  const whenResumed = (route: string): Routes => ({
    [route]: (call) => hung ? hang(call) : routes[route]!(call),
  });
  await using fake = new FakeEngine({
    ...routes,
    ...whenResumed("POST /containers/*/kill"),
    ...whenResumed("DELETE /containers/*"),
  });
  const client = quickClient(fake);
  try {
    const run = runContainer(client, { ...JOB, wallSeconds: 0.05 }, collector().streams);
    await assert.rejects(run, (error: CordonError) => {
      assert.match(`${error.message}: ${error.why}`, /Cannot end container .*did not answer within/);
      return true;
    });
    assert.equal(containers.all.size, 1);
    hung = false;
    resumed.resolve();
    assert.equal(await client.removals.settled(5000), 0);
    assert.equal(containers.all.size, 0);
  } finally {
    await closeClient(client, 0);
  }
});

Deno.test("a creation that is answered late is undone", async () => {
  for (const how of ["late", "abort"]) {
    const answer = gate();
    const containers = new FakeContainers(untilGone);
    const routes = containers.routes();
    const create = routes["POST /containers/create"]!;
    await using fake = new FakeEngine({
      ...routes,
      "POST /containers/create": async (call) => {
        await answer.promise;
        await create(call);
      },
    });
    const client = quickClient(fake);
    try {
      const signal = how === "abort" ? { signal: AbortSignal.timeout(20) } : {};
      const run = runContainer(client, JOB, { ...collector().streams, ...signal });
      if (how === "abort") assert.equal((await run).reason, "aborted");
      else await assert.rejects(run, (error: CordonError) => /did not answer within/.test(error.why ?? ""));
      answer.resolve();
      assert.equal(await client.removals.settled(5000), 0);
      assert.deepEqual([containers.made, containers.all.size], [1, 0]);
    } finally {
      await closeClient(client, 0);
    }
  }
});

Deno.test("a container whose creation was cut off is looked for by its name", async () => {
  let name = "";
  const deleted: string[] = [];
  const overrides: Routes = {
    "POST /containers/create": (call) => void (name = call.query.get("name") ?? ""),
    "DELETE /containers/*": async (call) => {
      deleted.push(call.path);
      // It comes about only after it was asked for the first time.
      await call.json(deleted.length < 3 ? 404 : 200, {});
    },
  };
  await withFake({ behave: untilGone, overrides }, async (client) => {
    await assert.rejects(runContainer(client, JOB, collector().streams), CordonError);
    assert.equal(await client.removals.settled(5000), 0);
    assert.deepEqual(deleted, Array(3).fill(`/containers/${name}`));
  });
});

Deno.test("a removal that is refused is tried again", async () => {
  let refusals = 0;
  const containers = new FakeContainers((call) => call.send(stdout("x")));
  const routes = containers.routes();
  await using fake = new FakeEngine({
    ...routes,
    "DELETE /containers/*": async (call) => {
      if (refusals++ < 3) return await call.json(500, { message: "device or resource busy" });
      await routes["DELETE /containers/*"]!(call);
    },
  });
  const client = quickClient(fake);
  try {
    await runContainer(client, JOB, collector().streams);
    assert.equal(await client.removals.settled(5000), 0);
    assert.deepEqual([refusals, containers.all.size], [4, 0]);
  } finally {
    await closeClient(client, 0);
  }
});

Deno.test("what cannot be started has the status of docker-run(1)", async () => {
  const words: [string, number][] = [
    ['exec: "nope": executable file not found in $PATH', 127],
    ['exec: "/etc": permission denied', 126],
    ["unable to find user nobody-here", 125],
  ];
  for (const [message, exit] of words) {
    const overrides: Routes = { "POST /containers/*/start": (call) => call.json(400, { message }) };
    await withFake({ behave: untilGone, overrides }, async (client) => {
      await assert.rejects(
        runContainer(client, JOB, collector().streams),
        (error: CordonError) => error.exit === exit,
      );
    });
  }
});

Deno.test("memory is the reason only when it ended the container", async () => {
  for (
    const [code, reason, exitCode] of [[0, "exited", 0], [137, "memory", null], [1, "memory", 1]] as const
  ) {
    const behave: Behaviour = (_call, container) => {
      container.oom = true;
      container.end(code);
      return Promise.resolve();
    };
    await withFake({ behave }, async (client) => {
      const result = await runContainer(client, JOB, collector().streams);
      assert.deepEqual([result.reason, result.exitCode], [reason, exitCode]);
    });
  }
});

Deno.test("an engine that is gone in the middle is told", async () => {
  const containers = new FakeContainers(untilGone);
  const fake = new FakeEngine(containers.routes());
  const client = quickClient(fake);
  const run = runContainer(client, JOB, collector().streams);
  run.catch(() => undefined);
  while (!fake.asked.some((line) => line.endsWith("/start"))) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const closed = fake[Symbol.asyncDispose]();
  containers.endAll();
  await closed;
  await assert.rejects(run, CordonError);
  assert.equal(client.removals.pending, 1);
  assert.equal(await closeClient(client, 0), 1);
});
