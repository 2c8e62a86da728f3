/**
 * What running containers for a daemon needs of an engine. One for each engine and daemon:
 *
 *     const client = await openClient(await openEngine(endpoint));
 *     await sweep(client);                       // sweep.ts: what dead daemons left
 *     await runContainer(client, job, streams);  // run.ts: a command of its own
 *     const pool = new WarmPool(client, { size: 4 });
 *     await pool.run(job, streams);              // pool.ts: a shell script, from a container made ahead if there is one
 *     await pool.close();                        // at drain
 *     await closeClient(client);
 */
import type { ContainerConfig } from "../../docker/containers.ts";
import type { ImageDetails } from "../../docker/images.ts";
import { type Engine, info, isRootless } from "../../docker/system.ts";
import { type DaemonIdentity, daemonIdentity } from "./identity.ts";
import { Removals, type RemovalTiming } from "./removals.ts";
import { hardLimits, type Ulimit } from "./ulimits.ts";
import { Usage } from "./usage.ts";

export interface RunTiming {
  /** How long creating may take. */
  createMs: number;
  /** How long attaching and starting together may take. */
  startMs: number;
  /** How long the engine may take to confirm a wait before the container is started all the same. */
  confirmMs: number;
  /** How long a kill may take, and how long after it the container may take to be told dead. */
  killMs: number;
  /** How long after the end of the output the engine may take to tell the status before it is asked. */
  statusMs: number;
  /** How long after the container's end a read of its output may bring nothing before it counts as ended. */
  silenceMs: number;
}

const TIMING: RunTiming = {
  createMs: 30_000,
  startMs: 30_000,
  confirmMs: 3000,
  killMs: 5000,
  statusMs: 2000,
  silenceMs: 3000,
};

/** Podman looks for the end every 250 ms (a wait's `interval`); asking at the end of the output is quicker. */
const PODMAN: Partial<RunTiming> = { statusMs: 10 };

/** What an engine says of itself. Limits it has no way to enforce are dropped by some engines without a word. */
export interface EngineFacts {
  /** Kinds of limits that hold. */
  enforces: { memory: boolean; pids: boolean; cpus: boolean };
  cgroupVersion: string;
  cgroupDriver: string;
  rootless: boolean;
  /** What a container with limits of its own has to be given besides; see ulimits.ts. */
  ulimits: readonly Ulimit[];
}

export interface DockerClient {
  readonly engine: Engine;
  readonly identity: DaemonIdentity;
  readonly facts: EngineFacts;
  readonly removals: Removals;
  readonly timing: RunTiming;
  readonly usage: Usage;
  readonly amend?: Amend;
}

/** Has the last word on a container before it is created, knowing its image. */
export type Amend = (config: ContainerConfig, image: ImageDetails) => ContainerConfig;

export interface ClientOptions {
  identity?: DaemonIdentity;
  timing?: Partial<RunTiming & RemovalTiming>;
  amend?: Amend;
}

/** Asks the engine what it is. @throws EngineError when it does not answer */
export async function openClient(engine: Engine, options: ClientOptions = {}): Promise<DockerClient> {
  return clientOf(engine, await askFacts(engine), options);
}

/** The same without asking. */
export function clientOf(engine: Engine, facts: EngineFacts, options: ClientOptions = {}): DockerClient {
  return {
    engine,
    identity: options.identity ?? daemonIdentity(),
    facts,
    removals: new Removals(engine, options.timing),
    timing: { ...TIMING, ...engine.name === "podman" && PODMAN, ...options.timing },
    usage: new Usage(engine),
    ...(options.amend && { amend: options.amend }),
  };
}

/** Waits for the removals that are still going on, at most `ms`; returns how many containers are left to a later sweep. */
export async function closeClient(client: DockerClient, ms = 10_000): Promise<number> {
  const left = await client.removals.settled(ms);
  await client.removals.close();
  return left;
}

async function askFacts(engine: Engine): Promise<EngineFacts> {
  const answer = await info(engine, { signal: AbortSignal.timeout(10_000) });
  const rootless = isRootless(answer);
  const cgroupVersion = answer.CgroupVersion ?? "";
  // Rootless on cgroup v1 there is no group to set a limit in, whatever the engine says.
  const none = rootless && cgroupVersion !== "2";
  return {
    enforces: {
      memory: !none && answer.MemoryLimit !== false,
      pids: !none && answer.PidsLimit !== false,
      cpus: !none && answer.CpuCfsQuota !== false,
    },
    cgroupVersion,
    cgroupDriver: answer.CgroupDriver ?? "",
    rootless,
    ulimits: engine.name === "podman" && engine.endpoint.kind === "unix"
      ? hardLimits(Deno.readTextFileSync("/proc/self/limits"))
      : [],
  };
}
