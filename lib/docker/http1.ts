/** The part of HTTP/1.1 (RFC 9112) that a client of one request per connection needs. */

import type { Connection } from "./connection.ts";
import { BrokenConnectionError } from "./errors.ts";

const MAX_LINE = 64 * 1024;
const MAX_HEADERS = 256;

export interface Head {
  status: number;
  /** Names in lower case; a repeated header's values joined by ", ". */
  headers: ReadonlyMap<string, string>;
}

/**
 * The request's head as bytes, the empty line included.
 *
 * @throws TypeError for a line break or NUL, by which one header would become two
 */
export function encodeHead(start: string, headers: Iterable<readonly [string, string]>): Uint8Array {
  const lines = [`${start} HTTP/1.1`];
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);
  if (lines.some((line) => /[\r\n\0]/.test(line))) {
    throw new TypeError("Line break or NUL in a request header");
  }
  return new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
}

/**
 * Reads the answer's head, passing over interim answers (1xx other than 101).
 *
 * @returns null when the other side closed without a byte
 */
export async function readHead(connection: Connection): Promise<Head | null> {
  while (true) {
    const line = await connection.readLine(MAX_LINE);
    if (line === null) return null;
    const match = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(line);
    if (!match) {
      throw new BrokenConnectionError("The engine's answer is not HTTP", {
        why: `It begins with ${JSON.stringify(line.slice(0, 60))}`,
      });
    }
    const status = Number(match[1]);
    const headers = await readHeaders(connection);
    if (status >= 200 || status === 101) return { status, headers };
  }
}

async function readHeaders(connection: Connection): Promise<Map<string, string>> {
  const headers = new Map<string, string>();
  for (let count = 0; count <= MAX_HEADERS; count++) {
    const line = await connection.readLine(MAX_LINE);
    if (line === null) throw cut("in its header");
    if (line === "") return headers;
    const colon = line.indexOf(":");
    if (colon < 1) {
      throw new BrokenConnectionError("The engine's answer is not HTTP", {
        why: `Header line ${JSON.stringify(line.slice(0, 60))} has no name`,
      });
    }
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  throw new BrokenConnectionError("The engine's answer is not HTTP", {
    why: `More than ${MAX_HEADERS} headers`,
  });
}

/**
 * The answer's body as it arrives, whatever its framing. After 101, and without a length, it lasts until the other
 * side closes.
 *
 * @throws BrokenConnectionError when a body of known extent ends early
 */
export async function* readBody(
  connection: Connection,
  head: Head,
  method: string,
): AsyncGenerator<Uint8Array> {
  const { status, headers } = head;
  if (method === "HEAD" || status === 204 || status === 304) return;
  if (status !== 101 && /\bchunked$/i.test(headers.get("transfer-encoding") ?? "")) {
    return yield* readChunked(connection);
  }
  const length = status === 101 ? undefined : headers.get("content-length");
  if (length === undefined) {
    for (let bytes = await connection.read(); bytes; bytes = await connection.read()) yield bytes;
    return;
  }
  if (!/^\d{1,15}$/.test(length)) {
    throw new BrokenConnectionError("The engine's answer is not HTTP", {
      why: `Content-Length is "${length}"`,
    });
  }
  yield* readExactly(connection, Number(length));
}

async function* readChunked(connection: Connection): AsyncGenerator<Uint8Array> {
  while (true) {
    const line = await connection.readLine(MAX_LINE);
    if (line === null) throw cut("between two chunks");
    const match = /^([0-9a-f]{1,13})[ \t]*(?:;|$)/i.exec(line);
    if (!match?.[1]) {
      throw new BrokenConnectionError("The engine's answer is not HTTP", {
        why: `Chunk size is ${JSON.stringify(line.slice(0, 60))}`,
      });
    }
    const size = parseInt(match[1], 16);
    if (size === 0) break;
    yield* readExactly(connection, size);
    if (await connection.readLine(2) !== "") throw cut("at the end of a chunk");
  }
  // Trailers carry nothing this client uses, but the stream is complete only after them.
  for (
    let line = await connection.readLine(MAX_LINE);
    line !== "";
    line = await connection.readLine(MAX_LINE)
  ) {
    if (line === null) throw cut("after the last chunk");
  }
}

async function* readExactly(connection: Connection, length: number): AsyncGenerator<Uint8Array> {
  for (let left = length; left > 0;) {
    const bytes = await connection.read(Math.min(left, MAX_LINE));
    if (!bytes) throw cut(`with ${left} of ${length} bytes missing`);
    left -= bytes.length;
    yield bytes;
  }
}

function cut(where: string): BrokenConnectionError {
  return new BrokenConnectionError("The engine's answer broke off", { why: `The connection ended ${where}` });
}
