/** Hands an execution to its engine. */
import { EngineError } from "../docker/errors.ts";
import type { Result, Streams } from "../engine/engine.ts";
import { type ContainerJob, runContainer } from "../engine/docker/run.ts";
import { namespaces } from "../engine/namespaces/engine.ts";
import { CordonError, EXIT, render } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { Docker } from "./engines.ts";
import type { Execution } from "./execution.ts";
import type { Perform } from "./executor.ts";
import { runInWork } from "./files/run.ts";
import type { FileStore } from "./files/store.ts";
import type { Work } from "./files/work.ts";
import { runInBox } from "./sessions/box.ts";
import type { DockerVerdict, NamespacesVerdict } from "./policy/verdict.ts";

export interface Means {
  host: Host;
  files: FileStore;
  /** Absent when no container engine is used. */
  docker?: Docker;
}

export function performWith({ host, files, docker }: Means): Perform {
  return async (execution): Promise<Result> => {
    const { job, script } = execution.admitted;
    const streams = streamsOf(execution);
    if (job.engine === "namespaces" && job.work) {
      return await withFiles(execution.id, job.work, { ...job, host, files, streams });
    }
    if (job.engine === "namespaces") return await namespaces.run(job.spec, host, streams);
    if (!docker) throw new CordonError("There is no container engine");
    if (job.pull === "missing") {
      const { image, platform, limits: { wallSeconds: seconds } } = job;
      const { signal, admitted: { tenant } } = execution;
      await docker.pulls.need({ tenant, image, platform, seconds, signal });
    }
    if (job.work) {
      const { client } = docker;
      return await runInBox({ id: execution.id, job, work: job.work, script, client, files, streams });
    }
    const { image, config, argv, limits: { wallSeconds } } = job;
    try {
      if (argv || streams.terminal) {
        const container = { image, config: { ...config, Cmd: argv ?? shell(script) }, wallSeconds };
        return await runContainer(docker.client, container, streams);
      }
      return await docker.pool.run({ ...withoutCommand(job), script, wallSeconds }, streams);
    } catch (error) {
      return await commandFailure(error, streams);
    }
  };
}

interface WithFiles extends Pick<NamespacesVerdict, "spec">, Omit<Means, "docker"> {
  streams: Streams;
}

async function withFiles(id: string, work: Work, means: WithFiles): Promise<Result> {
  const { session } = work;
  const run = () => inDirectory(id, work, means);
  return session ? await session.run(run) : await run();
}

async function inDirectory(id: string, work: Work, { files, ...rest }: WithFiles): Promise<Result> {
  const { session } = work;
  return await runInWork({
    ...rest,
    bytes: work.limits.workBytes,
    workdir: work.workdir,
    async fill(directory) {
      await session?.fill(directory);
      await directory.place(work.files, { store: files, tenant: work.tenant });
    },
    ...(session && { keep: (directory) => session.keep(directory) }),
    async emptied(directory) {
      files.keepResults(id, await directory.collect(work, files, id));
    },
  });
}

/** The shell that a container of the pool would run it with: one with a terminal cannot wait for its script there. */
function shell(script: string): string[] {
  const find = 'command -v bash >/dev/null 2>&1 && exec bash -lc "$1"; exec sh -c "$1"';
  return ["sh", "-c", find, "sh", script];
}

/** The pool brings the shell that runs the script, so that its containers can be made before there is one. */
export function withoutCommand({ image, config }: DockerVerdict): ContainerJob {
  const { Cmd: _, ...rest } = config;
  return { image, config: rest };
}

/** What an image lacks or cannot execute is the command's own failure, as in docker-run(1). */
async function commandFailure(error: unknown, { stderr }: Streams): Promise<Result> {
  if (
    !(error instanceof EngineError) || (error.exit !== EXIT.notFound && error.exit !== EXIT.cannotExecute)
  ) {
    throw error;
  }
  await stderr(new TextEncoder().encode(render(error)));
  const none = { signal: null, wallMs: 0, userMs: null, systemMs: null, maxRssBytes: null };
  return { reason: "exited", exitCode: error.exit, ...none };
}

function streamsOf({ admitted, output, signal, interaction }: Execution): Streams {
  const { stdin } = admitted.job;
  const terminal = interaction?.terminal;
  return {
    ...(stdin && { stdin }),
    ...(interaction && { stdin: interaction.stdin, begun: (controls) => interaction.begun(controls) }),
    ...(terminal && { terminal }),
    // What no longer fits is dropped there: the command is never held up.
    stdout: (chunk) => output.write("stdout", chunk),
    stderr: (chunk) => output.write("stderr", chunk),
    signal,
  };
}
