/**
 * Real engines for the tests: dockerd, `podman system service` and docker-registry, each on a socket and a data root
 * of its own. Stopping one ends exactly the processes that were started here and removes what they left.
 */

import { dirname, join } from "node:path";
import type { UnixEndpoint } from "../../lib/docker/endpoint.ts";
import { listContainers, removeContainer } from "../../lib/docker/containers.ts";
import { importImage } from "../../lib/docker/images.ts";
import { type Engine, openEngine } from "../../lib/docker/system.ts";
import { type TarEntry, writeTar } from "../../lib/docker/tar.ts";
import { type Need, program, python, root, test } from "./need.ts";
import { asUserArgv, ordinaryUid } from "./user.ts";

/** Name of the image every engine here has: busybox with its usual commands, 2 MB. */
export const IMAGE = "cordon-test/busybox:1";

/** Name of the image that {@link addKernelImage} makes: Debian's Python with ipykernel, and a shell. */
export const KERNEL_IMAGE = "cordon-test/kernel:1";

/** What a test with a real dockerd needs. */
export const dockerNeeds: readonly Need[] = [
  root,
  program("dockerd"),
  program("containerd"),
  program("busybox"),
];
/** What a test with a real Podman needs. */
export const podmanNeeds: readonly Need[] = [root, program("podman"), program("busybox")];
/** What a test with a registry needs beside an engine. */
export const registryNeeds: readonly Need[] = [program("docker-registry")];

const PATH = `${Deno.env.get("PATH") ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`;
const START_MS = 30_000;

export interface RunningEngine extends AsyncDisposable {
  readonly engine: Engine;
  readonly endpoint: UnixEndpoint;
  /** Where the engine's files are, and room for the test's own in `work`. */
  readonly directory: string;
  readonly work: string;
  /** Everything the engine has printed. */
  log(): Promise<string>;
  /** SIGSTOP for the daemon that answers on the socket: it hangs. */
  pause(): void;
  resume(): void;
  /** SIGKILL for that daemon; its containers are on their own. */
  kill(): Promise<void>;
  /** Starts it again on the same data. */
  startAgain(): Promise<void>;
}

/** Starts dockerd with a containerd of its own (never one that runs already), without network, with {@link IMAGE}. */
export async function startDocker(options: { args?: string[] } = {}): Promise<RunningEngine> {
  return await start("docker", async (directory) => {
    const containerd = join(directory, "containerd.sock");
    const config = join(directory, "containerd.toml");
    await Deno.writeTextFile(
      config,
      [
        "version = 2",
        `root = ${JSON.stringify(join(directory, "containerd-root"))}`,
        `state = ${JSON.stringify(join(directory, "containerd-state"))}`,
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
        "[grpc]",
        `address = ${JSON.stringify(containerd)}`,
      ].join("\n"),
    );
    await Deno.writeTextFile(join(directory, "daemon.json"), "{}");
    const dockerd = [
      "dockerd",
      ...["--config-file", join(directory, "daemon.json")],
      ...["--data-root", join(directory, "data"), "--exec-root", join(directory, "exec")],
      ...["--pidfile", join(directory, "dockerd.pid"), "--containerd", containerd],
      ...["--iptables=false", "--bridge=none", "-H", `unix://${join(directory, "engine.sock")}`],
      ...(options.args ?? []),
    ];
    return [{ argv: ["containerd", "--config", config], ready: containerd }, { argv: dockerd }];
  });
}

/**
 * Starts `podman system service` with {@link IMAGE}. Its containers have no network and modest limits by default.
 * `rootless`: as the ordinary user of helpers/user.ts.
 */
export async function startPodman(
  options: { insecure?: string[]; rootless?: boolean } = {},
): Promise<RunningEngine> {
  return await start("podman", async (directory) => {
    const { success: hasRunc } = await new Deno.Command("sh", {
      args: ["-c", "command -v runc"],
      env: { PATH },
      stdout: "null",
    }).output();
    const containersConf = join(directory, "containers.conf");
    await Deno.writeTextFile(
      containersConf,
      [
        "[containers]",
        // Above what the machine allows, Podman fails to start anything.
        'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]',
        'netns = "none"',
        "[engine]",
        'cgroup_manager = "cgroupfs"',
        'events_logger = "file"',
        ...(hasRunc ? ['runtime = "runc"'] : []),
        "[network]",
        `network_config_dir = ${JSON.stringify(join(directory, "networks"))}`,
      ].join("\n"),
    );
    const registries = join(directory, "registries.conf");
    const insecure = (options.insecure ?? []).map((host) =>
      `[[registry]]\nlocation = "${host}"\ninsecure = true\n`
    );
    await Deno.writeTextFile(registries, `short-name-mode = "disabled"\n${insecure.join("")}`);
    const argv = [
      "podman",
      ...["--root", join(directory, "data"), "--runroot", join(directory, "run")],
      ...["--tmpdir", join(directory, "tmp"), "--storage-driver", "overlay"],
      ...["system", "service", "--time", "0", `unix://${join(directory, "engine.sock")}`],
    ];
    const env = { CONTAINERS_CONF: containersConf, CONTAINERS_REGISTRIES_CONF: registries };
    if (!options.rootless) return [{ argv, env }];
    for (const path of [directory, join(directory, "home"), join(directory, "runtime")]) {
      await Deno.mkdir(path, { recursive: true, mode: 0o700 });
      await Deno.chown(path, ordinaryUid, ordinaryUid);
    }
    const own = { HOME: join(directory, "home"), XDG_RUNTIME_DIR: join(directory, "runtime") };
    return [{ argv: asUserArgv(argv), env: { ...env, ...own } }];
  });
}

