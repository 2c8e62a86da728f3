/** Containers (Engine API, "Container"). */

import { Attached } from "./attached.ts";
import { ConflictError } from "./errors.ts";
import { demultiplex, type Output } from "./frames.ts";
import { command, request, segment } from "./request.ts";
import type { Engine } from "./system.ts";

/** Options every call takes. */
export interface Call {
  signal?: AbortSignal | undefined;
}

/** Body of `POST /containers/create`: the fields named here and any other the API documents. */
export interface ContainerConfig {
  Image: string;
  Cmd?: string[];
  Entrypoint?: string[];
  Env?: string[];
  User?: string;
  WorkingDir?: string;
  Tty?: boolean;
  OpenStdin?: boolean;
  StdinOnce?: boolean;
  AttachStdin?: boolean;
  AttachStdout?: boolean;
  AttachStderr?: boolean;
  Labels?: Record<string, string>;
  HostConfig?: Record<string, unknown>;
  [field: string]: unknown;
}

export interface Created {
  Id: string;
  Warnings?: string[] | null;
}

export interface ContainerState {
  /** `created running paused restarting removing exited dead`; Podman has more. */
  Status: string;
  Running: boolean;
  OOMKilled: boolean;
  Pid: number;
  ExitCode: number;
  Error: string;
  StartedAt: string;
  FinishedAt: string;
}

/** The part of an inspect answer that is used here. */
export interface ContainerDetails {
  Id: string;
  Name: string;
  Image: string;
  State: ContainerState;
  Config: { Image: string; Labels?: Record<string, string> | null; Tty: boolean; Env?: string[] | null };
  HostConfig: Record<string, unknown>;
  Mounts?: { Type: string; Source: string; Destination: string; RW: boolean; Name?: string }[] | null;
  NetworkSettings: Record<string, unknown>;
}

export interface ContainerSummary {
  Id: string;
  Names: string[];
  Image: string;
  ImageID: string;
  /** Seconds since 1970. */
  Created: number;
  State: string;
  Status: string;
  Labels: Record<string, string> | null;
}

/** Creates a container and starts nothing. */
export async function createContainer(
  engine: Engine,
  config: ContainerConfig,
  options: Call & { name?: string | undefined; platform?: string | undefined } = {},
): Promise<Created> {
  const reply = await request(engine, {
    method: "POST",
    path: "/containers/create",
    query: { name: options.name, platform: options.platform },
    what: `create a container from image ${config.Image}`,
    json: config,
    signal: options.signal,
  });
  return await reply.json();
}

/** Starts a container; harmless when it runs already. */
export async function startContainer(engine: Engine, id: string, options: Call = {}): Promise<void> {
  await post(engine, `/containers/${segment(id)}/start`, {
    what: `start container ${short(id)}`,
    accept: [304],
    ...options,
  });
}

/**
 * Connects to a container's streams. Returns once the engine has switched the connection over; the container may be
 * started then without its first output getting lost.
 */
export async function attachContainer(
  engine: Engine,
  id: string,
  options: Call & {
    tty: boolean;
    stdin?: boolean;
    stdout?: boolean;
    stderr?: boolean;
    /** Keys that detach a terminal, as in `ctrl-p,ctrl-q`. */
    detachKeys?: string | undefined;
  },
): Promise<Attached> {
  const { tty, stdin = false, stdout = true, stderr = true, detachKeys, signal } = options;
  const reply = await request(engine, {
    method: "POST",
    path: `/containers/${segment(id)}/attach`,
    query: { stream: true, stdin, stdout, stderr, detachKeys },
    what: `attach to container ${short(id)}`,
    accept: [101],
    hijack: true,
    signal,
  });
  return new Attached(reply, { tty, notes: engine.name === "podman" && stdin && !tty });
}

/** `next-exit` on an exited container never answers; `not-running` on a created one answers at once. */
export type WaitCondition = "not-running" | "next-exit" | "removed";

/** A wait the engine has registered. */
export interface Waiting {
  /** Exit status, and the engine's word on why waiting failed. Never settles while the container runs. */
  result: Promise<{ StatusCode: number; Error?: { Message?: string } | null }>;
  close(): void;
}

