/**
 * An engine whose every byte a test decides: it listens on a Unix socket, hands each request to the handler of its
 * route and keeps a list of what it was asked.
 */

import { Buffer } from "node:buffer";
import { join } from "node:path";
import type { UnixEndpoint } from "../../lib/docker/endpoint.ts";
import type { Engine } from "../../lib/docker/system.ts";

/** One request, and the raw connection to answer on. The connection is closed when the handler returns. */
export class FakeCall {
  readonly method: string;
  /** Without the version. */
  readonly path: string;
  /** `1.41`, or empty. */
  readonly version: string;
  readonly query: URLSearchParams;
  readonly headers: ReadonlyMap<string, string>;
  readonly #conn: Deno.Conn;
  #rest: Buffer;

  constructor(conn: Deno.Conn, options: { head: string; rest: Buffer }) {
    const [start = "", ...lines] = options.head.split("\r\n");
    const [method = "", target = ""] = start.split(" ");
    const [path = "", query = ""] = target.split("?");
    const version = /^\/v(\d+\.\d+)(\/.*)$/.exec(path);
    this.method = method;
    this.version = version?.[1] ?? "";
    this.path = version?.[2] ?? path;
    this.query = new URLSearchParams(query);
    this.headers = new Map(
      lines.map((line) => [line.split(":")[0]!.toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    );
    this.#conn = conn;
    this.#rest = options.rest;
  }

  /** Sends bytes as they are, in pieces of `every` bytes with a turn of the event loop between them. */
  async send(data: string | Uint8Array, every = Infinity): Promise<void> {
    const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
    for (let at = 0; at < bytes.length; at += every) {
      const piece = bytes.subarray(at, Math.min(bytes.length, at + every));
      for (let sent = 0; sent < piece.length;) sent += await this.#conn.write(piece.subarray(sent));
      if (every !== Infinity) await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  /** A whole answer with a JSON body. */
  async json(status: number, value: unknown): Promise<void> {
    await this.text(status, JSON.stringify(value), "application/json");
  }

  async text(status: number, text: string, type = "text/plain"): Promise<void> {
    const body = Buffer.from(text);
    await this.send(
      `HTTP/1.1 ${status} X\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    await this.send(body);
  }

  /** What the client sends next, or null at its half-close. */
  async read(): Promise<Buffer | null> {
    if (this.#rest.length > 0) {
      const rest = this.#rest;
      this.#rest = Buffer.alloc(0);
      return rest;
    }
    const into = Buffer.alloc(65536);
    const count = await this.#conn.read(into);
    return count === null ? null : into.subarray(0, count);
  }

  /** The request's body, by its Content-Length or chunks; without either, everything up to the half-close. */
  async body(): Promise<Buffer> {
    const length = this.headers.get("content-length");
    const chunked = this.headers.get("transfer-encoding") === "chunked";
    let all = Buffer.alloc(0);
    const complete = () =>
      length !== undefined
        ? all.length >= Number(length)
        : chunked && all.toString("latin1").endsWith("0\r\n\r\n");
    while (!complete()) {
      const more = await this.read();
      if (more === null) break;
      all = Buffer.concat([all, more]);
    }
    return chunked ? unchunk(all) : all;
  }

  /** Settles when the client has closed the connection. */
  async closed(): Promise<void> {
    try {
      while (await this.read() !== null);
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BadResource)) {
        throw error;
      }
    }
  }
}

export type Handler = (call: FakeCall) => void | Promise<void>;

/** Handlers by `METHOD /path`; `*` stands for one path segment. */
export type Routes = Record<string, Handler>;

export class FakeEngine implements AsyncDisposable {
  readonly endpoint: UnixEndpoint;
  /** `METHOD /path` of every request in order of arrival. */
  readonly asked: string[] = [];
  /** API versions it was asked with, empty for none. */
  readonly versions = new Set<string>();
  readonly #directory: string;
  readonly #listener: Deno.Listener;
  readonly #routes: Routes;
  readonly #open = new Set<Deno.Conn>();
  readonly #tasks: Promise<void>[] = [];
  readonly #failures: unknown[] = [];

  constructor(routes: Routes) {
    this.#routes = routes;
    this.#directory = Deno.makeTempDirSync({ prefix: "cordon-fake-" });
    this.endpoint = { kind: "unix", path: join(this.#directory, "engine.sock"), origin: "test" };
    this.#listener = Deno.listen({ transport: "unix", path: this.endpoint.path });
    this.#tasks.push(this.#accept());
  }

  /** The engine as after negotiation. */
  engine(options: { apiVersion?: string; name?: "docker" | "podman" } = {}): Engine {
    return {
      endpoint: this.endpoint,
      apiVersion: options.apiVersion ?? "1.41",
      name: options.name ?? "docker",
    };
  }

  /** @throws what a handler threw */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of this.#open) conn.close();
    this.#open.clear();
    await Promise.all(this.#tasks);
    Deno.removeSync(this.#directory, { recursive: true });
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  async #accept(): Promise<void> {
    while (true) {
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        throw error;
      }
      this.#open.add(conn);
      this.#tasks.push(this.#serve(conn));
    }
  }

  async #serve(conn: Deno.Conn): Promise<void> {
    try {
      const call = await receive(conn);
      if (!call) return;
      this.asked.push(`${call.method} ${call.path}`);
      this.versions.add(call.version);
      const handler = this.#find(`${call.method} ${call.path}`);
      if (handler) await handler(call);
      else await call.json(501, { message: `the fake engine has no ${call.method} ${call.path}` });
    } catch (error) {
      // Clients hang up, and the end of the test closes what is open: neither is the handler's failure.
      const gone = error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset ||
        error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
      if (!gone) this.#failures.push(error);
    } finally {
      if (this.#open.delete(conn)) conn.close();
    }
  }

  #find(key: string): Handler | undefined {
    for (const [pattern, handler] of Object.entries(this.#routes)) {
      const source = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(
        "[^/]+",
      );
      if (new RegExp(`^${source}$`).test(key)) return handler;
    }
    return undefined;
  }
}

/** A frame of the attach stream: 1 is stdout, 2 stderr, 3 an error of the engine. */
export function frame(stream: number, text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

/** A promise to be settled by hand. */
export const gate = (): PromiseWithResolvers<void> => Promise.withResolvers<void>();

async function receive(conn: Deno.Conn): Promise<FakeCall | undefined> {
  let all = Buffer.alloc(0);
  while (true) {
    const end = all.indexOf("\r\n\r\n");
    if (end >= 0) {
      return new FakeCall(conn, {
        head: all.subarray(0, end).toString("latin1"),
        rest: all.subarray(end + 4),
      });
    }
    const into = Buffer.alloc(65536);
    const count = await conn.read(into);
    if (count === null) return undefined;
    all = Buffer.concat([all, into.subarray(0, count)]);
  }
}

function unchunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0;;) {
    const end = bytes.indexOf("\r\n", at);
    const size = parseInt(bytes.subarray(at, end).toString("latin1"), 16);
    if (!(size > 0)) return Buffer.concat(parts);
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}
