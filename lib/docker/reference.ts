/** Names of images as people write them (distribution/reference, "normalized named"). No I/O. */

import { UsageError } from "../errors.ts";

export interface ImageReference {
  /** Registry: `docker.io`, `localhost:5000`. */
  domain: string;
  /** Repository in it; official images of Docker Hub below `library/`. */
  path: string;
  tag?: string;
  /** `sha256:…` */
  digest?: string;
}

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}$/;
const DOMAIN = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::\d+)?$/;

const LONGEST_PATH = 255;

/**
 * Parses `[DOMAIN/]PATH[:TAG][@DIGEST]`. The first component is a registry when it has a dot or a colon, is
 * `localhost` or holds a capital; a reference with neither tag nor digest means the tag `latest`.
 *
 * @throws UsageError naming the part that is not allowed
 */
export function parseReference(text: string): ImageReference {
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  const name = colon < 0 ? named : named.slice(0, colon);
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const hasDomain = slash > 0 && (/[.:A-Z]/.test(first) || first === "localhost");
  let domain = hasDomain ? first : "docker.io";
  let path = hasDomain ? name.slice(slash + 1) : name;
  if (domain === "index.docker.io") domain = "docker.io";
  if (domain === "docker.io" && !path.includes("/")) path = `library/${path}`;

  if (!DOMAIN.test(domain)) throw invalid(text, `${JSON.stringify(domain)} is no registry`);
  if (!path.split("/").every((part) => COMPONENT.test(part))) {
    throw invalid(
      text,
      /[A-Z]/.test(path) ? "Repository names are in lower case" : "That is no repository name",
    );
  }
  if (path.length > LONGEST_PATH) {
    throw invalid(`${text.slice(0, 60)}…`, `A repository name has at most ${LONGEST_PATH} characters`);
  }
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, `${JSON.stringify(tag)} is no tag`);
  if (digest !== undefined && !DIGEST.test(digest)) {
    throw invalid(text, `${JSON.stringify(digest)} is no digest`);
  }
  return {
    domain,
    path,
    ...(tag !== undefined ? { tag } : digest === undefined ? { tag: "latest" } : {}),
    ...(digest !== undefined ? { digest } : {}),
  };
}

/** Registry and repository as the engine's `fromImage` wants them. */
export function repositoryOf(reference: ImageReference): string {
  return `${reference.domain}/${reference.path}`;
}

function invalid(text: string, why: string): UsageError {
  return new UsageError(`Invalid image reference ${JSON.stringify(text)}`, { why });
}
