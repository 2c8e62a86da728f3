import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { BrokenConnectionError, type EngineError } from "../../../lib/docker/errors.ts";
import { removeByLabel, RUN_LABEL, runContainer, type RunTiming } from "../../../lib/docker/lifecycle.ts";
import type { Streams } from "../../../lib/docker/pump.ts";
import { type FakeCall, FakeEngine, frame, gate, type Routes } from "../../helpers/fake-engine.ts";

const ID = "c".repeat(64);
const AT = `/containers/${ID}`;
const UPGRADED = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
const WAITING = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const QUICK: Partial<RunTiming> = { confirmMs: 20, statusMs: 20, silenceMs: 50 };

/** A container that runs once started, and exits with `code` once the attach handler is through. */
class FakeContainer {
  readonly started = gate();
  readonly ended = gate();
  code = 0;
  oom = false;
  running = false;
  removed = 0;
  config: Record<string, unknown> = {};

  routes(overrides: Routes = {}): Routes {
    return {
      "POST /containers/create": async (call) => {
        this.config = JSON.parse((await call.body()).toString());
        await call.json(201, { Id: ID, Warnings: ["no swap limit"] });
      },
      [`POST ${AT}/attach`]: async (call) => {
        await call.send(UPGRADED);
        await this.started.promise;
        await call.send(frame(1, "out"));
        await call.send(frame(2, "err"));
        this.end();
      },
      [`POST ${AT}/wait`]: async (call) => {
        assert.equal(call.query.get("condition"), "next-exit");
        assert.equal(this.running, false, "waiting has to begin before the start");
        await call.send(WAITING);
        await this.ended.promise;
        await call.send(chunk(JSON.stringify({ StatusCode: this.code })));
      },
      [`POST ${AT}/start`]: async (call) => {
        this.running = true;
        this.started.resolve();
        await call.send("HTTP/1.1 204 No Content\r\n\r\n");
      },
      [`GET ${AT}/json`]: (call) => call.json(200, { Id: ID, State: this.state() }),
      [`DELETE ${AT}`]: async (call) => {
        assert.equal(call.query.get("force"), "1");
        assert.equal(call.query.get("v"), "1");
        this.removed++;
        this.end();
        await call.send("HTTP/1.1 204 No Content\r\n\r\n");
      },
      ...overrides,
    };
  }

  end(): void {
    this.running = false;
    this.started.resolve();
    this.ended.resolve();
  }

  state() {
    return {
      Status: this.running ? "running" : "exited",
      Running: this.running,
      OOMKilled: this.oom,
      ExitCode: this.code,
      Error: "",
      StartedAt: "2025-01-01T00:00:00Z",
      FinishedAt: "2025-01-01T00:00:01Z",
    };
  }
}

