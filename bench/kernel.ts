/**
 * How long a kernel takes from its launch to its first answer, and what stays in memory beside it, in turns: bare, with
 * cordon, with bwrap and the same files. Run it by `bench/kernel`.
 */
import { createContainer, removeContainer, startContainer } from "../lib/docker/containers.ts";
import { hostFs } from "../lib/host/fs.ts";
import {
  addKernelImage,
  dockerNeeds,
  KERNEL_IMAGE,
  podmanNeeds,
  type RunningEngine,
  startDocker,
  startPodman,
} from "../tests/helpers/engines.ts";
import { type Need, python } from "../tests/helpers/need.ts";
import { median, table } from "./table.ts";

const CORDON = new URL("../build/cordon", import.meta.url).pathname;
const CLIENT = new URL("kernel_client.py", import.meta.url).pathname;
const VENV = python.replace(/\/bin\/python$/, "");
const ROUNDS = Number(Deno.args[0] ?? 11);
const LAUNCHER = [
  "-m",
  "ipykernel_launcher",
  "-f",
  "{connection_file}",
  "--HistoryManager.hist_file=:memory:",
];

interface Start {
  ms: number;
  kilobytes: number;
  processes: number;
}

async function measure(): Promise<void> {
  const ways = await prepare();
  await using client = new Client();
  for (const kernel of ways.values()) await client.start(kernel); // caches warm, images unpacked
  const starts = new Map<string, Start[]>([...ways.keys()].map((name) => [name, []]));
  const engineOnly = new Map<string, number[]>([...engines.keys()].map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, kernel] of ways) starts.get(name)!.push(await client.start(kernel));
    for (const [name, running] of engines) engineOnly.get(name)!.push(await createAndStart(running));
  }
  const ms = (name: string) => starts.get(name)?.map((start) => start.ms) ?? [];
  const only = [...engineOnly].map(([name, ms]) => ({ name: `${name}: create and start alone`, ms }));
  console.log(table([...[...ways.keys()].map((name) => ({ name, ms: ms(name) })), ...only]));
  for (const [name, all] of starts) {
    const kilobytes = median(all.map((start) => start.kilobytes));
    console.log(
      `beside the kernel: ${name}: ${kilobytes} KB in ${median(all.map((s) => s.processes))} processes`,
    );
  }
  console.log();
  promise("namespaces over bare, ms", median(differences(ms("cordon, namespaces"), ms("bare"))), 60);
  for (const [name, own] of engineOnly) {
    const over = differences(ms(`cordon, ${name}`), ms("bare"));
    promise(`${name} over bare and create+start, ms`, median(differences(over, own)), 80);
  }
  for (const name of ways.keys()) {
    if (!name.startsWith("cordon")) continue;
    promise(
      `beside the kernel, ${name}, KB`,
      median(starts.get(name)!.map((start) => start.kilobytes)),
      1024,
    );
  }
}

/** Kernelspecs; what is measured, with the kernel's name. */
async function prepare(): Promise<Map<string, string>> {
  const ways = new Map([["bare", "bare"], ["cordon, namespaces", "namespaces"]]);
  spec("bare", [python, ...LAUNCHER]);
  await setup("namespaces", ["--python", python]);
  for (const [name, { endpoint }] of engines) {
    const kernel = name.toLowerCase();
    const image = [
      "--image",
      KERNEL_IMAGE,
      "--host",
      `unix://${endpoint.path}`,
      "--python",
      "/usr/bin/python3",
    ];
    await setup(kernel, image);
    ways.set(`cordon, ${name}`, kernel);
  }
  if (hostFs.stat("/usr/bin/bwrap")) {
    spec("bwrap", [...bwrap(), python, ...LAUNCHER]);
    ways.set("bwrap, the same files, ipc", "bwrap");
  }
  return ways;
}

function spec(name: string, argv: string[]): void {
  const directory = `${home}/.local/share/jupyter/kernels/${name}`;
  Deno.mkdirSync(directory, { recursive: true });
  const json = { argv, display_name: name, language: "python" };
  Deno.writeTextFileSync(`${directory}/kernel.json`, JSON.stringify(json));
}

