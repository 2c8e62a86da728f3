/** `cordon run` by an engine's socket: one container from its creation to its end. */
import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import {
  createContainer,
  killContainer,
  removeContainer,
  resizeContainer,
  startContainer,
} from "../lib/docker/containers.ts";
import { configDirectory, readConfig } from "../lib/docker/context.ts";
import { type EndpointFacts, formatEndpoint, resolveEndpoint } from "../lib/docker/endpoint.ts";
import { ConflictError, EngineError, NotFoundError } from "../lib/docker/errors.ts";
import { runContainer, type RunOptions as Lifecycle, type RunResult } from "../lib/docker/lifecycle.ts";
import { proxyVariables } from "../lib/docker/proxies.ts";
import { startError } from "../lib/docker/starterror.ts";
import { type Engine, openEngine } from "../lib/docker/system.ts";
import { type DockerRun, parseRun, type RunFacts } from "../lib/dockerargs/run.ts";
import { scriptCommand } from "../lib/dockerargs/script.ts";
import type { TerminalSize } from "../lib/engine/engine.ts";
import { CordonError, EXIT } from "../lib/errors.ts";
import type { Host } from "../lib/host/host.ts";
import { claimIdFile } from "./run-idfile.ts";
import { pull } from "./run-pull.ts";
import { Interrupted, Signals } from "./run-signals.ts";
import { Detached, openStreams } from "./run-streams.ts";
import type { RunOptions } from "./run.options.ts";

const SIGPIPE = 13;

export async function runInContainer(
  options: RunOptions,
  { host, facts }: { host: Host; facts: RunFacts },
): Promise<number> {
  const endpoint = await resolveEndpoint({ host: options.host }, host);
  const apiVersion = host.env["DOCKER_API_VERSION"] || undefined;
  const engine = await openEngine(endpoint, { apiVersion });
  const config = await readConfig(configDirectory(host));
  const run = parseRun(options.dockerArgs, {
    ...facts,
    apiVersion: engine.apiVersion,
    proxies: proxyVariables(config, formatEndpoint(endpoint)),
  });
  const configured = config["detachKeys"];
  if (run.client.detachKeys === undefined && typeof configured === "string" && configured !== "") {
    run.client.detachKeys = configured;
  }
  if (options.script) run.config.Cmd = scriptCommand(run.command);
  return run.client.detach
    ? await leaveRunning(engine, run, host)
    : await stayAttached(engine, run, { ...options, host });
}

/** `-d`: the id on stdout, and the container on its own. The engine removes it, if that is asked for. */
async function leaveRunning(engine: Engine, run: DockerRun, facts: EndpointFacts): Promise<number> {
  const { client, config } = run;
  const { name, platform } = client;
  using idFile = claimIdFile(client.cidfile);
  const { Id, Warnings } = await withImage(engine, run, {
    facts,
    work: () => createContainer(engine, config, { name, platform }),
  });
  warn(Warnings ?? []);
  try {
    await startContainer(engine, Id);
  } catch (error) {
    // Nothing of it has run. Docker leaves it for whoever cares; nobody does.
    await removeContainer(engine, Id, { force: true });
    throw error instanceof EngineError && error.status !== 0 ? startError(error, Id.slice(0, 12)) : error;
  }
  idFile.write(Id);
  writeStdout(`${Id}\n`);
  return 0;
}

interface Attached {
  host: Host;
  script: boolean;
  parent?: number;
}

async function stayAttached(
  engine: Engine,
  run: DockerRun,
  { host, script, parent }: Attached,
): Promise<number> {
  const { client, config } = run;
  using idFile = claimIdFile(client.cidfile);
  using signals = new Signals({ proxy: client.sigProxy, parent });
  using streams = openStreams(client, { script });
  const { signal } = signals;
  if (client.tty) Object.assign(config.HostConfig ??= {}, streams.consoleSize(engine.apiVersion));
  const lifecycle: Lifecycle = {
    streams: streams.streams,
    signal,
    name: client.name,
    platform: client.platform,
    keep: !client.rm,
    leave: (error) => error instanceof Detached,
    onCreated: (id) => {
      idFile.write(id);
      // With no output to show, the id is all there is.
      if (!client.attach.includes("stdout") && !client.attach.includes("stderr")) writeStdout(`${id}\n`);
      streams.enter();
    },
    onStarted: async (id) => {
      signals.passTo((name) => void passSignal(engine, id, name));
      await streams.watchSize((size) => resize(engine, id, size));
    },
  };
  try {
    const result = await withImage(engine, run, {
      facts: host,
      signal,
      work: () => runContainer(engine, config, lifecycle),
    });
    warn(result.warnings);
    tellEnd(result, run);
    return result.exitCode;
  } catch (error) {
    if (error instanceof Interrupted) return error.status;
    if (error instanceof Deno.errors.BrokenPipe) return 128 + SIGPIPE; // whoever read our output has gone
    if (error instanceof Detached) return 0;
    throw error;
  }
}

async function passSignal(engine: Engine, id: string, name: Deno.Signal): Promise<void> {
  try {
    await killContainer(engine, id, { killSignal: name });
  } catch (error) {
    // It has ended by itself in the meantime.
    if (error instanceof ConflictError || error instanceof NotFoundError) return;
    if (!(error instanceof EngineError)) throw error;
    writeStderr(`cordon: ${error.message}: ${error.why ?? ""}\n`);
  }
}

async function resize(engine: Engine, id: string, size: TerminalSize): Promise<void> {
  try {
    await resizeContainer(engine, id, size);
  } catch (error) {
    // It is ending, or not quite there; a size is not worth a failure.
    if (!(error instanceof EngineError)) throw error;
  }
}

/** Does the work, and pulls the image first where that is asked for, or in between where it turns out to be missing. */
async function withImage<T>(
  engine: Engine,
  run: DockerRun,
  { facts, work, signal }: { facts: EndpointFacts; work: () => Promise<T>; signal?: AbortSignal },
): Promise<T> {
  const { image, client } = run;
  const { platform, quiet } = client;
  if (client.pull === "always") await pull(engine, image, { facts, platform, quiet, signal });
  try {
    return await work();
  } catch (error) {
    const isId = /^(sha256:)?[0-9a-f]{64}$/.test(image);
    if (!isMissingImage(error) || client.pull !== "missing" || isId) throw error;
    if (!quiet) writeStderr(`Unable to find image '${image}' locally\n`);
    await pull(engine, image, { facts, platform, quiet, signal });
    return await work();
  }
}

/** Nothing but a creation is answered so: networks and containers that are missing are called what they are. */
function isMissingImage(error: unknown): boolean {
  return error instanceof NotFoundError && /\bno such image\b|\bimage not known\b/i.test(error.engineMessage);
}

function warn(warnings: readonly string[]): void {
  for (const warning of warnings) writeStderr(`cordon: warning: ${warning}\n`);
}

function tellEnd(result: RunResult, { client, config }: DockerRun): void {
  if (result.error !== "") {
    throw new CordonError(`Container ${result.id.slice(0, 12)} ended`, {
      why: result.error,
      exit: result.exitCode || EXIT.cordon,
    });
  }
  const limit = config.HostConfig?.["Memory"];
  if (result.oomKilled && result.exitCode === EXIT.killed && !client.quiet) {
    const of = typeof limit === "number" ? ` of ${limit} bytes` : "";
    writeStderr(`cordon: the memory limit${of} ended the container\n`);
  }
}
