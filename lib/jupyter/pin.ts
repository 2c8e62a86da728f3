/** The name under which an image stays the same image. Pure. */
import { parseReference } from "../docker/reference.ts";

/**
 * The image's name with its digest, when a registry gave it one under this name; else as typed. A name of the local
 * engine alone (`localhost/…`) is meant to follow the next build.
 */
export function pinnedName(typed: string, repoDigests: readonly string[]): string {
  const wanted = parseReference(typed);
  if (wanted.digest !== undefined || wanted.domain === "localhost") return typed;
  return repoDigests.find((name) => {
    const { domain, path, digest } = parseReference(name);
    return digest !== undefined && domain === wanted.domain && path === wanted.path;
  }) ?? typed;
}
