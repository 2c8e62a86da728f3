/**
 * WebSockets: the runtime's own server speaks their protocol (`Deno.upgradeWebSocket` takes none but its requests), on
 * a Unix socket that only this process can reach. A front has checked the request and carries the bytes.
 */
import { privateName, privateParents, removeTree } from "../../jupyter/leftovers.ts";
import type { Handler, Log, RequestInfo } from "./handler.ts";
import type { Head } from "./head.ts";
import type { Connection } from "./connection.ts";
import type { Input } from "./input.ts";
import { failure, latin1 } from "./reply.ts";

/** Which of the requests under way it is; a client's line of that name is dropped. */
const ID = "x-cordon-tunnel";
const DROPPED = new Set([ID, "connection", "upgrade", "content-length", "transfer-encoding", "expect"]);
const PIECE = 16 * 1024;

export interface Tunnels {
  /** Carries this WebSocket until one side ends it. */
  open(head: Head, ends: { client: Connection; input: Input }): Promise<void>;
  close(): Promise<void>;
}

interface Runtime {
  path: string;
  directory: string;
  server: Deno.HttpServer;
}

export function openTunnels(handler: Handler, { log }: { log: Log }): Tunnels {
  const under = new Map<string, RequestInfo>();
  let runtime: Runtime | undefined;

  /** @throws when no directory takes the socket */
  function start(): Runtime {
    const parents = privateParents({
      XDG_RUNTIME_DIR: Deno.env.get("XDG_RUNTIME_DIR"),
      TMPDIR: Deno.env.get("TMPDIR"),
    });
    let failed: unknown;
    for (const parent of parents) {
      // A name that nobody can foresee, and from which a later start knows that its maker is dead.
      const directory = `${parent}/${privateName()}`;
      try {
        Deno.mkdirSync(directory, { mode: 0o700 });
        const path = `${directory}/ws`;
        return { path, directory, server: Deno.serve({ path, onListen() {} }, answer) };
      } catch (error) {
        failed = error;
        removeTree(directory);
      }
    }
    throw failed;
  }

  async function answer(request: Request): Promise<Response> {
    const info = under.get(request.headers.get(ID) ?? "");
    if (!info) return new Response(null, { status: 403, headers: { connection: "close" } });
    let response: Response;
    try {
      response = await handler(request, info);
    } catch (error) {
      if (!info.signal.aborted) log({ event: "failed", error: String(error) });
      response = failure();
    }
    if (response.status === 101) return response;
    // One request, one answer: nothing that the client sends may be read as a second request.
    const headers = new Headers(response.headers);
    headers.set("connection", "close");
    return new Response(response.body, { status: response.status, headers });
  }

  return {
    async open(head, { client, input }) {
      runtime ??= start();
      const upstream = await Deno.connect({ transport: "unix", path: runtime.path });
      const id = crypto.randomUUID();
      const gone = new AbortController();
      under.set(id, { peer: client.peer, signal: gone.signal });
      try {
        await carry(requestOf(head, id), { client, input, upstream });
      } finally {
        under.delete(id);
        gone.abort(new DOMException("the client is gone", "AbortError"));
        client.close();
        close(upstream);
      }
    },
    async close() {
      if (!runtime) return;
      const { server, directory } = runtime;
      runtime = undefined;
      await server.shutdown();
      Deno.removeSync(directory, { recursive: true });
    },
  };
}

function requestOf({ target, headers }: Head, id: string): Uint8Array {
  const kept = headers.filter(([name]) => !DROPPED.has(name)).map(([name, value]) => `${name}: ${value}\r\n`);
  return latin1(
    `GET ${target} HTTP/1.1\r\n${
      kept.join("")
    }connection: upgrade\r\nupgrade: websocket\r\n${ID}: ${id}\r\n\r\n`,
  );
}

async function carry(
  request: Uint8Array,
  { client, input, upstream }: { client: Connection; input: Input; upstream: Deno.Conn },
): Promise<void> {
  await writeAll(upstream, request);
  const upgraded = Promise.withResolvers<boolean>();
  const up = async () => {
    // Notices a client that goes away before it is answered.
    input.more().then((alive) => alive || close(upstream));
    if (!await upgraded.promise) return;
    do {
      while (input.length > 0) await writeAll(upstream, input.take(PIECE));
    } while (await input.more());
  };
  const upwards = up().catch(() => {}).finally(() => upgraded.promise.then((yes) => yes && close(upstream)));
  try {
    const piece = new Uint8Array(PIECE);
    let first = true;
    for (let count = await upstream.read(piece); count !== null; count = await upstream.read(piece)) {
      // A Unix socket delivers the status line whole: it was written at once.
      if (first) upgraded.resolve(/^HTTP\/1\.1 101 /.test(String.fromCharCode(...piece.subarray(0, 13))));
      first = false;
      await client.write(piece.subarray(0, count));
    }
  } catch {
    // One of the two is gone: so is the other when this returns.
  } finally {
    upgraded.resolve(false);
    client.close();
    close(upstream);
    await upwards;
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