export interface RunningRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly address: string;
  /** Its storage. */
  readonly directory: string;
}

/** User and password of a registry started with `auth`. */
export const REGISTRY_USER = { username: "student", password: "correct horse" };
const REGISTRY_HASH = "$2y$05$cordoncordoncordoncoruO1H1vRrbw/pWg.DYkGQtyzDqcT7egS2";

/** Starts docker-registry on a free port of 127.0.0.1, asking for {@link REGISTRY_USER} when `auth` is set. */
export async function startRegistry(options: { auth?: boolean } = {}): Promise<RunningRegistry> {
  const directory = await Deno.makeTempDir({ prefix: "cordon-registry-" });
  const processes: Started[] = [];
  try {
    const htpasswd = join(directory, "htpasswd");
    await Deno.writeTextFile(htpasswd, `${REGISTRY_USER.username}:${REGISTRY_HASH}\n`);
    const config = join(directory, "config.json");
    await Deno.writeTextFile(
      config,
      JSON.stringify({
        version: 0.1,
        storage: { filesystem: { rootdirectory: directory } },
        http: { addr: "127.0.0.1:0" },
        ...(options.auth ? { auth: { htpasswd: { realm: "test", path: htpasswd } } } : {}),
      }),
    );
    const log = join(directory, "log");
    processes.push(await spawn({ argv: ["docker-registry", "serve", config] }, log));
    const listening = /listening on (127\.0\.0\.1:\d+)/;
    await until(async () => listening.test(await Deno.readTextFile(log)), { log, processes });
    const address = listening.exec(await Deno.readTextFile(log))?.[1] ?? "";
    return { address, directory, [Symbol.asyncDispose]: () => stop(processes, directory) };
  } catch (error) {
    await stop(processes, directory);
    throw error;
  }
}

/** A root file system with a static busybox and links for its commands. */
export async function busyboxTar(): Promise<Uint8Array> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", 'cat "$(command -v busybox)"'],
    env: { PATH },
  })
    .output();
  const names = await new Deno.Command("busybox", { args: ["--list"], env: { PATH } }).output();
  const commands = new TextDecoder().decode(names.stdout).trim().split("\n").filter((name) =>
    name !== "busybox"
  );
  const directories = ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp"];
  const text = (value: string) => new TextEncoder().encode(value);
  return writeTar([
    ...directories.map((name): TarEntry => ({
      name,
      type: "directory",
      mode: name === "tmp" ? 0o1777 : 0o755,
    })),
    { name: "bin/busybox", type: "file", mode: 0o755, data: stdout },
    ...commands.map((name): TarEntry => ({ name: `bin/${name}`, type: "symlink", target: "busybox" })),
    { name: "etc/passwd", type: "file", data: text("root:x:0:0:root:/root:/bin/sh\n") },
    { name: "etc/group", type: "file", data: text("root:x:0:\n") },
  ]);
}

const KERNEL_TAR = new URL("../../build/kernel-image.tar", import.meta.url).pathname;

