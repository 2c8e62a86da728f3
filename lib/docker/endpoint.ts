/**
 * Where the engine listens: from an explicit host, `DOCKER_HOST`, a Docker context or the usual sockets, in the order
 * the docker command uses (docker(1), "Environment variables"; `docker context` reference).
 */

import { join } from "node:path";
import { CordonError, UsageError } from "../errors.ts";
import { configDirectory, currentContext, readContext, readTlsFiles } from "./context.ts";

/** PEM texts for a TLS endpoint; all absent means the system's certificate authorities and no client certificate. */
export interface TlsMaterial {
  ca?: string;
  cert?: string;
  key?: string;
}

export interface UnixEndpoint {
  kind: "unix";
  path: string;
  /** What chose it, for messages: `DOCKER_HOST`, `context lab`, `default`. */
  origin: string;
}

export interface TcpEndpoint {
  kind: "tcp";
  host: string;
  port: number;
  /** Prefix of every path, without a trailing slash; usually empty. */
  basePath: string;
  /** Present means TLS. */
  tls?: TlsMaterial;
  origin: string;
}

export type Endpoint = UnixEndpoint | TcpEndpoint;

export type EngineName = "docker" | "podman";

/** What the choice depends on; gathered once from the machine. */
export interface EndpointFacts {
  env: Readonly<Record<string, string | undefined>>;
  /** Home directory of the caller. */
  home: string;
  uid: number;
}

export interface EndpointChoice {
  /** Explicit host (a flag): `unix://…`, `tcp://…`, `https://…`, an absolute path. */
  host?: string | undefined;
  /** Explicit Docker context (a flag). */
  context?: string | undefined;
  /** Look for this engine's socket only; ignores the environment and contexts, which may name the other. */
  engine?: EngineName | undefined;
}

/** The endpoint as a user would write it. */
export function formatEndpoint(endpoint: Endpoint): string {
  if (endpoint.kind === "unix") return `unix://${endpoint.path}`;
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return `tcp://${host}:${endpoint.port}${endpoint.basePath}`;
}

/**
 * Parses a host string without I/O. `tcp://` without a port gets 2376 with TLS and 2375 without.
 *
 * @throws UsageError for a scheme that this client does not speak
 */
export function parseHost(
  host: string,
  options: { origin: string; tls?: TlsMaterial | undefined },
): Endpoint {
  const { origin, tls } = options;
  if (host.startsWith("/")) return { kind: "unix", path: host, origin };
  const colon = host.indexOf("://");
  const scheme = colon < 0 ? "tcp" : host.slice(0, colon);
  const rest = colon < 0 ? host : host.slice(colon + 3);
  if (scheme === "unix") {
    const path = rest === "" ? "/var/run/docker.sock" : rest;
    if (!path.startsWith("/")) {
      throw new UsageError(`Invalid engine address ${JSON.stringify(host)} (from ${origin})`, {
        why: "The path of a unix:// address must be absolute",
      });
    }
    return { kind: "unix", path, origin };
  }
  if (scheme === "ssh") {
    throw new UsageError(`Unsupported engine address ${JSON.stringify(host)} (from ${origin})`, {
      why: "ssh:// is not supported; forward the socket and name it instead",
      hint: `ssh -nNT -L "$HOME/engine.sock:/var/run/docker.sock" ${rest.split("/")[0]} & ` +
        `export DOCKER_HOST="unix://$HOME/engine.sock"`,
    });
  }
  if (scheme !== "tcp" && scheme !== "http" && scheme !== "https") {
    throw new UsageError(`Unsupported engine address ${JSON.stringify(host)} (from ${origin})`, {
      why: "Addresses are unix://PATH, tcp://HOST:PORT or https://HOST:PORT",
    });
  }
  if (!URL.canParse(`http://${rest}`) || rest === "") {
    throw new UsageError(`Invalid engine address ${JSON.stringify(host)} (from ${origin})`, {
      why: "Expected HOST:PORT after the scheme",
    });
  }
  const url = new URL(`http://${rest}`);
  const secure = tls !== undefined || scheme === "https";
  // URL drops the port 80 of http; every other absent port is really absent.
  const port = url.port !== "" ? Number(url.port) : /:80(\/|$)/.test(rest) ? 80 : secure ? 2376 : 2375;
  return {
    kind: "tcp",
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port,
    basePath: url.pathname.replace(/\/+$/, ""),
    ...(secure ? { tls: tls ?? {} } : {}),
    origin,
  };
}

