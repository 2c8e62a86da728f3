/** The engine as a whole: ping with version negotiation, version, info (Engine API, "System"). */

import type { Endpoint, EngineName } from "./endpoint.ts";
import { EngineError } from "./errors.ts";
import { compareVersions, request, type Target } from "./request.ts";

/** The newest API this client was written for. An engine that speaks a newer one is asked with this. */
export const NEWEST_API = "1.47";
/** The oldest API this client can use (Docker 19.03; Podman since 3 says 1.41). */
const OLDEST_API = "1.40";

/** How long an engine may take to answer a ping; a healthy one needs a millisecond. */
const PING_MS = 10_000;

/** A reachable engine with the version both sides speak. Endpoint functions take it as their target. */
export interface Engine extends Target {
  readonly endpoint: Endpoint;
  readonly apiVersion: string;
  readonly name: EngineName;
}

export interface Ping {
  /** Newest API version of the engine; undefined when it did not say. */
  apiVersion: string | undefined;
  name: EngineName;
}

export interface OpenOptions {
  signal?: AbortSignal | undefined;
  /** Use this API version and do not negotiate (`DOCKER_API_VERSION`). */
  apiVersion?: string | undefined;
  /** How long to wait for the ping, in milliseconds. */
  pingMs?: number;
}

/**
 * Reaches the engine and settles the API version: the older of its newest and ours.
 *
 * @throws UnreachableError when nothing answers; EngineError when the engine is too old or does not answer in time
 */
export async function openEngine(endpoint: Endpoint, options: OpenOptions = {}): Promise<Engine> {
  const { apiVersion, name } = await ping({ endpoint }, options);
  if (options.apiVersion) {
    if (!/^\d+\.\d+$/.test(options.apiVersion)) {
      throw new EngineError(`Invalid API version ${JSON.stringify(options.apiVersion)}`, {
        why: "Expected 1.NN",
      });
    }
    return { endpoint, apiVersion: options.apiVersion, name };
  }
  const theirs = apiVersion || (await version({ endpoint }, options)).ApiVersion;
  if (!theirs || compareVersions(theirs, OLDEST_API) < 0) {
    throw new EngineError(`Cannot use this engine: it speaks API ${theirs || "of an unknown version"}`, {
      why: `API ${OLDEST_API} or newer is needed (Docker 19.03, Podman 3)`,
    });
  }
  const agreed = compareVersions(theirs, NEWEST_API) < 0 ? theirs : NEWEST_API;
  return { endpoint, apiVersion: agreed, name };
}

/** Whether the engine answers, and what it says of itself. */
async function ping(target: Target, options: OpenOptions = {}): Promise<Ping> {
  const pingMs = options.pingMs ?? PING_MS;
  const limit = AbortSignal.timeout(pingMs);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  const what = "reach the engine";
  try {
    const reply = await request({ endpoint: target.endpoint }, {
      method: "GET",
      path: "/_ping",
      what,
      signal,
    });
    await reply.text();
    const podman = reply.headers.has("libpod-api-version") ||
      /libpod/i.test(reply.headers.get("server") ?? "");
    return { apiVersion: reply.headers.get("api-version") || undefined, name: podman ? "podman" : "docker" };
  } catch (error) {
    if (limit.aborted && !options.signal?.aborted) {
      throw new EngineError(`Cannot ${what}`, { why: `It did not answer within ${pingMs} ms`, cause: error });
    }
    throw error;
  }
}

/** The part of `GET /version` that is used here. */
export interface Version {
  Version?: string;
  ApiVersion?: string;
  MinAPIVersion?: string;
  Os?: string;
  Arch?: string;
  KernelVersion?: string;
}

export async function version(
  target: Target,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Version> {
  const what = "ask the engine for its version";
  return await (await request(target, { method: "GET", path: "/version", what, signal: options.signal }))
    .json();
}

/** The part of `GET /info` that is used here. */
export interface Info {
  ServerVersion?: string;
  Driver?: string;
  /** `1` or `2`. */
  CgroupVersion?: string;
  CgroupDriver?: string;
  /** `name=seccomp,profile=default`, `name=rootless`, `name=cgroupns`, … */
  SecurityOptions?: string[] | null;
  /** Podman only. */
  Rootless?: boolean;
  MemoryLimit?: boolean;
  PidsLimit?: boolean;
  CpuCfsQuota?: boolean;
  DefaultRuntime?: string;
  Runtimes?: Record<string, unknown>;
  DockerRootDir?: string;
  NCPU?: number;
  MemTotal?: number;
  Architecture?: string;
  Warnings?: string[] | null;
}

export async function info(
  engine: Engine,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Info> {
  const what = "ask the engine for its properties";
  return await (await request(engine, { method: "GET", path: "/info", what, signal: options.signal })).json();
}

/** Whether the engine runs without root on its host, where limits can be ignored in silence. */
export function isRootless(info: Info): boolean {
  return info.Rootless === true ||
    (info.SecurityOptions ?? []).some((option) => /\bname=rootless\b/.test(option));
}
