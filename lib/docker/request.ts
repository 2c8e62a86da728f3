/** One request to the engine. Every endpoint goes through {@link request}, and every error status through it too. */

import { CordonError } from "../errors.ts";
import { connect, type Connection } from "./connection.ts";
import { type Endpoint, formatEndpoint } from "./endpoint.ts";
import { BrokenConnectionError, type EngineError, messageOf, statusError } from "./errors.ts";
import { encodeHead, type Head, readBody, readHead } from "./http1.ts";

/** Error bodies are read no further than this. */
const MAX_ERROR_BYTES = 64 * 1024;
/** Whole JSON answers are no longer than this; a list of 10,000 containers has some 20 MB. */
const MAX_JSON_BYTES = 256 * 1024 * 1024;

/** Where requests go: an endpoint and, once negotiated, the API version of every path. */
export interface Target {
  readonly endpoint: Endpoint;
  /** `1.41`; absent only while negotiating. */
  readonly apiVersion?: string | undefined;
}

export type Body = Uint8Array | AsyncIterable<Uint8Array>;

export interface RequestOptions {
  method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  /** Path below the version, beginning with a slash; variable parts already encoded. */
  path: string;
  /** The action with its value for messages, as an infinitive: `start container ab12`. */
  what: string;
  /** Undefined values are left out, booleans become 1 and 0, arrays repeat the name, objects become JSON. */
  query?: Record<string, string | number | boolean | object | undefined>;
  headers?: Record<string, string>;
  /** Body as JSON. */
  json?: unknown;
  /** Body as bytes; an iterable is sent chunked. */
  body?: Body;
  contentType?: string;
  /** Ask for the raw connection (attach, exec start). */
  hijack?: boolean;
  /** Statuses below 400 are successes; these are as well. */
  accept?: readonly number[];
  /** Cancels the request and, until it was read to its end, the answer. */
  signal?: AbortSignal | undefined;
}

/** An answer whose body has not been read. It holds a connection until the body ends or {@link close} is called. */
export class Reply {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** The connection, to write to after a hijack. */
  readonly connection: Connection;
  readonly #head: Head;
  readonly #method: string;

  constructor(connection: Connection, options: { head: Head; method: string }) {
    this.connection = connection;
    this.status = options.head.status;
    this.headers = options.head.headers;
    this.#head = options.head;
    this.#method = options.method;
  }

  /** The body as it arrives. Leaving the loop closes the connection. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    try {
      yield* readBody(this.connection, this.#head, this.#method);
    } finally {
      this.connection.close();
    }
  }

  /** The body as it arrives; after 101 a piece is good until the next one is asked for, which saves a copy of it. */
  async *views(): AsyncGenerator<Uint8Array> {
    if (this.status !== 101) return yield* this.chunks();
    try {
      for (let bytes = await this.connection.readView(); bytes; bytes = await this.connection.readView()) {
        yield bytes;
      }
    } finally {
      this.connection.close();
    }
  }

  /** The body as text, no more than `limit` bytes of it. */
  async text(limit = MAX_JSON_BYTES): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    let left = limit;
    for await (const chunk of this.chunks()) {
      text += decoder.decode(chunk.subarray(0, left), { stream: true });
      left -= chunk.length;
      if (left <= 0) break;
    }
    return text + decoder.decode();
  }

  /** The body as JSON. The caller states the shape, which the Engine API documents. */
  async json<T>(): Promise<T> {
    const text = await this.text();
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw new BrokenConnectionError("The engine's answer is not JSON", {
        why: JSON.stringify(text.slice(0, 80)),
        cause: error,
      });
    }
  }

  /** Gives the rest of the body up. */
  close(): void {
    this.connection.close();
  }
}

/**
 * Sends one request over a connection of its own and reads the head of the answer.
 *
 * @throws UnreachableError, BrokenConnectionError, or what {@link statusError} makes of the status; the signal's
 * reason when cancelled
 */
export async function request(target: Target, options: RequestOptions): Promise<Reply> {
  const { method, what } = options;
  const payload = encodeBody(options);
  const head = encodeHead(`${method} ${pathOf(target, options)}`, headersOf(target, options, payload));
  const connection = await connect(target.endpoint, options.signal);
  let failed = true;
  try {
    const sending = send(connection, head, payload);
    const answer = await readHead(connection);
    if (!answer) {
      await sending;
      throw new BrokenConnectionError(`Cannot ${what}`, {
        why: "The engine closed the connection without an answer",
        cause: connection.writeFailure,
      });
    }
    const reply = new Reply(connection, { head: answer, method });
    const success = answer.status < 300 || options.accept?.includes(answer.status);
    if (!success) throw await errorOf(target, reply, what);
    failed = false;
    return reply;
  } catch (error) {
    throw nameAction(error, what);
  } finally {
    if (failed) connection.close();
  }
}

/** Sends a request whose answer matters only by its status; returns that. */
export async function command(target: Target, options: RequestOptions): Promise<number> {
  const reply = await request(target, options);
  // Read to the end, so that the engine is known to have finished with it.
  await reply.text(MAX_ERROR_BYTES);
  return reply.status;
}

/** A path segment from an id or name. An empty one, `.` or `..` would address something else. */
export function segment(value: string): string {
  if (value === "" || value === "." || value === "..") {
    throw new CordonError(`Invalid container or image name ${JSON.stringify(value)}`);
  }
  return encodeURIComponent(value);
}

function pathOf(target: Target, options: RequestOptions): string {
  const base = target.endpoint.kind === "tcp" ? target.endpoint.basePath : "";
  const version = target.apiVersion === undefined ? "" : `/v${target.apiVersion}`;
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, queryText(one));
  }
  return `${base}${version}${options.path}${query.size > 0 ? `?${query}` : ""}`;
}

