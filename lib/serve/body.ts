/** The body of a request: bounded, JSON in UTF-8, and what a schema says. */
import type { z } from "zod";
import { Problem } from "./problem.ts";
import { concat } from "../host/pieces.ts";

/** JSON.parse takes any depth; nothing that is asked for here is deeper than this. */
const DEEPEST = 16;
const MOST_ERRORS = 20;
/** Bytes of bodies that are read and not whole yet: of one tenant, of all together. */
const MOST_COMING = { tenant: 32 * 2 ** 20, all: 128 * 2 ** 20 };
const RETRY = { "retry-after": "5" };

const comingOf = new Map<string, number>();
let coming = 0;

export interface BodyOptions {
  tenant: string;
  /** Bytes of a body. */
  most: number;
}

/** @throws Problem */
export async function readJson<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
  { tenant, most }: BodyOptions,
): Promise<z.output<Schema>> {
  const type = (request.headers.get("content-type") ?? "").split(";")[0]!;
  if (type.trim().toLowerCase() !== "application/json") {
    throw new Problem("unsupported-media-type", { detail: "Wanted application/json" });
  }
  const bytes = await readAtMost(request, { tenant, most });
  return check(schema, parse(bytes));
}

/** @param what it is as a whole. @throws Problem */
export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  what = "the body",
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.slice(0, MOST_ERRORS).map((issue) => ({
    pointer: issue.path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join(
      "",
    ),
    detail: issue.message,
  }));
  const [first] = errors;
  throw new Problem("invalid", { detail: `${first?.pointer || what}: ${first?.detail}`, errors });
}

function parse(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Problem("bad-request", { detail: "The body is not UTF-8" });
  }
  if (depth(text) > DEEPEST) {
    throw new Problem("bad-request", { detail: `The body is nested deeper than ${DEEPEST}` });
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem("bad-request", { detail: "The body is not JSON" });
  }
}

/** How deep arrays and objects are nested; right for what is JSON, anything for what is not. */
function depth(text: string): number {
  let now = 0, deepest = 0, inString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (inString) {
      if (character === "\\") at++;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === "[" || character === "{") deepest = Math.max(deepest, ++now);
    else if (character === "]" || character === "}") now--;
  }
  return deepest;
}

/** The body, unless it is longer: then the rest is not read. */
async function readAtMost(request: Request, { tenant, most }: BodyOptions): Promise<Uint8Array> {
  const tooLarge = () => new Problem("too-large", { detail: `The body is longer than ${most} bytes` });
  if (Number(request.headers.get("content-length") ?? 0) > most) throw tooLarge();
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const part of request.body ?? []) {
      size += part.length;
      const own = count(tenant, part.length);
      if (size > most) throw tooLarge();
      // Thousands of connections could each have most of a body, and one tenant all of what there is for all.
      if (own > MOST_COMING.tenant) {
        throw new Problem("tenant-busy", {
          detail: "There are too many bodies of this tenant on their way",
          headers: RETRY,
        });
      }
      if (coming > MOST_COMING.all) throw new Problem("capacity", { headers: RETRY });
      parts.push(part);
    }
  } finally {
    count(tenant, -size);
  }
  return concat(parts);
}

/** How much there is of the tenant's now. */
function count(tenant: string, bytes: number): number {
  coming += bytes;
  const own = (comingOf.get(tenant) ?? 0) + bytes;
  if (own > 0) comingOf.set(tenant, own);
  else comingOf.delete(tenant);
  return own;
}
