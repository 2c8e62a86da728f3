/** Files into and out of containers as tar streams (Engine API, "archive"). Works on a created, stopped or running one. */

import { type Call, short } from "./containers.ts";
import { type Body, command, request, segment } from "./request.ts";
import type { Engine } from "./system.ts";

export interface ArchiveOptions extends Call {
  /** Path inside the container. */
  path: string;
}

/** Unpacks a tar archive into an existing directory of the container. Owners are taken from the archive. */
export async function putArchive(
  engine: Engine,
  container: string,
  options: ArchiveOptions & { tar: Body },
): Promise<void> {
  await command(engine, {
    method: "PUT",
    path: `/containers/${segment(container)}/archive`,
    query: { path: options.path, noOverwriteDirNonDir: true },
    what: `copy files to ${options.path} in container ${short(container)}`,
    body: options.tar,
    contentType: "application/x-tar",
    signal: options.signal,
  });
}

/** A file or directory of the container as a tar archive, with its base name as the top entry. */
export async function getArchive(
  engine: Engine,
  container: string,
  options: ArchiveOptions,
): Promise<AsyncGenerator<Uint8Array>> {
  const reply = await request(engine, {
    method: "GET",
    path: `/containers/${segment(container)}/archive`,
    query: { path: options.path },
    what: `copy ${options.path} from container ${short(container)}`,
    signal: options.signal,
  });
  return reply.chunks();
}

/** What is known of a path in a container. `mode` is Go's `fs.FileMode`, whose low nine bits are the permissions. */
export interface PathStat {
  name: string;
  size: number;
  mode: number;
  mtime: string;
  linkTarget: string;
}

/** @throws NotFoundError when the container or the path does not exist */
export async function statArchive(
  engine: Engine,
  container: string,
  options: ArchiveOptions,
): Promise<PathStat> {
  const reply = await request(engine, {
    method: "HEAD",
    path: `/containers/${segment(container)}/archive`,
    query: { path: options.path },
    what: `look at ${options.path} in container ${short(container)}`,
    signal: options.signal,
  });
  reply.close();
  const encoded = reply.headers.get("x-docker-container-path-stat") ?? "";
  const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}
