/** What a request says: its token and the body of `POST /execute`. Pure but for the hash. */
import { createHash, timingSafeEqual } from "node:crypto";

/** One argument to exec(2) holds 128 KiB; the command travels as one. */
export const MOST_COMMAND_BYTES = 120_000;
/** Room for a command in which every byte is escaped. */
export const MOST_BODY_BYTES = 6 * MOST_COMMAND_BYTES + 10_000;

export interface ExecuteRequest {
  cmd: string;
  args: string;
}

/** A body that is refused, with the status and what to say. */
export interface Refused {
  status: 400 | 413 | 422;
  detail: string;
}

/** The body of `POST /execute`, or why it is none. */
export function readBody(bytes: Uint8Array): ExecuteRequest | Refused {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return { status: 400, detail: "the body is not JSON in UTF-8" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { status: 422, detail: "the body is not a JSON object" };
  }
  const { cmd, args, ...others } = value as Record<string, unknown>;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) return { status: 422, detail: `unknown field ${JSON.stringify(unknown)}` };
  for (const [name, field] of [["cmd", cmd], ["args", args]] as const) {
    if (typeof field !== "string") return { status: 422, detail: `"${name}" must be a string` };
    if (field.includes("\0")) return { status: 422, detail: `"${name}" holds a NUL byte` };
    if (!field.isWellFormed()) return { status: 422, detail: `"${name}" holds a lone surrogate` };
    if (new TextEncoder().encode(field).length > MOST_COMMAND_BYTES) {
      return { status: 413, detail: `"${name}" is longer than ${MOST_COMMAND_BYTES} bytes` };
    }
  }
  return { cmd: cmd as string, args: args as string };
}

export interface Presented {
  /** What follows the token in the path, or the whole path. */
  path: string;
  /** Tokens that were presented; any that fits will do. */
  tokens: string[];
}

/** `Authorization: Basic` (the password), `Bearer`, or `/TOKEN/execute`. */
export function presented(path: string, authorization: string | null): Presented {
  const tokens: string[] = [];
  const inPath = /^\/([^/]+)(\/(?:health|execute))$/.exec(path);
  if (inPath) tokens.push(inPath[1]!);
  const [scheme = "", credentials = ""] = (authorization ?? "").split(/ +/, 2);
  if (scheme.toLowerCase() === "bearer") tokens.push(credentials);
  if (scheme.toLowerCase() === "basic") {
    const password = /^[^:]*:([^]*)$/.exec(decodeBase64(credentials))?.[1];
    if (password !== undefined) tokens.push(password);
  }
  return { path: inPath ? inPath[2]! : path, tokens };
}

function decodeBase64(text: string): string {
  try {
    return atob(text);
  } catch {
    return "";
  }
}

export function hashToken(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}

/** In a time that does not tell how much of it is right. */
export function fits(tokens: readonly string[], hash: Uint8Array): boolean {
  return tokens.reduce((found, token) => timingSafeEqual(hashToken(token), hash) || found, false);
}
