/** The engines that are there, and what each can hold an execution to. */
import { closeClient, type DockerClient, openClient } from "../engine/docker/client.ts";
import { WarmPool } from "../engine/docker/pool.ts";
import { sweep } from "../engine/docker/sweep.ts";
import { resolveEndpoint } from "../docker/endpoint.ts";
import { openEngine } from "../docker/system.ts";
import { CordonError } from "../errors.ts";
import { probeCgroups } from "../host/cgroups.ts";
import type { Host } from "../host/host.ts";
import type { ServeConfig } from "./config/types.ts";
import type { Log } from "./log.ts";
import { withoutCommand } from "./perform.ts";
import { containersHold, namespacesHold } from "./policy/enforceable.ts";
import { judge } from "./policy/judge.ts";
import { realPlaces } from "./policy/places.ts";
import { hostShell } from "./policy/shell.ts";
import type { PolicyFacts } from "./policy/verdict.ts";
import { withoutVolumes } from "./policy/volumes.ts";
import { Pulls } from "./pulls.ts";

export interface Docker {
  client: DockerClient;
  pool: WarmPool;
  pulls: Pulls;
}

export interface Engines {
  facts: PolicyFacts;
  docker?: Docker;
  /** For whoever starts the server. */
  notes: string[];
}

/**
 * Opens what the configuration wants. Containers that dead servers of this user left are removed.
 *
 * @throws CordonError when an engine that is asked for by name cannot be used, or there is none at all
 */
export async function openEngines(config: ServeConfig, host: Host, log: Log): Promise<Engines> {
  const notes: string[] = [];
  const facts: PolicyFacts = { host, engines: {}, shell: hostShell(), places: realPlaces() };
  const wanted = config.engine;
  if (wanted !== "docker") {
    if (host.uid !== 0) facts.engines.namespaces = namespacesHold(probeCgroups());
    else if (wanted === "namespaces") throw rootNeedsUser();
    else notes.push("no namespaces engine: as root it needs --user NAME");
  }
  let docker: Docker | undefined;
  if (wanted !== "namespaces") {
    try {
      docker = await openDocker(config, { host, log });
      facts.engines.docker = containersHold(docker.client.facts.enforces);
      facts.apiVersion = docker.client.engine.apiVersion;
      facts.engineName = docker.client.engine.name;
    } catch (error) {
      if (wanted === "docker" || !(error instanceof CordonError)) throw error;
      notes.push(`no containers: ${error.message}`);
    }
  }
  if (Object.keys(facts.engines).length === 0) {
    throw host.uid === 0
      ? rootNeedsUser()
      : new CordonError("There is no engine to run anything", { why: notes.join("\n") });
  }
  return { facts, ...(docker && { docker }), notes };
}

export async function closeEngines({ docker }: Engines): Promise<void> {
  if (!docker) return;
  await docker.pulls.close();
  await docker.pool.close();
  await closeClient(docker.client);
}

function rootNeedsUser(): CordonError {
  return new CordonError("As root the namespaces engine needs --user", {
    why: "What it runs would be root's, however confined",
    hint: "cordon serve --user NAME",
  });
}

async function openDocker(
  { dockerHost }: ServeConfig,
  { host, log }: { host: Host; log: Log },
): Promise<Docker> {
  const endpoint = await resolveEndpoint({ host: dockerHost }, host);
  const engine = await openEngine(endpoint, { apiVersion: host.env["DOCKER_API_VERSION"] || undefined });
  const client = await openClient(engine, { amend: withoutVolumes });
  const removed = await sweep(client);
  if (removed.length > 0) log("warn", "left-over", { containers: removed });
  sweepAgain(client, log);
  const failed = (error: unknown, image: string) => log("warn", "not-ready", { image, error: String(error) });
  const pool = new WarmPool(client, { size: 0, failed });
  return { client, pool, pulls: new Pulls(engine, host) };
}

/**
 * Has containers of the configured images stand ready, for each tenant who may use them: a container is its tenant's
 * from its creation on. Where there are fewer than tenants, those who execute most get them.
 */
export function keepReady({ docker, facts }: Engines, { pool, tenants }: ServeConfig): void {
  if (!docker) return;
  const jobs = pool.containers.flatMap(({ image, count }) =>
    tenants.flatMap((tenant) => {
      const verdict = judge({ tenant, args: image, cmd: "" }, facts);
      return "refused" in verdict || verdict.engine !== "docker"
        ? []
        : [{ job: withoutCommand(verdict), count }];
    })
  );
  docker.pool.keep(jobs, pool.containers.reduce((sum, { count }) => sum + count, 0));
}

/** A creation that the dead server had asked for may have come to its end only after the first sweep. */
function sweepAgain(client: DockerClient, log: Log): void {
  for (const seconds of [3, 30]) {
    const timer = setTimeout(async () => {
      try {
        const removed = await sweep(client);
        if (removed.length > 0) log("warn", "left-over", { containers: removed });
      } catch (error) {
        log("warn", "left-over", { error: String(error) });
      }
    }, seconds * 1000);
    Deno.unrefTimer(timer);
  }
}