/** The sockets looked at when nothing names an endpoint, in order. */
export function defaultSockets(facts: EndpointFacts, engine?: EngineName): string[] {
  const runtime = facts.env["XDG_RUNTIME_DIR"] || `/run/user/${facts.uid}`;
  const docker = ["/var/run/docker.sock", join(runtime, "docker.sock")];
  const podman = facts.uid === 0
    ? ["/run/podman/podman.sock", join(runtime, "podman/podman.sock")]
    : [join(runtime, "podman/podman.sock"), "/run/podman/podman.sock"];
  if (engine === "docker") return docker;
  if (engine === "podman") return podman;
  return [...docker, ...podman];
}

/**
 * The endpoint to use: explicit host, explicit context, a named engine's sockets, `DOCKER_HOST`, `DOCKER_CONTEXT`,
 * `currentContext` of the Docker configuration, and last the first of the usual sockets that accepts this user
 * (when none does, the first that exists, so that the error is about it).
 */
export async function resolveEndpoint(choice: EndpointChoice, facts: EndpointFacts): Promise<Endpoint> {
  const { env } = facts;
  if (choice.host) return await hostEndpoint(choice.host, "the command line", facts);
  if (choice.context) return await contextEndpoint(choice.context, facts);
  if (!choice.engine) {
    if (env["DOCKER_HOST"]) return await hostEndpoint(env["DOCKER_HOST"], "DOCKER_HOST", facts);
    const context = env["DOCKER_CONTEXT"] || await currentContext(configDirectory(facts));
    if (context && context !== "default") return await contextEndpoint(context, facts);
  }
  return await firstSocket(defaultSockets(facts, choice.engine));
}

async function hostEndpoint(host: string, origin: string, facts: EndpointFacts): Promise<Endpoint> {
  const { env } = facts;
  const verify = Boolean(env["DOCKER_TLS_VERIFY"]) && /^(tcp:\/\/|[^/:]+:\d)/.test(host);
  if (!verify && !host.startsWith("https://")) return parseHost(host, { origin });
  const directory = env["DOCKER_CERT_PATH"] || configDirectory(facts);
  return parseHost(host, { origin, tls: await readTlsFiles(directory) });
}

async function contextEndpoint(name: string, facts: EndpointFacts): Promise<Endpoint> {
  const origin = `context ${name}`;
  if (name === "default") return await firstSocket(defaultSockets(facts));
  const context = await readContext(configDirectory(facts), name);
  if (context.skipTlsVerify) {
    throw new CordonError(`Cannot use Docker context ${JSON.stringify(name)}`, {
      why: "It asks to skip the verification of the engine's certificate, which is not supported",
    });
  }
  return parseHost(context.host, { origin, tls: context.tls });
}

async function firstSocket(paths: string[]): Promise<Endpoint> {
  let existing: string | undefined;
  for (const path of paths) {
    try {
      const connection = await Deno.connect({ transport: "unix", path });
      connection.close();
      return { kind: "unix", path, origin: "default" };
    } catch (error) {
      // Absent, forbidden and abandoned sockets are all passed over; connecting to the one that is returned
      // says which it was.
      if (!(error instanceof Error)) throw error;
      if (!(error instanceof Deno.errors.NotFound)) existing ??= path;
    }
  }
  return { kind: "unix", path: existing ?? paths[0] ?? "/var/run/docker.sock", origin: "default" };
}