/** Gives an engine {@link KERNEL_IMAGE}. Its tar is kept in build/ until the packages in build/venv change. */
export async function addKernelImage(engine: Engine): Promise<void> {
  const script = new URL("kernel_image.py", import.meta.url).pathname;
  const made = await mtime(KERNEL_TAR);
  const parts = await Promise.all(
    [script, new URL("../../build/venv/installed", import.meta.url).pathname].map(mtime),
  );
  if (made === undefined || parts.some((part) => part !== undefined && part > made)) {
    const { success, stderr } = await new Deno.Command(python, { args: [script, KERNEL_TAR] }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  }
  await importImage(engine, KERNEL_IMAGE, {
    tar: await Deno.readFile(KERNEL_TAR),
    changes: ["ENV PATH=/usr/bin:/bin"],
  });
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function mtime(path: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(path)).mtime?.getTime();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

interface Daemon {
  argv: string[];
  env?: Record<string, string>;
  /** A socket that has to be there before the next one starts. */
  ready?: string;
}

interface Started {
  child: Deno.ChildProcess;
  ended: boolean;
}

async function start(name: string, plan: (directory: string) => Promise<Daemon[]>): Promise<RunningEngine> {
  const directory = await Deno.makeTempDir({ prefix: `cordon-${name}-` });
  const log = join(directory, "log");
  const work = join(directory, "work");
  await Deno.mkdir(work);
  const processes: Started[] = [];
  try {
    const daemons = await plan(directory);
    for (const daemon of daemons) {
      processes.push(await spawn(daemon, log));
      if (daemon.ready) await until(() => answers(daemon.ready ?? ""), { log, processes });
    }
    const front = () => processes.at(-1)!.child;
    const endpoint: UnixEndpoint = { kind: "unix", path: join(directory, "engine.sock"), origin: "test" };
    await until(() => answers(endpoint.path), { log, processes });
    const engine = await openEngine(endpoint);
    await importImage(engine, IMAGE, {
      tar: await busyboxTar(),
      changes: ['CMD ["/bin/sh"]', "ENV PATH=/bin"],
    });
    const dispose = async () => {
      try {
        // Everything in this data root is the test's, so nothing else can be hit.
        for (const { Id } of await listContainers(engine)) await removeContainer(engine, Id, { force: true });
      } finally {
        await stop(processes, directory);
      }
    };
    return {
      engine,
      endpoint,
      directory,
      work,
      log: () => Deno.readTextFile(log),
      pause: () => front().kill("SIGSTOP"),
      resume: () => front().kill("SIGCONT"),
      async kill() {
        front().kill("SIGKILL");
        await front().status;
        processes.pop();
      },
      async startAgain() {
        // A daemon that was killed leaves its socket and, in the case of dockerd, its pid file.
        for (const name of ["engine.sock", "dockerd.pid"]) await removeIfThere(join(directory, name));
        processes.push(await spawn(daemons.at(-1)!, log));
        await until(() => answers(endpoint.path), { log, processes });
        // dockerd first ends the containers of its predecessor, with all the grace of docker-stop(1).
        await openEngine(endpoint, { pingMs: 60_000 });
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await stop(processes, directory);
    throw error;
  }
}

async function spawn(daemon: Daemon, log: string): Promise<Started> {
  // The shell only opens the log; exec keeps the pid that is ended later.
  const child = new Deno.Command("sh", {
    args: ["-c", 'log=$1; shift; exec "$@" >>"$log" 2>&1', "sh", log, ...daemon.argv],
    env: { PATH, ...daemon.env },
    cwd: dirname(log), // Podman's monitors leave files named oom where they stand
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const started: Started = { child, ended: false };
  child.status.then(() => started.ended = true);
  await Deno.writeFile(log, new Uint8Array(0), { append: true, create: true });
  return started;
}

async function until(
  met: () => Promise<boolean>,
  options: { log: string; processes: Started[] },
): Promise<void> {
  const deadline = Date.now() + START_MS;
  while (!await met()) {
    const dead = options.processes.some(({ ended }) => ended);
    if (dead || Date.now() > deadline) {
      const tail = (await Deno.readTextFile(options.log)).slice(-2000);
      throw new Error(`${dead ? "A daemon ended" : "A daemon does not answer"}; its log ends:\n${tail}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function answers(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

/**
 * Ends processes, the last started first, and what they left: processes (Podman's monitor of an exec lives on for five
 * minutes) and mounts that name the directory. Then removes it.
 */
async function stop(processes: Started[], directory: string): Promise<void> {
  const holder = await holderOfNamespaces(directory);
  for (const started of processes.toReversed()) {
    if (!started.ended) started.child.kill("SIGTERM");
    const timer = setTimeout(() => started.child.kill("SIGKILL"), 15_000);
    await started.child.status;
    clearTimeout(timer);
  }
  for (const pid of await processesNaming(`${directory}/`)) Deno.kill(pid, "SIGKILL");
  if (holder !== undefined) Deno.kill(holder, "SIGKILL");
  const mounts = (await Deno.readTextFile("/proc/self/mountinfo")).split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${directory}/`));
  for (const path of mounts.toReversed()) await new Deno.Command("umount", { args: ["-l", path] }).output();
  await Deno.remove(directory, { recursive: true });
}

/** A rootless Podman leaves a process that keeps its namespaces, and names nothing. */
async function holderOfNamespaces(directory: string): Promise<number | undefined> {
  try {
    const pid = Number(await Deno.readTextFile(join(directory, "tmp/pause.pid")));
    return await Deno.readTextFile(`/proc/${pid}/comm`) === "podman pause\n" ? pid : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Processes with this text in their arguments. The directories here have unguessable names. */
async function processesNaming(text: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === Deno.pid) continue;
    try {
      if ((await Deno.readTextFile(`/proc/${name}/cmdline`)).includes(text)) found.push(pid);
    } catch (error) {
      // It has ended since it was listed.
      if (!(error instanceof Deno.errors.NotFound) && !/ESRCH|os error 3\b/.test(`${error}`)) throw error;
    }
  }
  return found;
}

/** A test with dockerd, and the same one with Podman. */
export function testEngines(
  title: (engine: string) => string,
  suite: (t: Deno.TestContext, engine: RunningEngine) => Promise<void>,
  more: readonly Need[] = [],
): void {
  test(title("dockerd"), { needs: [...dockerNeeds, ...more] }, async (t) => {
    await using docker = await startDocker();
    await suite(t, docker);
  });
  test(title("Podman"), { needs: [...podmanNeeds, ...more] }, async (t) => {
    await using podman = await startPodman();
    await suite(t, podman);
  });
}
