/**
 * Executions by HTTP: how many in a second and how soon, beside a server that calls the docker client and beside bwrap
 * without any server; then event streams, first bytes, much output and memory. Run it by `bench/serve`.
 */
import { hostFs } from "../lib/host/fs.ts";
import { dockerNeeds, IMAGE, type RunningEngine, startDocker } from "../tests/helpers/engines.ts";
import { baseEnv, tmp } from "../tests/helpers/run.ts";
import { hashed, memoryMib, type Serving, serving, TOKEN } from "../tests/helpers/serving.ts";
import { events, Requests } from "./serve_client.ts";
import { median, table, type Timing } from "./table.ts";

const ROUNDS = Number(Deno.args[0] ?? 5);
const FASTAPI = new URL("../build/fastapi", import.meta.url).pathname;
const TURN_MS = 1000;
const CONCURRENCY = [1, 2, 4, 8];
const MEGABYTE = "head -c 1000000 /dev/zero | tr '\\0' x";
const IDLE_STREAMS = 1000, STREAMS = 200, STREAM_BYTES = 10_000_000;
const LINE = "0123456789abcdef";

/** One way to execute: gives the milliseconds of each execution of a turn. */
interface Way {
  name: string;
  turn(command: Command, clients: number): Promise<{ each: number[]; ms: number }>;
}

interface Command {
  name: string;
  script: string;
  /** In every good answer. */
  wanted: string;
}

const COMMANDS: Command[] = [
  { name: "/bin/true", script: "/bin/true", wanted: `"stderr":""` },
  { name: "1 MB of output", script: MEGABYTE, wanted: `"exit_code":0` },
];

if (import.meta.main) await measure();

async function measure(): Promise<void> {
  const hasDocker = dockerNeeds.every((need) => need.met() === true);
  await using docker = hasDocker ? await startDocker() : undefined;
  await beside(docker);
  if (docker) await warmContainers(docker);
  await firstEvents();
  await muchOutput();
  await manyStreams();
  await idleStreams();
}

async function beside(docker: RunningEngine | undefined): Promise<void> {
  await using namespaces = await serving({ config: config("namespaces") });
  await using containers = docker &&
    await serving({ user: "caller", state: tmp(), config: dockerConfig(docker, 4) });
  await using example = docker && await dockerCli(docker);
  const ways = [byHttp("cordon serve, namespaces", port(namespaces), "host")];
  if (containers) ways.push(byHttp("cordon serve, Docker, 4 ahead", port(containers), IMAGE));
  if (example) ways.push(byHttp("FastAPI and docker CLI", example.port, `--network none ${IMAGE}`));
  else console.log("Docker: not measured here\n");
  if (hostFs.stat("/usr/bin/bwrap")) ways.push({ name: "bwrap, no server", turn: spawned });
  for (const command of COMMANDS) {
    for (const clients of CONCURRENCY) {
      const each = ways.map(({ name }): Timing => ({ name, ms: [] }));
      const rates = ways.map((): number[] => []);
      for (let round = 0; round <= ROUNDS; round++) {
        for (const [i, way] of ways.entries()) {
          const turn = await way.turn(command, clients);
          // The first round warms up.
          if (round === 0) continue;
          each[i]!.ms.push(median(turn.each));
          rates[i]!.push(turn.each.length * 1000 / turn.ms);
        }
      }
      console.log(`${command.name}, ${clients} at once`);
      console.log(table(each, rates.map((rate) => `${median(rate).toFixed(0)}/s`)));
      if (command !== COMMANDS[0]) continue;
      if (clients === 1) promise("namespaces, one at a time, ms", median(each[0]!.ms), { most: 8 });
      if (clients === 4) promise("namespaces, four at once, per second", median(rates[0]!), { least: 300 });
    }
  }
}

function byHttp(name: string, port: number, args: string): Way {
  return {
    name,
    async turn({ script, wanted }, clients) {
      const each: number[] = [];
      const start = performance.now();
      await Promise.all(Array.from({ length: clients }, async () => {
        using client = await Requests.open(port);
        do {
          const begun = performance.now();
          await client.execute({ cmd: script, args }, { token: TOKEN, wanted });
          each.push(performance.now() - begun);
        } while (performance.now() - start < TURN_MS);
      }));
      return { each, ms: performance.now() - start };
    },
  };
}

/** So many shells, each of which starts one sandbox after the other: the time of one is its share of its shell's. */
async function spawned({ script }: Command, clients: number): Promise<{ each: number[]; ms: number }> {
  const runs = 20;
  const bind = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr"].map((name) =>
    `--ro-bind-try /${name} /${name}`
  );
  const bwrap = `bwrap --unshare-all --die-with-parent --new-session --cap-drop ALL ${bind.join(" ")} ` +
    `--ro-bind /etc/ld.so.cache /etc/ld.so.cache --proc /proc --dev /dev --tmpfs /tmp sh -c "$1"`;
  const start = performance.now();
  const shells = Array.from({ length: clients }, async () => {
    const loop = `n=${runs}; while [ $n -gt 0 ]; do ${bwrap} || exit; n=$((n-1)); done`;
    const { code } = await new Deno.Command("sh", {
      args: ["-c", `{ ${loop}; } | cat >/dev/null`, "sh", script],
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).output();
    if (code !== 0) throw new Error(`bwrap failed with status ${code}`);
    return (performance.now() - start) / runs;
  });
  const times = await Promise.all(shells);
  return { each: times.flatMap((ms) => Array<number>(runs).fill(ms)), ms: performance.now() - start };
}

