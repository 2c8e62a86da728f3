/** The engine's configuration of a kernel's container: no privileges, a read-only root, the caller's own user id. */
import { posix } from "node:path";
import type { ContainerConfig } from "../../docker/containers.ts";
import { type Engine, info, isRootless } from "../../docker/system.ts";
import { CordonError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import { launcherLabel } from "../../jupyter/leftovers.ts";
import { MOST_INSIDE } from "../../shim/programs/container_init.ts";
import type { Limits } from "../../spec/spec.ts";
import { DEFAULT_TASKS } from "../namespaces/limits.ts";
import type { ContainerKernel } from "./kernel.ts";

/** Labels by which `cordon kernel gc` finds what a crash left behind. */
export const KERNEL_LABELS = {
  kind: "cordon.kind",
  owner: "cordon.owner",
  launcher: "cordon.launcher",
} as const;

export interface ContainerMount {
  source: string;
  dest: string;
  readOnly: boolean;
}

/** Directory inside for the connection file and the sockets: a file system of the container's own, and no large one. */
export const INSIDE = "/run/cordon";
const INSIDE_BYTES = 2 ** 20;
/** Where the directory of {@link OUTSIDE} shows inside. */
export const LAUNCHER = "/run/cordon-launcher";
/** In the launch's directory: pid 1 of the container, and the socket at which it meets its launcher. */
export const OUTSIDE = { directory: "run", init: "init", door: "door" } as const;

/** A container without privileges, whose files belong to the caller; gc finds it when this process is dead. */
export async function closedContainer(
  engine: Engine,
  host: Host,
  { image, network, tmpBytes, mounts, tmpfs = {} }:
    & Pick<ContainerKernel, "image" | "network" | "mounts">
    & Pick<Limits, "tmpBytes">
    & { tmpfs?: Record<string, string> },
): Promise<ContainerConfig> {
  return {
    Image: image,
    // Root of a rootless engine is the caller; elsewhere the caller's own ids make its files the caller's.
    User: await runsRootless(engine) ? "0:0" : `${host.uid}:${host.gid}`,
    Tty: false,
    NetworkDisabled: network === "none",
    Labels: {
      "cordon.managed": "1",
      [KERNEL_LABELS.kind]: "kernel",
      [KERNEL_LABELS.owner]: String(host.uid),
      [KERNEL_LABELS.launcher]: launcherLabel(),
    },
    HostConfig: {
      NetworkMode: network,
      Mounts: mounts.map(({ source, dest, readOnly }) => ({
        Type: "bind",
        Source: source,
        Target: dest,
        ReadOnly: readOnly,
      })),
      Tmpfs: { "/tmp": `rw,exec,nosuid,nodev,mode=1777,size=${tmpBytes}`, ...tmpfs },
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      Init: false,
    },
  };
}

/** Pid 1 is ours. Nothing of the launch's directory can be written from inside. */
export async function kernelConfig(
  engine: Engine,
  kernel: ContainerKernel,
  host: Host,
): Promise<ContainerConfig> {
  const { limits, kept } = kernel;
  const shell = await closedContainer(engine, host, {
    image: kernel.image,
    network: kernel.network,
    tmpBytes: limits.tmpBytes,
    mounts: [
      { source: posix.join(kept.directory, OUTSIDE.directory), dest: LAUNCHER, readOnly: true },
      ...kernel.mounts,
    ],
    tmpfs: { [INSIDE]: `rw,noexec,nosuid,nodev,mode=1777,size=${INSIDE_BYTES}` },
  });
  return {
    ...shell,
    Entrypoint: [posix.join(LAUNCHER, OUTSIDE.init)],
    Cmd: [],
    WorkingDir: kernel.workdir,
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      ...shell.HostConfig,
      LogConfig: { Type: "none" },
      ...(limits.memoryBytes !== undefined && { Memory: limits.memoryBytes, MemorySwap: limits.memoryBytes }),
      PidsLimit: (limits.pids ?? DEFAULT_TASKS) + ourProcesses(kernel),
      ...(limits.cpus !== undefined && { NanoCpus: Math.round(limits.cpus * 1e9) }),
      ...(kernel.gpus !== undefined && { DeviceRequests: [gpuRequest(kernel.gpus)] }),
    },
  };
}

/** The limits and what enforces them, for the result. */
export function enforcedLimits(limits: Limits): Record<string, unknown> {
  const { bestEffort: _, ...values } = limits;
  const by: Record<keyof typeof values, string> = {
    memoryBytes: "engine",
    pids: "engine",
    cpus: "engine",
    fileBytes: "rlimit",
    wallSeconds: "timer",
    cpuSeconds: "rlimit",
    outputBytes: "pipe",
    tmpBytes: "tmpfs",
    coreBytes: "rlimit",
  };
  const enforced = Object.entries(values).map((
    [name, value],
  ) => [name, { value, by: by[name as keyof typeof by] }]);
  const guard = { value: DEFAULT_TASKS, by: "engine", byDefault: true };
  return { ...(limits.pids === undefined && { pids: guard }), ...Object.fromEntries(enforced) };
}

/** Our own processes in the container. */
function ourProcesses({ ports }: ContainerKernel): number {
  return 1 + (ports.length === 0 ? 0 : 1 + MOST_INSIDE);
}

/** Rootless engines are an ordinary user's, their sockets too. The question itself takes Podman 160 ms. */
async function runsRootless(engine: Engine): Promise<boolean> {
  const { endpoint } = engine;
  if (endpoint.kind === "unix" && Deno.statSync(endpoint.path).uid === 0) return false;
  return isRootless(await info(engine));
}

/** `all`, a number, or `device=ID,ID` as docker-run takes them. */
function gpuRequest(spec: string): Record<string, unknown> {
  const Capabilities = [["gpu"]];
  if (spec === "all") return { Driver: "", Count: -1, Capabilities };
  if (/^\d+$/.test(spec)) return { Driver: "", Count: Number(spec), Capabilities };
  const devices = /^device=(.+)$/.exec(spec)?.[1];
  if (devices) return { Driver: "", DeviceIDs: devices.split(","), Capabilities };
  throw new CordonError(`--gpus "${spec}" is not understood`, {
    why: "it is all, a number, or device=ID[,ID…]",
  });
}
