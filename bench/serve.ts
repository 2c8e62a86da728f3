/**
 * Executions by HTTP: how many in a second and how soon, beside a server that calls the docker client and beside bwrap
 * without any server; then event streams (serve_streams.ts). Run it by `bench/serve`.
 */
import { hostFs } from "../lib/host/fs.ts";
import { dockerNeeds, IMAGE, type RunningEngine, startDocker } from "../tests/helpers/engines.ts";
import { baseEnv, tmp } from "../tests/helpers/run.ts";
import { type Serving, serving, TOKEN } from "../tests/helpers/serving.ts";
import { Requests } from "./serve_client.ts";
import { config, dockerConfig, type Listening, listening, promise, ROUNDS } from "./serve_setup.ts";
import { measureStreams } from "./serve_streams.ts";
import { median, table, type Timing } from "./table.ts";

const FASTAPI = new URL("../build/fastapi", import.meta.url).pathname;
const TURN_MS = 1000;
const CONCURRENCY = [1, 2, 4, 8];
const MEGABYTE = "head -c 1000000 /dev/zero | tr '\\0' x";

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
  { name: "1 MB of output", script: MEGABYTE, wanted: `"stderr":"` },
];

if (import.meta.main) await measure();

async function measure(): Promise<void> {
  const hasDocker = dockerNeeds.every((need) => need.met() === true);
  await using docker = hasDocker ? await startDocker() : undefined;
  await beside(docker);
  await measureStreams(docker);
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

function port({ url }: Serving): number {
  return Number(new URL(url).port);
}

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
