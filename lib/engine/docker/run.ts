/**
 * One container from its creation to its removal, for a daemon. See client.ts for how the parts of this directory are
 * used together.
 */
import type { ContainerConfig } from "../../docker/containers.ts";
import type { Result, Streams } from "../engine.ts";
import type { DockerClient } from "./client.ts";
import { abortedResult, follow } from "./follow.ts";
import { complete, end, startNew } from "./started.ts";

export interface ContainerJob {
  image: string;
  /** The container as it is to be created; streams, labels of the daemon and the log are seen to here. */
  config: Partial<ContainerConfig>;
  /** Seconds the container may run; then it is killed. Without it an engine that hangs holds the run for as long. */
  wallSeconds?: number;
  /** Further labels, `org.cordon.owner` say. */
  labels?: Record<string, string>;
}

/**
 * Runs a container to its end, its output going to the sinks as fast as they take it, and removes it: by the time this
 * resolves it is gone, or will be as soon as the engine answers again. `exitCode` is 128 + N after a signal. Times of the
 * processor and memory are those of usage.ts.
 *
 * @throws EngineError whose `exit` is 127, 126 or 125 when the container could not be started, also when there is no such
 * image; EngineError when the engine fails or hangs; whatever a sink throws
 */
export async function runContainer(
  client: DockerClient,
  job: ContainerJob,
  streams: Streams,
): Promise<Result> {
  const { image, labels = {} } = job;
  const { signal } = streams;
  const config = complete(client, { ...job.config, Image: image }, {
    stdin: streams.stdin !== undefined,
    terminal: streams.terminal,
    labels,
  });
  let started;
  try {
    started = await startNew(client, config, signal);
  } catch (error) {
    if (signal?.aborted) return abortedResult();
    throw error;
  }
  try {
    return await follow(client, started, { streams, wallSeconds: job.wallSeconds });
  } finally {
    await end(client, started);
  }
}
