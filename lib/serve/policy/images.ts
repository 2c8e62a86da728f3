/** Which image a request may have: patterns over full names, digests, and names that stand for others. Pure. */
import { parseReference, repositoryOf } from "../../docker/reference.ts";
import { HOST_IMAGE } from "../../dockerargs/host.ts";
import { CordonError, UsageError } from "../../errors.ts";
import type { Policy } from "../config/types.ts";

/** An image a request named, as the engine is asked for it. */
interface Wanted {
  /** `docker.io/library/python`; absent for an id. */
  repository?: string;
  tag?: string;
  /** Digest of a manifest, or the id of an image: `sha256:…`. */
  digest?: string;
}

export interface ImagePattern {
  matches(wanted: Wanted): boolean;
}

const ID = /^(?:sha256:)?([0-9a-f]{64})$/;

/**
 * A pattern of images: `host`; `sha256:…`, an id; `NAME[:TAG][@DIGEST]`, where `*` stands for any characters but a slash
 * and `**` for any at all. Names are completed as docker does (`python` is `docker.io/library/python:latest`); the
 * pattern `**` alone is every image.
 *
 * A name with a digest is whatever the digest says, its tag means nothing to the engine: it takes the same digest, or
 * the pattern of every tag (`python:*`).
 *
 * @throws UsageError for what can match nothing
 */
export function imagePattern(text: string): ImagePattern {
  if (text === HOST_IMAGE) return { matches: () => false };
  if (text === "**") return { matches: () => true };
  const id = ID.exec(text)?.[1];
  if (id !== undefined) {
    return { matches: ({ repository, digest }) => repository === undefined && digest === `sha256:${id}` };
  }
  // A star stands where a name could: with one in its place the rest is a reference like any other.
  const plain = text.replaceAll(/\*+/g, "0");
  if (/\*{3}/.test(text) || /\*$/.test(text.split("@")[1] ?? "")) throw bad(text);
  parseReference(plain);
  const [named = "", digest] = text.split("@");
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  const repository = completed(colon < 0 ? named : named.slice(0, colon));
  const names = glob(repository);
  const tags = glob(tag ?? (digest === undefined ? "latest" : "*"));
  return {
    matches(wanted) {
      if (wanted.repository === undefined || !names.test(wanted.repository)) return false;
      if (wanted.digest !== undefined) {
        return digest === wanted.digest || (digest === undefined && /^\*+$/.test(tag ?? ""));
      }
      return digest === undefined && tags.test(wanted.tag ?? "latest");
    },
  };
}

/** Whether a pattern leaves it to a request which registry an image comes from. */
export function anyRegistry(pattern: string): boolean {
  if (pattern === HOST_IMAGE || ID.test(pattern)) return false;
  const [registry = ""] = completed(pattern).split("/");
  return registry.includes("*");
}

/** The domain and `library/` that docker adds to a short name. */
function completed(name: string): string {
  if (name.startsWith("**")) return name;
  const first = name.slice(0, Math.max(name.indexOf("/"), 0));
  if (/[.:A-Z]/.test(first) || first === "localhost") {
    return name.replace(/^index\.docker\.io\//, "docker.io/");
  }
  return name.includes("/") ? `docker.io/${name}` : `docker.io/library/${name}`;
}

function glob(pattern: string): RegExp {
  const parts = pattern.split(/(\*+)/).map((part) =>
    part === "**" ? ".*" : part === "*" ? "[^/]*" : RegExp.escape(part)
  );
  return new RegExp(`^${parts.join("")}$`, "s");
}

function bad(text: string): UsageError {
  return new UsageError(`Cannot use ${JSON.stringify(text)} as a pattern of images`, {
    why: "Wanted NAME[:TAG][@DIGEST] with * and ** in names and tags",
  });
}

/** `host`, or the image by its full name or id, which cannot be taken for anything else. Undefined: not allowed. */
export function allowedImage(name: string, { images, aliases }: Policy): string | undefined {
  const alias = Object.hasOwn(aliases, name) ? aliases[name] : undefined;
  if (alias === HOST_IMAGE) return HOST_IMAGE;
  if (alias === undefined && name === HOST_IMAGE && images.includes(HOST_IMAGE)) return HOST_IMAGE;
  const full = fullName(alias ?? name);
  if (full === undefined) return undefined;
  if (alias !== undefined) return full.name;
  return images.some((pattern) => imagePattern(pattern).matches(full.wanted)) ? full.name : undefined;
}

/**
 * Docker takes a short name such as `c0ffee` for the id of an image when no image is called so; a name with its
 * registry it never does.
 */
function fullName(text: string): { name: string; wanted: Wanted } | undefined {
  const id = ID.exec(text)?.[1];
  if (id !== undefined) return { name: `sha256:${id}`, wanted: { digest: `sha256:${id}` } };
  try {
    const reference = parseReference(text);
    const { tag, digest } = reference;
    const repository = repositoryOf(reference);
    const name = digest !== undefined ? `${repository}@${digest}` : `${repository}:${tag}`;
    return {
      name,
      wanted: {
        repository,
        ...(tag !== undefined && { tag }),
        ...(digest !== undefined && { digest }),
      },
    };
  } catch (error) {
    if (error instanceof CordonError) return undefined;
    throw error;
  }
}
