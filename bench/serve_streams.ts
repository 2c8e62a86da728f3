/** Executions as event streams: first bytes, much output, many streams and the memory they take. Run it by `bench/serve`. */
import { IMAGE, type RunningEngine } from "../tests/helpers/engines.ts";
import { tmp } from "../tests/helpers/run.ts";
import { memoryMib, type Serving, serving } from "../tests/helpers/serving.ts";
import { events } from "./serve_client.ts";
import { config, dockerConfig, listening, promise, ROUNDS } from "./serve_setup.ts";
import { median, table } from "./table.ts";

const IDLE_STREAMS = 1000, STREAMS = 200, STREAM_BYTES = 10_000_000;
const LINE = "0123456789abcdef";

/** Containers that were started ahead are measured where there is a Docker. */
export async function measureStreams(docker: RunningEngine | undefined): Promise<void> {
  if (docker) await warmContainers(docker);
  await firstEvents();
  await muchOutput();
  await manyStreams();
  await idleStreams();
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