/** Waits for a container. Returns when the engine has answered with the header, which is when the wait is registered. */
export async function waitContainer(
  engine: Engine,
  id: string,
  options: Call & { condition: WaitCondition },
): Promise<Waiting> {
  const reply = await request(engine, {
    method: "POST",
    path: `/containers/${segment(id)}/wait`,
    query: { condition: options.condition },
    what: `wait for container ${short(id)}`,
    signal: options.signal,
  });
  const result = reply.json<{ StatusCode: number; Error?: { Message?: string } | null }>();
  // Whoever asks for the result sees its failure; whoever does not is not to die of it.
  result.catch(() => undefined);
  return { result, close: () => reply.close() };
}

/** Sends a signal (`SIGKILL` by default). @throws ConflictError when the container does not run */
export async function killContainer(
  engine: Engine,
  id: string,
  options: Call & { killSignal?: string } = {},
): Promise<void> {
  const { killSignal = "SIGKILL", signal } = options;
  await post(engine, `/containers/${segment(id)}/kill`, {
    query: { signal: killSignal },
    what: `send ${killSignal} to container ${short(id)}`,
    signal,
  });
}

/** Asks a container to end, and kills it after the grace. Harmless when it does not run. */
export async function stopContainer(
  engine: Engine,
  id: string,
  options: Call & { graceSeconds?: number } = {},
): Promise<void> {
  await post(engine, `/containers/${segment(id)}/stop`, {
    query: { t: options.graceSeconds },
    what: `stop container ${short(id)}`,
    accept: [304],
    signal: options.signal,
  });
}

export async function inspectContainer(
  engine: Engine,
  id: string,
  options: Call = {},
): Promise<ContainerDetails> {
  const path = `/containers/${segment(id)}/json`;
  const what = `inspect container ${short(id)}`;
  return await (await request(engine, { method: "GET", path, what, ...options })).json();
}

/**
 * Removes a container with its anonymous volumes. With `force` a running one is killed. One that is gone, or being
 * removed by somebody else, is no error.
 *
 * @returns whether there was one to remove
 */
export async function removeContainer(
  engine: Engine,
  id: string,
  options: Call & { force?: boolean } = {},
): Promise<boolean> {
  const { force = false, signal } = options;
  try {
    const status = await command(engine, {
      method: "DELETE",
      path: `/containers/${segment(id)}`,
      query: { force, v: true },
      what: `remove container ${short(id)}`,
      accept: [404],
      signal,
    });
    return status !== 404;
  } catch (error) {
    // Docker's words for a removal that somebody else began first; 409 has other causes as well.
    if (error instanceof ConflictError && /already in progress/.test(error.engineMessage)) return true;
    throw error;
  }
}

/** Containers, running or not, that carry all of these labels (an empty value matches any). */
export async function listContainers(
  engine: Engine,
  options: Call & { labels?: Record<string, string>; all?: boolean } = {},
): Promise<ContainerSummary[]> {
  const label = Object.entries(options.labels ?? {}).map(([name, value]) =>
    value === "" ? name : `${name}=${value}`
  );
  const reply = await request(engine, {
    method: "GET",
    path: "/containers/json",
    query: { all: options.all ?? true, filters: label.length > 0 ? { label } : undefined },
    what: "list containers",
    signal: options.signal,
  });
  return await reply.json();
}

/** What a container has written so far, and with `follow` what it writes until it ends. */
export async function* containerLogs(
  engine: Engine,
  id: string,
  options: Call & { tty: boolean; follow?: boolean; tail?: number },
): AsyncGenerator<Output> {
  const reply = await request(engine, {
    method: "GET",
    path: `/containers/${segment(id)}/logs`,
    query: { stdout: true, stderr: true, follow: options.follow ?? false, tail: options.tail },
    what: `read the log of container ${short(id)}`,
    signal: options.signal,
  });
  yield* demultiplex(reply.chunks(), { tty: options.tty });
}

/** Tells a container's terminal its size in characters. */
export async function resizeContainer(
  engine: Engine,
  id: string,
  options: Call & { rows: number; columns: number },
): Promise<void> {
  await post(engine, `/containers/${segment(id)}/resize`, {
    query: { h: options.rows, w: options.columns },
    what: `resize the terminal of container ${short(id)}`,
    signal: options.signal,
  });
}

/** An id as people write it: its first 12 characters; names stay whole. */
export function short(id: string): string {
  return /^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id;
}

type Post = Omit<Parameters<typeof command>[1], "method" | "path">;

async function post(engine: Engine, path: string, options: Post): Promise<void> {
  await command(engine, { method: "POST", path, ...options });
}
