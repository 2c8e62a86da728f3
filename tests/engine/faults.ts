/** What real engines and daemons do when one of them dies or hangs; for Docker and Podman. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type ContainerSummary, listContainers } from "../../lib/docker/containers.ts";
import { importImage } from "../../lib/docker/images.ts";
import type { DockerClient } from "../../lib/engine/docker/client.ts";
import { WarmPool } from "../../lib/engine/docker/pool.ts";
import { runContainer } from "../../lib/engine/docker/run.ts";
import { sweep } from "../../lib/engine/docker/sweep.ts";
import { CordonError } from "../../lib/errors.ts";
import { IMAGE, type RunningEngine } from "../helpers/engines.ts";
import { bashTar } from "../helpers/bash-image.ts";
import { EAGER, withClient } from "./containers.ts";

const HostConfig = { NetworkMode: "none" };
const JOB = { image: IMAGE, config: { HostConfig } };
const none = { stdout() {}, stderr() {} };

export async function faultSuite(t: Deno.TestContext, engine: RunningEngine): Promise<void> {
  const step = (name: string, body: (client: DockerClient) => Promise<void>) =>
    t.step(name, async () => {
      await withClient(engine, body);
      assert.deepEqual(await containersOf(engine), [], "left behind");
    });

  await step("a script finds the same surroundings as in a container of its own", async (client) => {
    const image = "cordon-test/bash:1";
    await importImage(engine.engine, image, {
      tar: await bashTar(),
      changes: ["ENV PATH=/usr/bin:/bin", "ENV LANG=C"],
    });
    // What is looked at without a pipe is not changed by looking.
    const script = `env | sort; pwd; id; echo "$0 $# $- $SHLVL $$ $PPID"; umask; ulimit -a; trap
ls -l /proc/$$/fd >fds; tr -s ' ' <fds | cut -d ' ' -f 1,9- | cut -d '[' -f 1
tr '\\0' ' ' </proc/1/cmdline; grep -E '^(SigIgn|Cap|Seccomp|NoNew)' /proc/1/status
set -- /proc/[0-9]*; echo $#; cat; exit 9`;
    const config = {
      HostConfig: { ...HostConfig, CapDrop: ["ALL"], SecurityOpt: ["no-new-privileges"] },
      Env: ["A=1"],
      WorkingDir: "/tmp",
      User: "1234:5",
      Hostname: "same",
    };
    await using pool = opened(client);
    const direct = await collect((streams) =>
      runContainer(client, { image, config: { ...config, Cmd: ["bash", "-lc", script] } }, streams)
    );
    await pool.prepare({ image, config });
    const warm = await collect((streams) => pool.run({ image, config, script }, streams));
    assert.equal(pool.stats.warm, 1);
    assert.deepEqual(warm, direct);
    assert.match(direct.text, /^A=1\n[^]*\nbash -lc env /m);
  });

  await step(
    "a daemon that is killed: what waits ends by itself, the rest goes with the next start",
    async (client) => {
      const { child, instance } = await startDaemon(engine);
      await using pool = opened(client);
      await pool.prepare(JOB);
      const running = await containersOf(engine, instance);
      assert.deepEqual(running.map(({ State }) => State), ["running", "running", "running"]);
      assert.deepEqual(await sweep(client), [], "it still lives");
      child.kill("SIGKILL");
      await child.status;
      await until(async () =>
        (await containersOf(engine, instance)).filter(({ State }) => State === "running").length === 1
      );
      assert.equal((await sweep(client)).length, 3);
      assert.deepEqual(await containersOf(engine, instance), []);
      // Those of a living daemon stay.
      assert.equal(pool.stats.ready, 1);
      assert.equal((await pool.run({ ...JOB, script: "exit 5" }, none)).exitCode, 5);
      assert.equal(pool.stats.warm, 1);
    },
  );

  await step(
    "an engine that hangs: told after the time limit, and the container goes when it answers",
    async (client) => {
      const begun = Promise.withResolvers<void>();
      const config = { HostConfig, Cmd: ["sh", "-c", "echo begun; sleep 600"] };
      const streams = { stdout: () => begun.resolve(), stderr() {} };
      const run = runContainer(client, { image: IMAGE, config, wallSeconds: 4 }, streams);
      await Promise.race([begun.promise, run]);
      engine.pause();
      try {
        await assert.rejects(run, (error: CordonError) => /did not answer within/.test(error.why ?? ""));
        // Nor does a new one wait for ever, and what it asked for is undone.
        const refused = runContainer(client, { image: IMAGE, config }, {
          ...none,
          signal: AbortSignal.timeout(200),
        });
        assert.equal((await refused).reason, "aborted");
      } finally {
        engine.resume();
      }
      assert.equal(await client.removals.settled(60_000), 0);
    },
  );

  await step(
    "an engine that is killed: told at once, and the container goes when it is back",
    async (client) => {
      const begun = Promise.withResolvers<void>();
      const config = { HostConfig, Cmd: ["sh", "-c", "echo begun; sleep 600"] };
      const streams = { stdout: () => begun.resolve(), stderr() {} };
      await using pool = opened(client);
      await pool.prepare(JOB);
      const run = runContainer(client, { image: IMAGE, config, wallSeconds: 60 }, streams);
      run.catch(() => undefined);
      await Promise.race([begun.promise, run]);
      await engine.kill();
      await assert.rejects(run, CordonError);
      await assert.rejects(pool.run({ ...JOB, script: "true" }, none), CordonError);
      await engine.startAgain();
      assert.equal(await client.removals.settled(60_000), 0);
      assert.equal((await pool.run({ ...JOB, script: "exit 3" }, none)).exitCode, 3);
    },
  );
}

/** A pool that is closed, with all of its removals done, at the end of the block. */
function opened(client: DockerClient): WarmPool & AsyncDisposable {
  return Object.assign(new WarmPool(client, EAGER), {
    async [Symbol.asyncDispose](this: WarmPool) {
      await this.close();
      assert.equal(await client.removals.settled(60_000), 0);
    },
  });
}

async function collect(
  run: (streams: { stdout(b: Uint8Array): void; stderr(b: Uint8Array): void }) => Promise<unknown>,
) {
  const parts: Uint8Array[] = [];
  const take = (bytes: Uint8Array) => void parts.push(bytes.slice());
  const { reason, exitCode } = await run({ stdout: take, stderr: take }) as {
    reason: string;
    exitCode: number;
  };
  return { reason, exitCode, text: Buffer.concat(parts).toString() };
}

async function startDaemon({ endpoint }: RunningEngine) {
  const script = new URL("pool_daemon.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, endpoint.path, IMAGE],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while (!seen.endsWith("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the daemon has ended: ${seen}`);
    seen += value;
  }
  await reader.cancel();
  return { child, instance: seen.trim().split(" ")[1] ?? "" };
}

async function containersOf({ engine }: RunningEngine, instance = ""): Promise<ContainerSummary[]> {
  return await listContainers(engine, { labels: { "org.cordon.instance": instance } });
}

async function until(met: () => Promise<boolean>): Promise<void> {
  while (!await met()) await new Promise((resolve) => setTimeout(resolve, 50));
}
