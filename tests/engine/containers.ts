/** Docker and Podman as subjects of the suite: a container made for the script, and one made ahead. */
import { listContainers } from "../../lib/docker/containers.ts";
import { closeClient, type DockerClient, openClient } from "../../lib/engine/docker/client.ts";
import type { PoolOptions, WarmPool } from "../../lib/engine/docker/pool.ts";
import { runContainer } from "../../lib/engine/docker/run.ts";
import { IMAGE, type RunningEngine } from "../helpers/engines.ts";
import type { Subject, Wanted } from "./suite.ts";

/** The engine with a client, which ends before it. */
export async function withClient(
  engine: RunningEngine,
  body: (client: DockerClient) => Promise<void>,
): Promise<void> {
  const client = await openClient(engine.engine);
  try {
    await body(client);
  } finally {
    await closeClient(client);
  }
}

export function coldSubject(client: DockerClient): Subject {
  return {
    run: (wanted, streams) => {
      const { image, config, wallSeconds } = jobOf(wanted);
      const Cmd = ["sh", "-c", wanted.script];
      return runContainer(client, { image, config: { ...config, Cmd }, ...wallSeconds }, streams);
    },
    left: () => leftOf(client),
    holdsMemory: client.facts.enforces.memory,
  };
}

/** Each run waits for one that is ready, so that it is one made ahead that the suite sees. */
export function warmSubject(client: DockerClient, pool: WarmPool): Subject {
  return {
    run: async (wanted, streams) => {
      const { image, config, wallSeconds } = jobOf(wanted);
      const job = { image, config, script: wanted.script, ...wallSeconds };
      if (!streams.signal) await pool.prepare(job);
      return await pool.run(job, streams);
    },
    async left() {
      await client.removals.settled(30_000);
      return (await leftOf(client)).slice(pool.stats.ready + pool.stats.starting);
    },
    holdsMemory: client.facts.enforces.memory,
  };
}

/** A pool that makes one ahead for whatever was used once. */
export const EAGER: PoolOptions = { size: 1, enter: 0.5 };

function jobOf({ env = {}, memoryBytes, wallSeconds }: Wanted) {
  return {
    image: IMAGE,
    config: {
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      HostConfig: {
        NetworkMode: "none",
        CapDrop: ["ALL"],
        SecurityOpt: ["no-new-privileges"],
        ...(memoryBytes !== undefined && { Memory: memoryBytes, MemorySwap: memoryBytes }),
      },
    },
    wallSeconds: wallSeconds === undefined ? {} : { wallSeconds },
  };
}

async function leftOf({ engine, identity }: DockerClient): Promise<string[]> {
  const all = await listContainers(engine, { labels: { "org.cordon.instance": identity.instance } });
  return all.map(({ Names, Status }) => `${Names[0]} ${Status}`);
}