function queryText(value: string | number | boolean | object): string {
  if (typeof value === "boolean") return value ? "1" : "0";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function encodeBody(options: RequestOptions): Body | undefined {
  if (options.json === undefined) return options.body;
  const text = JSON.stringify(options.json, (key, value) => {
    if (typeof value === "string" && !value.isWellFormed()) {
      throw new CordonError(`Cannot ${options.what}`, {
        why: `${key || "A value"} holds bytes that are not UTF-8, which the Engine API cannot carry`,
      });
    }
    return value;
  });
  return new TextEncoder().encode(text);
}

function headersOf(target: Target, options: RequestOptions, payload: Body | undefined): [string, string][] {
  const { endpoint } = target;
  const host = endpoint.kind === "tcp"
    ? formatEndpoint({ ...endpoint, basePath: "" }).slice("tcp://".length)
    : "engine";
  const headers: [string, string][] = [["Host", host], ["User-Agent", "cordon"]];
  if (options.hijack) headers.push(["Connection", "Upgrade"], ["Upgrade", "tcp"]);
  else headers.push(["Connection", "close"]);
  if (payload !== undefined) {
    const fallback = options.json !== undefined ? "application/json" : "application/octet-stream";
    headers.push(["Content-Type", options.contentType ?? fallback]);
  }
  if (payload instanceof Uint8Array) headers.push(["Content-Length", String(payload.length)]);
  else if (payload !== undefined) headers.push(["Transfer-Encoding", "chunked"]);
  else if (options.method !== "GET" && options.method !== "HEAD") headers.push(["Content-Length", "0"]);
  headers.push(...Object.entries(options.headers ?? {}));
  return headers;
}

/** Sends without ever throwing: a source that fails fails the connection, a peer that hangs up has its say in its answer. */
async function send(connection: Connection, head: Uint8Array, payload: Body | undefined): Promise<void> {
  try {
    if (payload === undefined || payload instanceof Uint8Array) {
      const whole = new Uint8Array(head.length + (payload?.length ?? 0));
      whole.set(head);
      if (payload) whole.set(payload, head.length);
      await connection.tryWrite(whole);
      return;
    }
    if (!await connection.tryWrite(head)) return;
    const encoder = new TextEncoder();
    for await (const chunk of payload) {
      if (chunk.length === 0) continue;
      if (!await connection.tryWrite(encoder.encode(`${chunk.length.toString(16)}\r\n`))) return;
      if (!await connection.tryWrite(chunk)) return;
      if (!await connection.tryWrite(encoder.encode("\r\n"))) return;
    }
    await connection.tryWrite(encoder.encode("0\r\n\r\n"));
  } catch (error) {
    connection.fail(error);
  }
}

async function errorOf(target: Target, reply: Reply, what: string): Promise<EngineError> {
  const { status } = reply;
  const engineMessage = status < 400
    ? `unexpected status, Location ${reply.headers.get("location") ?? "absent"}`
    : messageOf(await reply.text(MAX_ERROR_BYTES));
  return statusError(what, { status, engineMessage, ...await explain(target, status, engineMessage) });
}

/** More about an error whose cause can be looked at. */
async function explain(
  target: Target,
  status: number,
  message: string,
): Promise<{ why?: string; hint?: string }> {
  const { endpoint, apiVersion } = target;
  if (status !== 400) return {};
  // Go's own sentence, sent by a TLS port that was spoken to in the clear.
  if (endpoint.kind === "tcp" && /HTTP request to an HTTPS server/.test(message)) {
    return {
      why: `The engine answered 400: ${message}`,
      hint: `export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=DIRECTORY    # with ca.pem, cert.pem and key.pem`,
    };
  }
  // "client version 1.52 is too new" as JSON, "… is too old" as plain text: only a reason to ask.
  if (apiVersion === undefined || !/\bversion\b/.test(message)) return {};
  const range = await versionRange({ endpoint });
  if (!range || !outside(apiVersion, range)) return {};
  return { why: `The engine speaks API ${range.oldest} to ${range.newest}; it was asked with ${apiVersion}` };
}

/** The versions an engine says it speaks; undefined when it does not say. */
async function versionRange(target: Target): Promise<{ oldest: string; newest: string } | undefined> {
  const reply = await request(target, {
    method: "GET",
    path: "/version",
    what: "ask the engine for its version",
    signal: AbortSignal.timeout(5000),
  });
  const { ApiVersion, MinAPIVersion } = await reply.json<{ ApiVersion?: string; MinAPIVersion?: string }>();
  if (!ApiVersion) return undefined;
  return { newest: ApiVersion, oldest: MinAPIVersion || ApiVersion };
}

function outside(version: string, range: { oldest: string; newest: string }): boolean {
  return compareVersions(version, range.oldest) < 0 || compareVersions(version, range.newest) > 0;
}

/** Orders API versions: negative when `a` is older than `b` (1.9 < 1.10). */
export function compareVersions(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split(".").map(Number);
  const [majorB = 0, minorB = 0] = b.split(".").map(Number);
  return majorA - majorB || minorA - minorB;
}

/** Says what was being done in an error that arose below, where that is not known. */
function nameAction(error: unknown, what: string): unknown {
  if (!(error instanceof BrokenConnectionError) || error.message.startsWith("Cannot ")) return error;
  const why = error.why === undefined ? error.message : `${error.message}: ${error.why}`;
  return new BrokenConnectionError(`Cannot ${what}`, { why, cause: error });
}