/** A container that was started ahead: from the request to the first byte of its output. */
async function warmContainers(docker: RunningEngine): Promise<void> {
  await using server = await serving({ user: "caller", state: tmp(), config: dockerConfig(docker, 2) });
  promise("warm Docker, first byte, ms", median(await firstBytes(server, IMAGE, 1000)), { most: 10 });
}

async function firstEvents(): Promise<void> {
  await using server = await serving({ config: config("namespaces") });
  promise("namespaces, first byte as an event, ms", median(await firstBytes(server, "host", 0)), {
    most: 15,
  });
}

/** Milliseconds of each, the first of which is not counted; so long apart, that what was used is there again. */
async function firstBytes(server: Serving, image: string, pause: number): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i <= 4 * ROUNDS; i++) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const start = performance.now();
    const response = await create(server, { command: "echo x", image });
    let first: number | undefined;
    for await (const { type } of events(response)) {
      if (type === "stdout") first ??= performance.now() - start;
    }
    if (first === undefined) throw new Error(`there was no output: ${server.said()}`);
    all.push(first);
  }
  console.log(table([{ name: `first byte, ${image}`, ms: all.slice(1) }]));
  return all.slice(1);
}

async function muchOutput(): Promise<void> {
  await using server = await serving({ config: config("namespaces") });
  const response = await create(server, { command: `head -c ${2 ** 30} /dev/zero` });
  const start = performance.now();
  for await (const { type, data } of events(response)) {
    if (type === "state" && data.state === "finished" && data.exit_code !== 0) {
      throw new Error(JSON.stringify(data));
    }
  }
  const seconds = (performance.now() - start) / 1000;
  const { executions: [one] } = await (await server.request("/v1/executions")).json();
  if (one.stdout_bytes !== 2 ** 30) throw new Error(`only ${one.stdout_bytes} bytes came`);
  console.log(`1 GiB of output: ${(1024 / seconds).toFixed(0)} MiB/s`);
  promise("1 GiB of output, most resident, MiB", memoryMib(server.pid, "VmHWM"), { most: 120 });
}

/** As many executions, each with one who reads all of it from the beginning on. */
async function manyStreams(): Promise<void> {
  await using server = await serving({ config: config("namespaces", { queue: STREAMS }) });
  const start = performance.now();
  const lengths = await Promise.all(Array.from({ length: STREAMS }, async () => {
    const response = await create(server, {
      command: `yes ${LINE.slice(0, 15)} | head -c ${STREAM_BYTES}`,
      limits: { output: 2 * STREAM_BYTES, time: 600 },
    });
    let at = 0;
    for await (const { type, data } of events(response)) {
      if (type !== "stdout") continue;
      const text: string = data.data;
      const expected = `${LINE.slice(0, 15)}\n`;
      if (text.slice(0, 64) !== expected.repeat(5).slice(at % 16, at % 16 + Math.min(64, text.length))) {
        throw new Error(`something else than was written at ${at}`);
      }
      at += text.length;
    }
    return at;
  }));
  const whole = lengths.filter((length) => length === STREAM_BYTES).length;
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `${STREAMS} streams of ${STREAM_BYTES / 1e6} MB: ${
      (STREAMS * STREAM_BYTES / 1e6 / seconds).toFixed(0)
    } MB/s`,
  );
  console.log(`most resident meanwhile: ${memoryMib(server.pid, "VmHWM").toFixed(0)} MiB`);
  promise("streams that came whole", whole, { least: STREAMS });
}

async function idleStreams(): Promise<void> {
  await using server = await serving({
    config: config("namespaces", { more: `[connections]\nper_address = ${2 * IDLE_STREAMS}` }),
  });
  const { id } = await (await server.request("/v1/executions", {
    method: "POST",
    json: { command: "exec sleep 600", limits: { time: 600 } },
  })).json();
  const before = memoryMib(server.pid, "VmRSS");
  await withStreams(IDLE_STREAMS, () => server.request(`/v1/executions/${id}/events`), () => {
    const with1000 = memoryMib(server.pid, "VmRSS");
    console.log(`resident without streams: ${before.toFixed(0)} MiB`);
    promise(`${IDLE_STREAMS} idle event streams, resident MiB`, with1000, { most: 160 });
  });
  const cancelled = await server.request(`/v1/executions/${id}/cancel`, { method: "POST" });
  await cancelled.body?.cancel();
  await bareStreams();
}