async function setup(name: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(CORDON, {
    args: ["kernel", "setup", "--user", "--name", name, ...args],
    ...surroundings(),
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

function surroundings() {
  const env = { HOME: home, PATH: "/usr/local/bin:/usr/bin:/bin", JUPYTER_PLATFORM_DIRS: "0", TMPDIR: home };
  return { env, clearEnv: true, cwd: `${home}/work` };
}

/** What a namespaces kernel sees, in bwrap's words. */
function bwrap(): string[] {
  const links = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"].flatMap((name) => {
    const target = hostFs.readlink(`/${name}`);
    return target === undefined
      ? hostFs.stat(`/${name}`) ? ["--ro-bind", `/${name}`, `/${name}`] : []
      : ["--symlink", target, `/${name}`];
  });
  const etc = ["ld.so.cache", "ld.so.conf.d", "alternatives", "localtime", "ssl", "passwd", "group", "fonts"]
    .flatMap((name) => ["--ro-bind-try", `/etc/${name}`, `/etc/${name}`]);
  return [
    ...[
      "bwrap",
      "--unshare-all",
      "--die-with-parent",
      "--new-session",
      "--cap-drop",
      "ALL",
      "--setenv",
      "JPY_PARENT_PID",
      "1",
    ],
    ...["--ro-bind", "/usr", "/usr", ...links, ...etc, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"],
    ...["--dir", home, "--ro-bind", VENV, VENV, "--bind", `${home}/work`, `${home}/work`],
    ...["--chdir", `${home}/work`, "--"],
  ];
}

class Client {
  readonly #child = new Deno.Command(python, {
    args: [CLIENT],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
    ...surroundings(),
  }).spawn();
  readonly #writer = this.#child.stdin.getWriter();
  readonly #reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();

  /** Starts a kernel and ends it. */
  async start(kernel: string): Promise<Start> {
    await this.#writer.write(new TextEncoder().encode(`${kernel}\n`));
    let line = "";
    while (!line.endsWith("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`the client ended with kernel ${kernel}`);
      line += value;
    }
    return JSON.parse(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close();
    await this.#reader.cancel();
    await this.#child.status;
  }
}

/** What the engine itself takes for a container without network, in milliseconds. */
async function createAndStart({ engine }: RunningEngine): Promise<number> {
  const start = performance.now();
  const { Id } = await createContainer(engine, {
    Image: KERNEL_IMAGE,
    Cmd: ["sleep", "60"],
    HostConfig: { NetworkMode: "none" },
  });
  await startContainer(engine, Id);
  const ms = performance.now() - start;
  await removeContainer(engine, Id, { force: true });
  return ms;
}

/** Round by round: what else the machine did in one slowed down both. */
function differences(these: readonly number[], those: readonly number[]): number[] {
  return these.map((ms, round) => ms - (those[round] ?? NaN));
}

function promise(what: string, value: number, most: number): void {
  console.log(`${what}: ${value.toFixed(0)}, at most ${most}: ${value <= most ? "yes" : "NO"}`);
}

const home = Deno.makeTempDirSync({ prefix: "cordon-bench-" });
const engines = new Map<string, RunningEngine>();
try {
  Deno.mkdirSync(`${home}/work`);
  for (
    const [name, needs, start] of [["Docker", dockerNeeds, startDocker], [
      "Podman",
      podmanNeeds,
      startPodman,
    ]] as const
  ) {
    const unmet = needs.find((need: Need) => need.met() !== true);
    if (unmet) {
      console.log(`${name}: not measured here: ${unmet.what}`);
      continue;
    }
    const running = await start();
    engines.set(name, running);
    await addKernelImage(running.engine);
  }
  await measure();
} finally {
  for (const running of engines.values()) await running[Symbol.asyncDispose]();
  Deno.removeSync(home, { recursive: true });
}
