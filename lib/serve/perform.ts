/** Hands an execution to its engine. */
import type { WarmPool } from "../engine/docker/pool.ts";
import { namespaces } from "../engine/namespaces/engine.ts";
import type { Streams } from "../engine/engine.ts";
import { CordonError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { Execution } from "./execution.ts";
import type { Perform } from "./executor.ts";

export interface Engines {
  host: Host;
  /** Absent when no container engine is used. */
  pool?: WarmPool;
}

export function performWith({ host, pool }: Engines): Perform {
  return (execution) => {
    const { job, tenant, command } = execution.admitted;
    const streams = streamsOf(execution);
    if (job.engine === "namespaces") return namespaces.run(job.spec, host, streams);
    if (!pool) throw new CordonError("There is no container engine");
    // The pool brings the shell that runs the script, so that its containers can be made before there is one.
    const { Cmd: _, ...config } = job.config;
    return pool.run({
      image: job.image,
      config,
      script: command,
      wallSeconds: job.limits.wallSeconds,
      labels: { "org.cordon.owner": tenant },
    }, streams);
  };
}

function streamsOf({ admitted, output, signal }: Execution): Streams {
  const { stdin } = admitted.job;
  return {
    ...(stdin && { stdin }),
    // What no longer fits is dropped there: the command is never held up.
    stdout: (chunk) => output.write("stdout", chunk),
    stderr: (chunk) => output.write("stderr", chunk),
    signal,
  };
}
