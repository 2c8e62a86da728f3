/** Docker's own configuration directory: contexts and their TLS files (docker/cli, `cli/context/store`). */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { CordonError } from "../errors.ts";
import type { EndpointFacts, TlsMaterial } from "./endpoint.ts";
import { isObject } from "../host/json.ts";

export interface DockerContext {
  host: string;
  skipTlsVerify: boolean;
  tls?: TlsMaterial | undefined;
}

/** `$DOCKER_CONFIG`, or `~/.docker`. */
export function configDirectory(facts: Pick<EndpointFacts, "env" | "home">): string {
  return facts.env["DOCKER_CONFIG"] || join(facts.home, ".docker");
}

/** The Docker configuration file as an object; empty when there is none. */
export async function readConfig(directory: string): Promise<Record<string, unknown>> {
  const path = join(directory, "config.json");
  const text = await readOptional(path);
  if (text === undefined) return {};
  return parseObject(text, path);
}

/** Name of the context in use according to `config.json`, if any. */
export async function currentContext(directory: string): Promise<string | undefined> {
  const { currentContext } = await readConfig(directory);
  return typeof currentContext === "string" && currentContext !== "" ? currentContext : undefined;
}

/**
 * Reads a context from the store: `contexts/meta/SHA256(name)/meta.json`, TLS files beside it in `contexts/tls`.
 *
 * @throws CordonError when there is no such context or it has no Docker endpoint
 */
export async function readContext(directory: string, name: string): Promise<DockerContext> {
  const id = createHash("sha256").update(name).digest("hex");
  const path = join(directory, "contexts/meta", id, "meta.json");
  const text = await readOptional(path);
  if (text === undefined) {
    const known = await contextNames(directory);
    throw new CordonError(`Unknown Docker context ${JSON.stringify(name)}`, {
      why: known.length === 0
        ? `${join(directory, "contexts")} holds no contexts`
        : `Known contexts: ${["default", ...known].join(", ")}`,
    });
  }
  const endpoints = parseObject(text, path)["Endpoints"];
  const docker = isObject(endpoints) ? endpoints["docker"] : undefined;
  const host = isObject(docker) ? docker["Host"] : undefined;
  if (!isObject(docker) || typeof host !== "string" || host === "") {
    throw new CordonError(`Docker context ${JSON.stringify(name)} has no Docker endpoint`, {
      why: `Read ${path}`,
    });
  }
  const tls = await readTlsFiles(join(directory, "contexts/tls", id, "docker"));
  return {
    host,
    skipTlsVerify: docker["SkipTLSVerify"] === true,
    ...(tls.ca !== undefined || tls.cert !== undefined ? { tls } : {}),
  };
}

/** `ca.pem`, `cert.pem` and `key.pem` of a directory, as far as they exist; certificate and key only together. */
export async function readTlsFiles(directory: string): Promise<TlsMaterial> {
  const [ca, cert, key] = await Promise.all(
    ["ca.pem", "cert.pem", "key.pem"].map((name) => readOptional(join(directory, name))),
  );
  if ((cert === undefined) !== (key === undefined)) {
    throw new CordonError(`Incomplete client certificate in ${directory}`, {
      why: `Only ${
        cert === undefined ? "key.pem" : "cert.pem"
      } is there; both cert.pem and key.pem are needed`,
    });
  }
  return {
    ...(ca !== undefined ? { ca } : {}),
    ...(cert !== undefined && key !== undefined ? { cert, key } : {}),
  };
}

async function contextNames(directory: string): Promise<string[]> {
  const names: string[] = [];
  const meta = join(directory, "contexts/meta");
  try {
    for await (const entry of Deno.readDir(meta)) {
      const path = join(meta, entry.name, "meta.json");
      const text = await readOptional(path);
      const name = text === undefined ? undefined : parseObject(text, path)["Name"];
      if (typeof name === "string") names.push(name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw new CordonError(`Cannot read ${path}`, {
      why: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
}

function parseObject(text: string, path: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new CordonError(`Cannot parse ${path}`, {
      why: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
  if (!isObject(parsed)) throw new CordonError(`Cannot use ${path}`, { why: "It is not a JSON object" });
  return parsed;
}