function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`;
}

function collector(): { streams: Streams; text: { out: string; err: string } } {
  const text = { out: "", err: "" };
  const decoder = new TextDecoder();
  return {
    text,
    streams: {
      stdout: (bytes) => void (text.out += decoder.decode(bytes)),
      stderr: (bytes) => void (text.err += decoder.decode(bytes)),
    },
  };
}

Deno.test("a container is run in the order without a race and removed", async () => {
  const container = new FakeContainer();
  container.code = 7;
  container.oom = true;
  await using fake = new FakeEngine(container.routes());
  const { streams, text } = collector();
  const config = { Image: "img", HostConfig: { AutoRemove: true } };
  const result = await runContainer(fake.engine(), config, { streams, labels: { a: "b" } });
  assert.deepEqual(text, { out: "out", err: "err" });
  assert.deepEqual(result, {
    id: ID,
    exitCode: 7,
    oomKilled: true,
    error: "",
    startedAt: "2025-01-01T00:00:00Z",
    finishedAt: "2025-01-01T00:00:01Z",
    warnings: ["no swap limit"],
  });
  const [create, second, third, ...rest] = fake.asked;
  assert.equal(create, "POST /containers/create");
  assert.deepEqual([second, third].sort(), [`POST ${AT}/attach`, `POST ${AT}/wait`]);
  assert.deepEqual(rest, [`POST ${AT}/start`, `GET ${AT}/json`, `DELETE ${AT}`]);
  const { Labels, HostConfig, OpenStdin } = container.config as Record<string, Record<string, unknown>>;
  assert.equal(Labels?.["a"], "b");
  assert.equal(Labels?.["cordon.managed"], "true");
  assert.deepEqual(HostConfig, { AutoRemove: false, LogConfig: { Type: "none" } });
  assert.equal(OpenStdin, false);
});

Deno.test("a wait that never answers, or answers nothing, ends in asking", async () => {
  const never = (call: FakeCall) => call.closed();
  const cut = (call: FakeCall) => call.send(WAITING);
  const silent = async (call: FakeCall) => {
    await call.send(WAITING);
    await call.closed();
  };
  for (const wait of [never, cut, silent]) {
    const container = new FakeContainer();
    container.code = 3;
    await using fake = new FakeEngine(container.routes({ [`POST ${AT}/wait`]: wait }));
    const result = await runContainer(fake.engine(), { Image: "img" }, { timing: QUICK });
    assert.equal(result.exitCode, 3);
    assert.equal(container.removed, 1);
  }
});

Deno.test("a process that closed its output is waited for", async () => {
  const container = new FakeContainer();
  let looks = 0;
  await using fake = new FakeEngine(container.routes({
    [`POST ${AT}/attach`]: async (call) => {
      await call.send(UPGRADED);
      await container.started.promise;
    },
    [`POST ${AT}/wait`]: (call) => call.closed(),
    [`GET ${AT}/json`]: async (call) => {
      if (++looks === 3) {
        container.code = 9;
        container.end();
      }
      await call.json(200, { Id: ID, State: container.state() });
    },
  }));
  const result = await runContainer(fake.engine(), { Image: "img" }, { timing: QUICK });
  assert.equal(result.exitCode, 9);
});

Deno.test("an output that the engine never ends is ended after the container", async () => {
  const container = new FakeContainer();
  await using fake = new FakeEngine(container.routes({
    [`POST ${AT}/attach`]: async (call) => {
      await call.send(UPGRADED);
      await container.started.promise;
      await call.send(frame(1, "all"));
      container.end();
      await call.closed();
    },
  }));
  const { streams, text } = collector();
  const result = await runContainer(fake.engine(), { Image: "img" }, { streams, timing: QUICK });
  assert.equal(text.out, "all");
  assert.equal(result.exitCode, 0);
});

Deno.test("output cut in mid-frame is an error, not an end", async () => {
  const container = new FakeContainer();
  await using fake = new FakeEngine(container.routes({
    [`POST ${AT}/attach`]: async (call) => {
      await call.send(UPGRADED);
      await container.started.promise;
      await call.send(frame(1, "complete").subarray(0, 12));
    },
  }));
  await assert.rejects(runContainer(fake.engine(), { Image: "img" }), BrokenConnectionError);
  assert.equal(container.removed, 1);
});

Deno.test("what cannot be started says so with the right status, and is removed", async () => {
  const words =
    "failed to create shim task: OCI runtime create failed: runc create failed: unable to start " +
    'container process: exec: "nope": executable file not found in $PATH: unknown';
  const cases: Routes[] = [
    { [`POST ${AT}/start`]: (call) => call.json(400, { message: words }) },
    { [`POST ${AT}/attach`]: (call) => call.json(409, { cause: "x", message: words, response: 409 }) },
  ];
  for (const routes of cases) {
    const container = new FakeContainer();
    await using fake = new FakeEngine(container.routes(routes));
    await assert.rejects(runContainer(fake.engine(), { Image: "img" }), (error: EngineError) => {
      assert.equal(error.exit, 127);
      assert.equal(error.message, `Cannot start container ${ID.slice(0, 12)}`);
      assert.equal(error.why, 'exec: "nope": executable file not found in $PATH');
      return true;
    });
    assert.equal(container.removed, 1);
  }
});

Deno.test("cancelled at any point, the container is removed and the reason thrown", async () => {
  for (const point of ["/containers/create", `${AT}/attach`, `${AT}/wait`, `${AT}/start`, "output"]) {
    const container = new FakeContainer();
    const controller = new AbortController();
    const reason = new Error(`cancelled at ${point}`);
    const routes = container.routes({
      [`POST ${AT}/attach`]: async (call) => {
        await call.send(UPGRADED);
        await container.started.promise;
        if (point === "output") controller.abort(reason);
        await call.closed();
      },
    });
    const key = `POST ${point}`;
    const usual = routes[key];
    if (usual) {
      routes[key] = (call) => {
        controller.abort(reason);
        return usual(call);
      };
    }
    await using fake = new FakeEngine(routes);
    const run = runContainer(fake.engine(), { Image: "img" }, { signal: controller.signal, timing: QUICK });
    await assert.rejects(run, (error) => error === reason, point);
    assert.equal(container.removed, 1, point);
  }
});

Deno.test("a creation whose answer was lost is looked for by its label", async () => {
  const container = new FakeContainer();
  let asked: string[] = [];
  await using fake = new FakeEngine(container.routes({
    "POST /containers/create": async (call) => {
      container.config = JSON.parse((await call.body()).toString());
    },
    "GET /containers/json": (call) => {
      asked = JSON.parse(call.query.get("filters") ?? "{}").label;
      return call.json(200, [{ Id: ID, Labels: {} }]);
    },
  }));
  await assert.rejects(runContainer(fake.engine(), { Image: "img" }), BrokenConnectionError);
  const labels = container.config["Labels"] as Record<string, string>;
  assert.deepEqual(asked, [`${RUN_LABEL}=${labels[RUN_LABEL]}`]);
  assert.equal(container.removed, 1);
});

Deno.test("stdin goes in, its end is a half-close, and output goes on after it", async () => {
  const container = new FakeContainer();
  await using fake = new FakeEngine(container.routes({
    [`POST ${AT}/attach`]: async (call) => {
      assert.equal(call.query.get("stdin"), "1");
      await call.send(UPGRADED);
      await container.started.promise;
      let got = "";
      for (let part = await call.read(); part; part = await call.read()) got += part.toString();
      await call.send(frame(1, `got ${got}`));
      container.end();
    },
  }));
  const { streams, text } = collector();
  const stdin = ReadableStream.from([Buffer.from("one "), Buffer.from("two")]);
  await runContainer(fake.engine(), { Image: "img" }, { streams: { ...streams, stdin } });
  assert.equal(text.out, "got one two");
  assert.equal(container.config["OpenStdin"], true);
  assert.equal(container.config["StdinOnce"], true);
});

Deno.test("a stdin that never ends does not keep the run, and stays usable", async () => {
  const container = new FakeContainer();
  await using fake = new FakeEngine(container.routes());
  let push: ReadableStreamDefaultController<Uint8Array> | undefined;
  const stdin = new ReadableStream<Uint8Array>({ start: (controller) => void (push = controller) });
  await runContainer(fake.engine(), { Image: "img" }, { streams: { stdin } });
  push?.enqueue(Uint8Array.of(1));
  const reader = stdin.getReader();
  assert.deepEqual((await reader.read()).value, Uint8Array.of(1));
});

Deno.test("what a stdin, a sink or a callback throws ends the run and the container", async () => {
  const broken = new Error("no space left");
  const stdin = () =>
    new ReadableStream<Uint8Array>({
      pull() {
        throw broken;
      },
    });
  const fail = () => {
    throw broken;
  };
  for (
    const options of [
      { streams: { stdin: stdin() } },
      { streams: { stdout: fail } },
      { onCreated: fail },
      { onStarted: fail },
    ]
  ) {
    const container = new FakeContainer();
    await using fake = new FakeEngine(container.routes({
      [`POST ${AT}/attach`]: async (call) => {
        await call.send(UPGRADED);
        await container.started.promise;
        await call.send(frame(1, "out"));
        await call.closed();
      },
    }));
    await assert.rejects(runContainer(fake.engine(), { Image: "img" }, options), (error) => error === broken);
    assert.equal(container.removed, 1);
  }
});

Deno.test("output that nobody takes stays with the engine", async () => {
  const container = new FakeContainer();
  const total = 64 * 1024 * 1024;
  const piece = frame(1, new Uint8Array(65536));
  let sent = 0;
  await using fake = new FakeEngine(container.routes({
    [`POST ${AT}/attach`]: async (call) => {
      await call.send(UPGRADED);
      await container.started.promise;
      for (; sent < total; sent += 65536) await call.send(piece);
      container.end();
    },
  }));
  const first = gate();
  const release = gate();
  let taken = 0;
  const run = runContainer(fake.engine(), { Image: "img" }, {
    streams: {
      stdout: async (bytes) => {
        taken += bytes.length;
        first.resolve();
        await release.promise;
      },
    },
  });
  await first.promise;
  for (let before = -1; before !== sent;) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(sent < 4 * 1024 * 1024, `${sent} bytes were taken from the engine for one that was wanted`);
  release.resolve();
  await run;
  assert.equal(taken, total);
});

Deno.test("a container that cannot be removed is told of, with and without another failure", async () => {
  const stuck = (container: FakeContainer): Routes => ({
    [`DELETE ${AT}`]: (call) => {
      container.end();
      return call.json(500, { message: "device busy" });
    },
  });
  {
    const container = new FakeContainer();
    await using fake = new FakeEngine(container.routes(stuck(container)));
    const { warnings } = await runContainer(fake.engine(), { Image: "img" });
    assert.match(warnings.at(-1) ?? "", /was left behind: .*device busy/);
  }
  const container = new FakeContainer();
  const refused = {
    ...stuck(container),
    [`POST ${AT}/start`]: (call: FakeCall) => call.json(500, { message: "no such user" }),
  };
  await using fake = new FakeEngine(container.routes(refused));
  await assert.rejects(runContainer(fake.engine(), { Image: "img" }), (error: EngineError) => {
    assert.match(error.why ?? "", /no such user\nContainer c{12} was left behind: .*device busy/);
    assert.equal(error.exit, 125);
    return true;
  });
});

Deno.test("kept means kept after an ordinary end, with its log", async () => {
  const container = new FakeContainer();
  await using fake = new FakeEngine(container.routes());
  await runContainer(fake.engine(), { Image: "img" }, { keep: true });
  assert.equal(container.removed, 0);
  assert.deepEqual(container.config["HostConfig"], { AutoRemove: false });
});

Deno.test("left-overs are removed by label, except those that are kept", async () => {
  const removed: string[] = [];
  await using fake = new FakeEngine({
    "GET /containers/json": (call) => {
      assert.deepEqual(JSON.parse(call.query.get("filters") ?? ""), { label: ["cordon.managed=true", "x"] });
      assert.equal(call.query.get("all"), "1");
      return call.json(200, ["a", "b", "c"].map((Id) => ({ Id, Labels: { owner: Id } })));
    },
    "DELETE /containers/*": (call) => {
      removed.push(call.path);
      return call.json(call.path.endsWith("c") ? 404 : 204, {});
    },
  });
  const labels = { "cordon.managed": "true", x: "" };
  const ids = await removeByLabel(fake.engine(), { labels, keep: ({ Labels }) => Labels?.["owner"] === "b" });
  assert.deepEqual(ids, ["a"]);
  assert.deepEqual(removed, ["/containers/a", "/containers/c"]);
  await assert.rejects(removeByLabel(fake.engine(), { labels: {} }), TypeError);
});
