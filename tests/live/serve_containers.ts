/** `cordon serve` with a container engine: what executions get, and what is left when anything dies or hangs. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type ContainerSummary, listContainers } from "../../lib/docker/containers.ts";
import { importImage, tagImage } from "../../lib/docker/images.ts";
import { tmp } from "../helpers/binary.ts";
import { busyboxTar, IMAGE as BUSYBOX, type RunningEngine } from "../helpers/engines.ts";
import { type Answered, type Serving, serving, type ServingOptions, until } from "../helpers/serving.ts";

const VANISHING = 1000;
/** Podman completes a name as docker does only where it can pull; what is made here has no registry. */
const IMAGE = `localhost/${BUSYBOX}`;
const WITH_VOLUME = "localhost/cordon-test/volume:1";
/** Among them, and with patience. */
const STAYING = 20;
const KILLS = 8;

export async function serveSuite(t: Deno.TestContext, engine: RunningEngine): Promise<void> {
  await tagImage(engine.engine, BUSYBOX, { name: IMAGE });
  const start = (more: Partial<ServingOptions> & { pool?: number; state?: string } = {}) =>
    serving({ user: "caller", config: configuration(engine, more.pool ?? 0), ...more });
  const step = (name: string, body: () => Promise<void>) =>
    t.step(name, async () => {
      await body();
      await until(async () => (await containersOf(engine)).length === 0);
    });

  await step("scripts and programs, their output, input and status", async () => {
    await using server = await start();
    const { status, body } = await server.execute("echo out; echo err >&2; exit 7", IMAGE);
    assert.deepEqual([status, body.stdout, body.stderr, body.exit_code], [200, "out\n", "err\n", 7]);
    assert.equal(body.reason, "exited");
    const asked = { image: IMAGE, wait: true, stdin: "input", env: { A: "1" }, workdir: "/tmp" };
    const script = await v1(server, { ...asked, command: 'cat; echo "$A"; pwd' });
    assert.equal(script.stdout, "input1\n/tmp\n");
    const program = await v1(server, { ...asked, command: ["printf", "%s|", "$A", "a b"] });
    assert.equal(program.stdout, "$A|a b|");
    const absent = await v1(server, { ...asked, command: ["nowhere"] });
    assert.deepEqual([absent.status, absent.reason], [127, "exited"]);
    assert.match(absent.stderr, /not found/);
    const refused = await server.execute("true", `--privileged ${IMAGE}`);
    assert.match(refused.body.stderr, /--privileged/);
  });

  await step("containers are confined", async () => {
    await using server = await start();
    const look = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; ls /sys/class/net; " +
      "touch /root/x 2>&1; touch /tmp/x && echo can";
    const { body } = await server.execute(look, IMAGE);
    const zero = "0".repeat(16);
    assert.equal(
      body.stdout,
      `CapBnd:\t${zero}\nCapEff:\t${zero}\nNoNewPrivs:\t1\nSeccomp:\t2\nlo\n`.replace(
        /(CapBnd.*\n)(CapEff.*\n)/,
        "$2$1",
      ) +
        "touch: /root/x: Read-only file system\ncan\n",
    );
  });

  await step("volumes of an image are in memory, and limited", async () => {
    await importImage(engine.engine, WITH_VOLUME, { tar: await busyboxTar(), changes: ["VOLUME /data"] });
    await using server = await start();
    const look = "grep ' /data ' /proc/mounts; head -c 2000000 /dev/zero >/data/x && echo fits";
    for (const pooled of [true, false]) {
      const { body } = pooled
        ? await server.execute(look, WITH_VOLUME)
        : { body: await v1(server, { image: WITH_VOLUME, wait: true, command: ["sh", "-c", look] }) };
      assert.match(
        body.stdout,
        /^tmpfs \/data tmpfs rw,nosuid,nodev\S*size=\d+k\S* 0 0\nfits\n$/,
        body.stderr,
      );
    }
  });

  await step("limits: time with what was printed before, memory, processes, output", async () => {
    await using server = await start();
    const ask = { image: IMAGE, wait: true };
    const late = await v1(server, { ...ask, command: "echo before; sleep 600", limits: { time: 1 } });
    assert.deepEqual([late.reason, late.status, late.stdout], ["timeout", 124, "before\n"]);
    const grow = `awk 'BEGIN { s = "x"; while (1) s = s s }'`;
    const large = await v1(server, { ...ask, command: `exec ${grow}`, limits: { memory: 32 * 2 ** 20 } });
    assert.deepEqual([large.reason, large.status], ["memory", 137]);
    const many = "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait";
    const forks = await v1(server, { ...ask, command: many, limits: { pids: 5 } });
    assert.match(forks.stderr, /can't fork|Resource temporarily unavailable/);
    const long = await server.execute("head -c 3000000 /dev/zero; exit 4", IMAGE);
    assert.deepEqual([long.body.stdout.length, long.body.truncated, long.body.exit_code], [2 ** 20, true, 4]);
  });

  await step("what was used is told, of each kind of run", async () => {
    await using server = await start({ pool: 1 });
    const work = "head -c 30000000 /dev/zero | tail -c 30000000 | wc -c; i=0; " +
      "while [ $i -lt 200000 ]; do i=$((i+1)); done";
    for (
      const [kind, more] of Object.entries({
        "made ahead": { command: work },
        "of its own": { command: ["sh", "-c", work] },
        "with files": { command: work, files: [{ path: "x", text: "x" }] },
        "with its output closed before": { command: `exec >&- 2>&-; ${work}` },
      })
    ) {
      const told = await v1(server, { image: IMAGE, wait: true, ...more });
      const { user_ms, system_ms, wall_ms, max_rss_bytes } = told;
      const shown = `${kind}: ${JSON.stringify({ user_ms, system_ms, wall_ms, max_rss_bytes })}`;
      assert.equal(told.exit_code, 0, told.stderr);
      // Three programs at a time; what the engine does for the container counts too.
      assert.ok(user_ms + system_ms > 50 && user_ms + system_ms < 3 * wall_ms + 1000, shown);
      assert.ok(max_rss_bytes > 30_000_000 && max_rss_bytes < 2 ** 30, shown);
    }
  });

  await step(
    "a configured container is ready from the start, and its surroundings are the same",
    async () => {
      await using server = await start({ pool: 2 });
      await until(async () => (await running(engine)) === 2);
      const look = "env | grep -v HOSTNAME | sort; pwd; tr '\\0' ' ' </proc/1/cmdline; echo $$; wc -c";
      const warm = await server.execute(look, IMAGE);
      // Another configuration, of which none is ready.
      const cold = await server.execute(look, `-e A=1 ${IMAGE}`);
      assert.equal(warm.body.stdout, cold.body.stdout.replace("A=1\n", ""));
      assert.equal(warm.body.exit_code, 0);
      assert.equal((await server.stop()).code, 0);
      assert.deepEqual(await containersOf(engine), []);
    },
  );

  await step("a client that goes away takes its container along", async () => {
    await using server = await start();
    const abort = new AbortController();
    const request = post(server, "sleep 600", abort.signal);
    request.catch(() => undefined);
    await until(async () => (await running(engine)) === 1);
    abort.abort();
    await assert.rejects(request);
    await until(async () => (await containersOf(engine)).length === 0);
  });

  await step(`${VANISHING} clients that vanish leave nothing`, async () => {
    const state = tmp();
    const answered = { whole: 0, gone: 0 };
    {
      await using server = await start({ pool: 2, state });
      const commands = ["echo x", "sleep 600", "head -c 200000 /dev/zero", "sleep 0.2; exit 3"];
      const vanish = async (_: unknown, at: number) => {
        await pause(Math.random() * 5000);
        const signal = AbortSignal.timeout(Math.random() ** 2 * 4000);
        try {
          await post(server, commands[at % commands.length]!, signal);
          answered.whole++;
        } catch {
          answered.gone++;
        }
      };
      const stay = async (_: unknown, at: number) => {
        await pause(Math.random() * 5000);
        assert.deepEqual((await post(server, `echo ${at}`)).body.stdout, `${at}\n`);
      };
      await Promise.all([
        ...Array.from({ length: VANISHING }, vanish),
        ...Array.from({ length: STAYING }, stay),
      ]);
    }
    const rows = record(state);
    const left = (await containersOf(engine)).length;
    console.log(
      `clients: ${JSON.stringify(answered)}, executions: ${JSON.stringify(count(rows))}, left: ${left}`,
    );
    const { finished = 0, cancelled = 0 } = count(rows);
    assert.equal(finished + cancelled, rows.length, "all are over");
    assert.ok(finished >= answered.whole + STAYING);
    assert.equal(left, 0);
  });

  await step(
    "a server that is killed at any moment: all is told lost, once, and nothing is left",
    async () => {
      const state = tmp();
      const ended = new Set<string>();
      const lost: string[] = [];
      const losses = (said: string) =>
        said.split("\n").filter((line) => line.includes('"event":"lost"')).map((line) =>
          JSON.parse(line).execution
        );
      for (let kill = 0; kill < KILLS; kill++) {
        const server = await start({ pool: 2, state });
        const commands = ["true", "sleep 600", "echo x; sleep 0.3", "exit 3"];
        const clients = Array.from({ length: 8 }, async (_, at) => {
          try {
            for (let i = at;; i++) ended.add((await post(server, commands[i % commands.length]!)).body.id);
          } catch {
            // It was killed.
          }
        });
        await pause(Math.random() * 3000);
        server.kill("SIGKILL");
        await server.status;
        await Promise.all(clients);
        lost.push(...losses(server.said()));
      }
      const last = await start({ state });
      await until(async () => (await containersOf(engine)).length === 0);
      await last.stop();
      lost.push(...losses(last.said()));
      const rows = record(state);
      console.log(
        `kills: ${KILLS}, begun: ${rows.length}, told: ${
          JSON.stringify(count(rows))
        }, answered: ${ended.size}`,
      );
      assert.deepEqual(rows.filter(({ state }) => state === "lost").map(({ id }) => id).sort(), lost.sort());
      assert.equal(new Set(lost).size, lost.length, "one was told lost twice");
      assert.ok(rows.every(({ state }) => ["finished", "cancelled", "lost"].includes(state)));
      const told = new Map(rows.map(({ id, state }) => [id, state]));
      for (const id of ended) assert.equal(told.get(id), "finished");
    },
  );

  await step("an engine that is killed: told, and all goes on when it is back", async () => {
    await using server = await start({ pool: 1 });
    await until(async () => (await running(engine)) === 1);
    const answer = server.execute("echo begun; sleep 600", IMAGE);
    await until(() => begun(server));
    await engine.kill();
    const { body } = await answer;
    assert.deepEqual([body.exit_code, body.reason], [125, "cordon"]);
    const meanwhile = await server.execute("true", IMAGE);
    assert.equal(meanwhile.body.exit_code, 125);
    assert.match(meanwhile.body.stderr, /^cordon: .*engine/);
    assert.ok(await healthy(server));
    await engine.startAgain();
    assert.equal((await server.execute("exit 3", IMAGE)).body.exit_code, 3);
  });

  await step("an engine that hangs: told after the time limit, and all goes on when it answers", async () => {
    await using server = await start();
    const body = v1(server, {
      image: IMAGE,
      wait: true,
      command: "echo begun; sleep 600",
      limits: { time: 6 },
    });
    await until(() => begun(server));
    engine.pause();
    try {
      const { reason, status, stdout } = await body;
      assert.deepEqual([reason, status, stdout], ["cordon", 125, "begun\n"]);
    } finally {
      engine.resume();
    }
    assert.equal((await server.execute("exit 3", IMAGE)).body.exit_code, 3);
  });

  await step(
    "a full disk: nothing is begun that cannot be recorded, and all goes on when there is room",
    async () => {
      const state = tmp();
      const mount = 'mount -t tmpfs -o size=1m,mode=700 none "$0" && exec "$@"';
      const through = ["unshare", "-m", "--propagation", "private", "sh", "-c", mount, state];
      await using server = await start({ state, through });
      assert.equal((await server.execute("true", IMAGE)).body.exit_code, 0);
      const filler = `/proc/${server.pid}/root${state}/filler`;
      fill(filler);
      await until(async () => (await server.execute("true", IMAGE)).status === 503);
      const refused = await server.execute("true", IMAGE);
      assert.deepEqual([refused.status, refused.headers.has("retry-after")], [503, true]);
      assert.ok(await healthy(server));
      await until(async () => (await containersOf(engine)).length === 0);
      Deno.removeSync(filler);
      await until(async () => (await server.execute("exit 5", IMAGE)).body.exit_code === 5);
      // Nor does the end wait for room.
      fill(filler);
      assert.equal((await server.stop()).code, 0);
    },
  );
}

function configuration({ endpoint }: RunningEngine, pool: number): string {
  return `auth = false
engine = "docker"
docker = { host = "unix://${endpoint.path}" }
concurrency = 4
queue = 2000
drain = 20
${pool > 0 ? `pool = { containers = { "${IMAGE}" = ${pool} } }` : ""}
[policies.default]
images = ["${IMAGE}", "${WITH_VOLUME}"]
[tenants.default]
`;
}

async function containersOf({ engine }: RunningEngine): Promise<ContainerSummary[]> {
  return await listContainers(engine, { labels: { "org.cordon.kind": "serve" } });
}

async function running(engine: RunningEngine): Promise<number> {
  return (await containersOf(engine)).filter(({ State }) => State === "running").length;
}

// deno-lint-ignore no-explicit-any
async function v1(server: Serving, json: unknown): Promise<any> {
  return await (await server.request("/v1/executions", { method: "POST", json })).json();
}

async function healthy(server: Serving): Promise<boolean> {
  const response = await server.request("/health");
  await response.body?.cancel();
  return response.status === 200;
}

/** The one execution has said something. */
async function begun(server: Serving): Promise<boolean> {
  const list = await (await server.request("/v1/executions?state=running")).json();
  const id = list.executions[0]?.id;
  if (id === undefined) return false;
  return (await (await server.request(`/v1/executions/${id}`)).json()).stdout === "begun\n";
}

async function post(server: Serving, cmd: string, signal?: AbortSignal): Promise<Answered> {
  const response = await server.request("/execute", {
    method: "POST",
    json: { cmd, args: IMAGE },
    ...(signal && { signal }),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** Of a server that has ended. */
function record(state: string): { id: string; state: string }[] {
  const db = new DatabaseSync(`${state}/executions.db`);
  try {
    return db.prepare("SELECT id, state FROM executions").all() as { id: string; state: string }[];
  } finally {
    db.close();
  }
}

function count(rows: { state: string }[]): Record<string, number> {
  return Object.fromEntries(
    Object.entries(Object.groupBy(rows, ({ state }) => state)).map(([state, all]) => [state, all!.length]),
  );
}

function fill(path: string): void {
  const block = new Uint8Array(4096);
  using file = Deno.openSync(path, { write: true, createNew: true });
  try {
    while (file.writeSync(block) > 0);
  } catch (error) {
    if (!/os error 28\b/.test(String(error))) throw error;
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
