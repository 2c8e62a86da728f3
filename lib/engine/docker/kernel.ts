/**
 * A Jupyter kernel in a container: no network, no capabilities, a read-only root, the caller's own user id. Its pid 1 is
 * a program of ours, which hands the directory of the kernel's sockets to the relay outside.
 */
import { posix } from "node:path";
import { O, openFlags, RLIMIT } from "../../../ffi/constants.ts";
import { errnoText } from "../../../ffi/errno.ts";
import { lastErrno, libc } from "../../../ffi/libc.ts";
import type { Engine } from "../../docker/system.ts";
import {
  type ContainerConfig,
  createContainer,
  type Created,
  inspectContainer,
  removeContainer,
  short,
  startContainer,
} from "../../docker/containers.ts";
import { attachDescriptor, type AttachedDescriptor } from "../../docker/descriptor.ts";
import { type Endpoint, formatEndpoint } from "../../docker/endpoint.ts";
import { EngineError, NotFoundError } from "../../docker/errors.ts";
import { startError } from "../../docker/starterror.ts";
import { inspectImage } from "../../docker/images.ts";
import { CordonError } from "../../errors.ts";
import { cString } from "../../host/bytes.ts";
import type { Host } from "../../host/host.ts";
import { isOldKernel } from "../../host/kernel.ts";
import { listenUnix } from "../../host/listen.ts";
import { containerInit } from "../../shim/programs/container_init.ts";
import { containerProgram, KEEPER_LINE, TOLD } from "../../shim/programs/container.ts";
import { writeImage } from "../../shim/image.ts";
import { become } from "../../shim/run.ts";
import type { Forward, Limits } from "../../spec/spec.ts";
import { type LimitPlan, planEach } from "../namespaces/limits.ts";
import {
  type ContainerMount,
  enforcedLimits,
  INSIDE,
  kernelConfig,
  LAUNCHER,
  OUTSIDE,
} from "./kernel-config.ts";
import { endArguments, type Keeper, type Kept } from "./keeper.ts";

export interface ContainerKernel {
  image: string;
  command: string[];
  env: Record<string, string>;
  workdir: string;
  mounts: ContainerMount[];
  limits: Limits;
  network: "none" | "host" | "bridge";
  gpus?: string;
  /** The kernel's connection file, inside. */
  files: { path: string; content: string }[];
  forwards: Forward[];
  /** Ports at which the kernel listens inside, if it does, and the socket inside that stands for each. */
  ports: { path: string; port: number }[];
  /** Name of the container, and the private directory outside. */
  kept: Kept;
  keeper: Keeper;
  result?: { path: string } | { fd: number };
}

const HOME = "/tmp";
const DEFAULT_PATH = "/opt/conda/bin:/usr/local/bin:/usr/bin:/bin";

/** The kernel's files and sockets are those of this machine, and so must its engine be. */
export function refuseDistant(endpoint: Endpoint): void {
  if (endpoint.kind === "unix") return;
  throw new CordonError(`A kernel cannot run on the engine at ${formatEndpoint(endpoint)}`, {
    why: "it needs one on a Unix socket of this machine, whose files and sockets it uses",
  });
}

/** Starts the container and becomes its launcher. Does not return. */
export async function execContainerKernel(
  engine: Engine,
  kernel: ContainerKernel,
  host: Host,
): Promise<never> {
  const image = await findImage(engine, kernel.image);
  const variables = environment(kernel.env, image.Config?.Env ?? []);
  const path = variables["PATH"]!;
  const env = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const waits = engine.name === "podman";
  const doorFd = openDoor(kernel, host, { env, path, waits });
  const body = await kernelConfig(engine, kernel, host);
  const { Id: id, Warnings } = await create(engine, body, kernel);
  try {
    await refuseDropped(engine, kernel, { id, warnings: Warnings ?? [] });
    const { fd, early } = await attachAndStart(engine, id);
    const result = kernel.result
      ? ["--result", placeOf(kernel.result), "--limits", JSON.stringify(enforcedLimits(kernel.limits))]
      : [];
    become(writeImage(containerProgram({
      arch: host.arch,
      oldKernel: isOldKernel(),
      streamFd: fd,
      early,
      doorFd,
      waitedFor: waits,
      relay: { forwards: kernel.forwards, most: 256 },
      finish: endArguments(kernel.kept, [
        ...["--status", ...result, "--keeper", String(KEEPER_LINE), "--told", String(TOLD)],
      ]),
      keeperFd: kernel.keeper.fd,
      env: Object.entries(host.env).map(([name, value]) => `${name}=${value}`),
      endWithParent: Deno.ppid,
    })));
  } catch (error) {
    await tryRemove(engine, id, kernel.keeper);
    throw error;
  }
}

async function create(
  engine: Engine,
  body: ContainerConfig,
  { kept, keeper }: ContainerKernel,
): Promise<Created> {
  keeper.asked();
  try {
    const created = await createContainer(engine, body, { name: kept.name });
    keeper.created();
    return created;
  } catch (error) {
    // Without an answer there may be one all the same.
    if (error instanceof EngineError && error.status !== 0) keeper.none();
    throw error;
  }
}

