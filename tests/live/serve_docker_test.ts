/** `cordon serve` before a container engine of the tests' own, as root. */
import assert from "node:assert/strict";
import { listContainers } from "../../lib/docker/containers.ts";
import { tmp } from "../helpers/binary.ts";
import { dockerNeeds, IMAGE, type RunningEngine, startDocker } from "../helpers/engines.ts";
import { test } from "../helpers/need.ts";
import { forContainers, mark, type Serving, serving, sleeping, until } from "../helpers/serving.ts";

function serve(engine: RunningEngine, options: { state?: string; pool?: string } = {}): Promise<Serving> {
  return serving({
    user: "caller",
    config: forContainers(engine, IMAGE, { more: options.pool ?? "" }),
    state: options.state ?? tmp(),
  });
}

test(
  "serve runs containers: output, status, limits, and nothing stays behind",
  { needs: dockerNeeds },
  async (t) => {
    await using engine = await startDocker();
    const containers = async () => (await listContainers(engine.engine, { all: true })).map(({ Id }) => Id);
    for (const pool of ["", `[pool.containers]\n"${IMAGE}" = 2\n`]) {
      await t.step(pool ? "from containers made ahead" : "from containers of their own", async () => {
        await using server = await serve(engine, { pool });
        const { body } = await server.execute("echo out; echo err >&2; id -u; exit 3", IMAGE);
        assert.deepEqual([body.stderr, body.exit_code, body.reason], ["err\n", 3, "exited"]);
        assert.match(body.stdout, /^out\n/);
        const args = `-e NAME=value -w /tmp ${IMAGE}`;
        assert.equal((await server.execute('echo "$NAME"; pwd', args)).body.stdout, "value\n/tmp\n");
        const none = await server.execute("ls /sys/class/net", IMAGE);
        assert.equal(none.body.stdout.trim(), "lo");
        const refused = await server.execute("true", "alpine");
        assert.match(refused.body.stderr, /alpine/);
        const program = await server.request("/v1/executions", {
          method: "POST",
          json: { command: ["printf", "%s|", "$HOME"], image: IMAGE, stdin: "x", wait: true },
        });
        const told = await program.json();
        assert.deepEqual([told.stdout, told.engine, told.image], ["$HOME|", "docker", `docker.io/${IMAGE}`]);
        const late = await server.request("/v1/executions", {
          method: "POST",
          json: {
            command: "cat; echo before; sleep 600",
            stdin: "in ",
            image: IMAGE,
            limits: { time: 1 },
            wait: true,
          },
        });
        const ended = await late.json();
        assert.deepEqual([ended.reason, ended.stdout, ended.status], ["timeout", "in before\n", 124]);
      });
      assert.deepEqual(await containers(), []);
    }
    await t.step("after SIGKILL the next one removes what is left, and tells what was lost", async () => {
      const state = tmp();
      const word = mark();
      {
        await using server = await serve(engine, { state });
        const begun = await server.request("/v1/executions", {
          method: "POST",
          json: { command: `exec sleep ${word}`, image: IMAGE },
        });
        assert.equal(begun.status, 202);
        await begun.body?.cancel();
        await until(() => sleeping(word));
        server.kill("SIGKILL");
        await server.status;
      }
      await using server = await serve(engine, { state });
      await until(async () => (await containers()).length === 0);
      assert.equal(sleeping(word), false);
      const list = await (await server.request("/v1/executions")).json();
      assert.deepEqual(list.executions.map(({ state }: { state: string }) => state), ["lost"]);
    });
    await t.step("a registry that hangs holds a place for the time limit alone", async () => {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const held: Deno.Conn[] = [];
      const hang = (async () => {
        for await (const conn of listener) held.push(conn);
      })();
      const registry = `127.0.0.1:${listener.addr.port}`;
      const pulling = forContainers(engine, IMAGE).replace(
        "images = [",
        `pull = "missing"\nimages = ["${registry}/**:*", `,
      );
      await using server = await serving({
        user: "caller",
        config: `concurrency = 1\n${pulling}`,
        state: tmp(),
      });
      const create = (json: object) => server.request("/v1/executions", { method: "POST", json });
      const waiting = create({ command: "true", image: `${registry}/x:1`, limits: { time: 1 }, wait: true });
      await until(() => held.length > 0);
      // Its turn comes when the place is free again.
      assert.equal((await server.execute("echo next", IMAGE)).body.stdout, "next\n");
      const told = await (await waiting).json();
      assert.deepEqual([told.state, told.reason, told.status], ["finished", "cordon", 125]);
      assert.match(told.stderr, /^cordon: The image \S+ was not there within the time limit of 1 s: /);
      assert.equal((await server.stop()).code, 0);
      for (const conn of held) conn.close();
      listener.close();
      await hang;
    });
  },
);