/** The same with nothing but the runtime. */
async function bareStreams(): Promise<void> {
  const file = `${tmp()}/bare.ts`;
  Deno.writeTextFileSync(
    file,
    `const piece = new TextEncoder().encode("retry: 1000\\n\\n");
     Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => console.log("port " + port) }, () =>
       new Response(new ReadableStream({ start: (to) => to.enqueue(piece) }), {
         headers: { "content-type": "text/event-stream" },
       }));`,
  );
  await using bare = await listening([Deno.execPath(), "run", "-A", "--no-config", file], {
    said: /port (\d+)/,
  });
  await withStreams(IDLE_STREAMS, () => fetch(`http://127.0.0.1:${bare.port}/`), () => {
    console.log(`the same with Deno.serve alone: ${memoryMib(bare.pid, "VmRSS").toFixed(0)} MiB`);
  });
}

/** Each has had its first piece when `body` runs. */
async function withStreams(count: number, open: () => Promise<Response>, body: () => void): Promise<void> {
  const readers: ReadableStreamDefaultReader<Uint8Array>[] = [];
  for (let i = 0; i < count; i++) {
    const response = await open();
    if (!response.ok) throw new Error(`stream ${i}: ${response.status} ${await response.text()}`);
    const reader = response.body!.getReader();
    await reader.read();
    readers.push(reader);
  }
  // What making them left behind may be collected first.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  body();
  await Promise.all(readers.map((reader) => reader.cancel()));
}

function create(server: Serving, json: object): Promise<Response> {
  return server.request("/v1/executions", { method: "POST", json, headers: { accept: "text/event-stream" } });
}

function config(engine: string, { queue = 64, more = "" } = {}): string {
  return `
engine = "${engine}"
drain = "1s"
queue = ${queue}
${more}
[policies.default]
images = ["host", "${IMAGE}"]
[policies.default.limits]
time = { default = "60s", most = "600s" }
output = { default = "1M", most = "32M" }
[tenants.class]
tokens = ["${hashed(TOKEN)}"]
`;
}

/** With so many containers started ahead. */
function dockerConfig({ endpoint }: RunningEngine, ahead: number): string {
  const more = `docker.host = "unix://${endpoint.path}"\npool.containers = { "${IMAGE}" = ${ahead} }`;
  return config("docker", { more });
}

function port({ url }: Serving): number {
  return Number(new URL(url).port);
}

/** In MiB, of a line of /proc/PID/status (proc_pid_status(5)). */
/** Installs what it needs once, beside the Python of the tests. */
async function dockerCli(docker: RunningEngine): Promise<Listening> {
  const python = new URL("../build/venv/bin/python", import.meta.url).pathname;
  const env = { ...baseEnv(tmp()), DOCKER_HOST: `unix://${docker.endpoint.path}` };
  if (!hostFs.stat(FASTAPI)) {
    const wanted = ["fastapi==0.119.0", "uvicorn==0.38.0"];
    const args = [
      "-m",
      "pip",
      "install",
      "-q",
      "--disable-pip-version-check",
      "--target",
      FASTAPI,
      ...wanted,
    ];
    const { success } = await new Deno.Command(python, { args }).output();
    if (!success) throw new Error("FastAPI cannot be installed");
  }
  const here = new URL(".", import.meta.url).pathname;
  const argv = ["-m", "uvicorn", "--app-dir", here, "--port", "0", "--no-access-log", "serve_docker_cli:app"];
  return await listening([python, ...argv], {
    env: { ...env, PYTHONPATH: FASTAPI, PYTHONDONTWRITEBYTECODE: "1" },
    said: /running on http:\/\/127\.0\.0\.1:(\d+)/,
  });
}

function promise(what: string, value: number, { least, most }: { least?: number; most?: number }): void {
  const reached = value >= (least ?? -Infinity) && value <= (most ?? Infinity);
  const wanted = least === undefined ? `at most ${most}` : `at least ${least}`;
  console.log(`${what}: ${value.toFixed(1)}, ${wanted}: ${reached ? "yes" : "NO"}\n`);
}

interface Listening extends AsyncDisposable {
  port: number;
  pid: number;
}

/** A server that says its port, on either output. */
async function listening(
  [program, ...args]: string[],
  { env = {}, said }: { env?: Record<string, string>; said: RegExp },
): Promise<Listening> {
  const log = `${tmp()}/log`;
  const child = new Deno.Command("sh", {
    args: ["-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, program!, ...args],
    env,
    stdin: "null",
  }).spawn();
  let ended = false;
  child.status.then(() => ended = true);
  for (;;) {
    const text = hostFs.stat(log) ? Deno.readTextFileSync(log) : "";
    const port = said.exec(text)?.[1];
    if (port !== undefined) {
      return {
        port: Number(port),
        pid: child.pid,
        async [Symbol.asyncDispose]() {
          child.kill("SIGTERM");
          await child.status;
        },
      };
    }
    if (ended) throw new Error(`${program} ended: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