/** For a container whose failure is about to be told. When the engine fails at that too, the keeper tries again. */
async function tryRemove(engine: Engine, id: string, keeper: Keeper): Promise<void> {
  try {
    await removeContainer(engine, id, { force: true });
    keeper.none();
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
  }
}

/** A result's directory is held from before the start: nothing inside can lead the file elsewhere. */
function placeOf(result: { path: string } | { fd: number }): string {
  if ("fd" in result) return `fd:${result.fd}`;
  const directory = posix.dirname(posix.resolve(result.path));
  const flags = O.PATH | openFlags(Deno.build.arch).DIRECTORY;
  const fd = libc().open(cString(directory), flags, 0);
  if (fd < 0) throw new CordonError(`Cannot write the result to ${result.path}: ${errnoText(lastErrno())}`);
  return `/proc/self/fd/${fd}/${posix.basename(result.path)}`;
}

/** Podman finds out at the attach what cannot be started. */
async function attachAndStart(engine: Engine, id: string): Promise<AttachedDescriptor> {
  try {
    const attached = attachDescriptor(engine, id);
    await startContainer(engine, id);
    return attached;
  } catch (error) {
    throw error instanceof EngineError ? startError(error, short(id)) : error;
  }
}

async function findImage(engine: Engine, name: string) {
  try {
    return await inspectImage(engine, name);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    throw new CordonError(`Image ${name} is not on this engine`, {
      why: "a kernel never pulls its image when it starts",
      hint: `${engine.name} pull ${name}`,
      cause: error,
    });
  }
}

/** The image's variables, which know where its programs lie, and over them the kernel's. */
function environment(kernel: Record<string, string>, image: string[]): Record<string, string> {
  const own = image.filter((entry) => entry.includes("=")).map((entry): [string, string] => {
    const at = entry.indexOf("=");
    return [entry.slice(0, at), entry.slice(at + 1)];
  });
  return { PATH: DEFAULT_PATH, ...Object.fromEntries(own), HOME, ...kernel };
}

/** Writes pid 1, and listens for it. */
function openDoor(
  kernel: ContainerKernel,
  host: Host,
  { env, path, waits }: { env: string[]; path: string; waits: boolean },
): number {
  const directory = posix.join(kernel.kept.directory, OUTSIDE.directory);
  Deno.mkdirSync(directory, { mode: 0o700 });
  // Not by the engine: one such limit asked of Podman makes it forget the others of its configuration.
  const each: LimitPlan = { rlimits: [], enforced: {} };
  planEach(kernel.limits, { host }, each);
  const program = containerInit({
    arch: host.arch,
    rlimits: each.rlimits.map(({ resource, soft, hard }) => ({ resource: RLIMIT[resource], soft, hard })),
    command: kernel.command,
    env,
    path: path.split(":"),
    ...(kernel.limits.wallSeconds !== undefined && { wallSeconds: kernel.limits.wallSeconds }),
    ports: kernel.ports,
    door: posix.join(LAUNCHER, OUTSIDE.door),
    waits,
    directory: INSIDE,
    files: kernel.files,
  });
  // It holds the kernel's key; the kernel's user is its owner.
  Deno.writeFileSync(posix.join(directory, OUTSIDE.init), writeImage(program), {
    createNew: true,
    mode: 0o500,
  });
  return listenUnix(posix.join(directory, OUTSIDE.door));
}

/** An engine may leave out what was asked with a warning, or without a word. Isolation never degrades silently. */
async function refuseDropped(
  engine: Engine,
  { limits, gpus }: ContainerKernel,
  { id, warnings }: { id: string; warnings: string[] },
): Promise<void> {
  const asked = Object.entries({ memory: limits.memoryBytes, pids: limits.pids, cpus: limits.cpus })
    .filter(([, limit]) => limit !== undefined).map(([name]) => name);
  if (asked.length === 0 && gpus === undefined) return;
  const { HostConfig } = await inspectContainer(engine, id);
  // Podman's interface for Docker's clients passes requests for devices over.
  if (gpus !== undefined && !Array.isArray(HostConfig["DeviceRequests"])) {
    throw new CordonError("The engine does not give its containers GPUs", {
      why: `${engine.name} has passed over what --gpus asked for`,
    });
  }
  // What Podman made of NanoCpus stands in the quota.
  const held: Record<string, unknown> = {
    memory: HostConfig["Memory"],
    pids: HostConfig["PidsLimit"],
    cpus: HostConfig["NanoCpus"] || HostConfig["CpuQuota"],
  };
  for (const name of asked) {
    const about = new RegExp(`${name.replace(/s$/, "")}.*(discard|not|unsupported)`, "i");
    const warned = warnings.find((warning) => about.test(warning) && !/swap/i.test(warning));
    if (warned === undefined && held[name]) continue;
    throw new CordonError("The engine does not enforce a limit that was asked for", {
      why: warned ?? `--${name} has no effect there (a rootless engine needs cgroup v2 for it)`,
    });
  }
}
