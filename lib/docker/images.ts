/** Images (Engine API, "Image"). */

import type { Call } from "./containers.ts";
import { encodeAuth, type RegistryAuth } from "./credentials.ts";
import { EngineError } from "./errors.ts";
import { jsonLines } from "./jsonlines.ts";
import { parseReference, repositoryOf } from "./reference.ts";
import { type Body, command, request, segment } from "./request.ts";
import type { Engine } from "./system.ts";

export interface ImageSummary {
  Id: string;
  RepoTags: string[] | null;
  RepoDigests: string[] | null;
  /** Seconds since 1970. */
  Created: number;
  /** Bytes. */
  Size: number;
  Labels: Record<string, string> | null;
}

/** The part of an inspect answer that is used here. */
export interface ImageDetails {
  Id: string;
  RepoTags: string[] | null;
  /** `NAME@sha256:…`; empty for an image that came from no registry. */
  RepoDigests: string[] | null;
  Architecture: string;
  Os: string;
  Size: number;
  Config?: {
    User?: string;
    Env?: string[] | null;
    Cmd?: string[] | null;
    Entrypoint?: string[] | null;
    WorkingDir?: string;
    Labels?: Record<string, string> | null;
    ExposedPorts?: Record<string, unknown> | null;
    Volumes?: Record<string, unknown> | null;
  } | null;
}

/** One line of a pull's progress. */
export interface PullProgress {
  status?: string;
  /** Layer it is about. */
  id?: string;
  progressDetail?: { current?: number; total?: number } | null;
}

export async function listImages(
  engine: Engine,
  options: Call & { labels?: string[]; reference?: string } = {},
): Promise<ImageSummary[]> {
  const filters: Record<string, string[]> = {};
  if (options.labels) filters["label"] = options.labels;
  if (options.reference) filters["reference"] = [options.reference];
  const reply = await request(engine, {
    method: "GET",
    path: "/images/json",
    query: { filters: Object.keys(filters).length > 0 ? filters : undefined },
    what: "list images",
    signal: options.signal,
  });
  return await reply.json();
}

/** @throws NotFoundError when the engine has no such image */
export async function inspectImage(engine: Engine, image: string, options: Call = {}): Promise<ImageDetails> {
  const path = `/images/${imagePath(image)}/json`;
  return await (await request(engine, { method: "GET", path, what: `inspect image ${image}`, ...options }))
    .json();
}

/**
 * Pulls an image; yields progress until it is there. The pull goes only as fast as the progress is read.
 *
 * @throws EngineError for a refusal before the stream and for one inside it, which arrives under status 200
 */
export async function* pullImage(
  engine: Engine,
  image: string,
  options: Call & { auth?: RegistryAuth | undefined; platform?: string | undefined } = {},
): AsyncGenerator<PullProgress> {
  const reference = parseReference(image);
  const what = `pull image ${image}`;
  const reply = await request(engine, {
    method: "POST",
    path: "/images/create",
    query: {
      fromImage: repositoryOf(reference),
      tag: reference.digest ?? reference.tag,
      platform: options.platform,
    },
    headers: options.auth ? { "X-Registry-Auth": encodeAuth(options.auth) } : {},
    what,
    signal: options.signal,
  });
  yield* progress(reply.chunks(), what);
}

/** Makes an image of one layer from a tar archive of a root file system; returns the image's id. */
export async function importImage(
  engine: Engine,
  name: string,
  options: Call & { tar: Body; changes?: string[] },
): Promise<string> {
  const { tag = "latest" } = parseReference(name);
  const repo = name.replace(/:[^:/]*$/, "");
  const what = `import image ${name}`;
  // Podman 4.3 takes no notice of `tag` here, and Docker refuses a tag in `repo`.
  const podman = engine.name === "podman";
  const reply = await request(engine, {
    method: "POST",
    path: "/images/create",
    query: { fromSrc: "-", repo: podman ? `${repo}:${tag}` : repo, tag, changes: options.changes },
    body: options.tar,
    contentType: "application/x-tar",
    what,
    signal: options.signal,
  });
  let id = "";
  for await (const line of progress(reply.chunks(), what)) id = line.status ?? id;
  return id;
}

/** Pushes an image to the registry in its name; yields progress. */
export async function* pushImage(
  engine: Engine,
  image: string,
  options: Call & { auth?: RegistryAuth | undefined } = {},
): AsyncGenerator<PullProgress> {
  const { tag } = parseReference(image);
  const what = `push image ${image}`;
  const reply = await request(engine, {
    method: "POST",
    path: `/images/${imagePath(image.replace(/:[^:/]*$/, ""))}/push`,
    query: { tag },
    // The engine insists on the header; an empty object means nobody.
    headers: { "X-Registry-Auth": options.auth ? encodeAuth(options.auth) : "e30=" },
    what,
    signal: options.signal,
  });
  yield* progress(reply.chunks(), what);
}

/** Gives an image another name. */
export async function tagImage(
  engine: Engine,
  image: string,
  options: Call & { name: string },
): Promise<void> {
  const { tag } = parseReference(options.name);
  await command(engine, {
    method: "POST",
    path: `/images/${imagePath(image)}/tag`,
    query: { repo: options.name.replace(/:[^:/]*$/, ""), tag },
    what: `tag image ${image} as ${options.name}`,
    signal: options.signal,
  });
}

/** Removes an image by name or id. @throws ConflictError while a container uses it */
export async function removeImage(
  engine: Engine,
  image: string,
  options: Call & { force?: boolean } = {},
): Promise<void> {
  await command(engine, {
    method: "DELETE",
    path: `/images/${imagePath(image)}`,
    query: { force: options.force ?? false },
    what: `remove image ${image}`,
    signal: options.signal,
  });
}

interface ErrorLine {
  error?: string;
  errorDetail?: { message?: string; code?: number };
}

async function* progress(chunks: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<PullProgress> {
  for await (const line of jsonLines<PullProgress & ErrorLine>(chunks)) {
    const engineMessage = line.errorDetail?.message ?? line.error;
    if (engineMessage !== undefined) {
      throw new EngineError(`Cannot ${what}`, { why: engineMessage, engineMessage });
    }
    yield line;
  }
}

function imagePath(image: string): string {
  return image.split("/").map(segment).join("/");
}
