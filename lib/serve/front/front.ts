/**
 * The front of the daemon: it accepts connections, bounds them in number and time, and lets through only requests that
 * can be read in one way. The runtime's own server has no deadline for a request's head and holds twice the memory for
 * an idle stream, and its WebSockets any amount.
 */
import type { Connections, ListenAddress } from "../config/types.ts";
import { networkOf, unmapped } from "./addresses.ts";
import { Connection } from "./connection.ts";
import type { Deadlines, Shared } from "./exchange.ts";
import type { Handler, Log, Peer } from "./handler.ts";
import type { Names } from "./hosts.ts";
import { type Listening, openListener, type SocketOptions } from "./listeners.ts";
import { refusalReply } from "./reply.ts";
import { watchOrphans } from "./orphans.ts";

export interface FrontOptions extends Names, SocketOptions {
  listen: readonly ListenAddress[];
  connections?: Partial<Connections> | undefined;
  log: Log;
}

/** When nothing else is said. */
export const CONNECTIONS: Connections = {
  most: 4096,
  mostPerAddress: 1024,
  headerSeconds: 10,
  bodySeconds: 60,
  idleSeconds: 60,
  stallSeconds: 30,
};

export interface Front {
  /** Where it listens, in the order asked for: `http://127.0.0.1:8377`, `https://…`, `unix:/path`. */
  readonly addresses: string[];
  /** Connections that are open. */
  readonly connections: number;
  /** Connections turned away since the start because there were too many. */
  readonly refused: number;
  /** Takes certificate and key anew. Rejects with a CordonError when they cannot be used; then the old ones stay. */
  reload(): Promise<void>;
  /** Names and pages it answers to from now on. */
  rename(names: Names): void;
  /** Accepts nothing more; resolves when every request in work is answered. Event streams must be ended by the handler. */
  drain(): Promise<void>;
  /** Ends everything at once. */
  close(): Promise<void>;
}

/** Turned away with an answer at the same time; beyond that, without. */
const MOST_TURNED_AWAY = 64;
const TURNED_AWAY_MS = 1000;
/** Of descriptors, for everything that is no connection. */
const OTHER_FILES = 256;

/**
 * Listens, and answers with `handler`.
 *
 * @throws {CordonError} when one of the addresses cannot be had; then none is listened on
 */
export async function openFront(options: FrontOptions, handler: Handler): Promise<Front> {
  const { log } = options;
  const bounds = { ...CONNECTIONS, ...options.connections };
  const deadlines = deadlinesOf(bounds);
  const listening = await openAll(options);
  const names = { hosts: options.hosts, origins: options.origins };
  const shared: Shared = { handler, names, deadlines, log, draining: false };
  const most = Math.max(1, Math.min(bounds.most, openFiles() - OTHER_FILES));
  const open = new Set<Connection>();
  /** Those, and closed ones that still hold a descriptor. */
  const held = new Set<Connection>();
  const perAddress = counter(bounds.mostPerAddress);
  const orphans = watchOrphans();
  let refused = 0;
  let turnedAway = 0;
  let idle: (() => void) | undefined;

  const sweep = setInterval(() => {
    const now = performance.now();
    for (const connection of open) connection.tick(now);
    orphans.sweep(now);
  }, Math.min(1000, Math.max(50, Math.min(deadlines.header, deadlines.stall, deadlines.idle) / 4)));
  Deno.unrefTimer(sweep);

  function take(conn: Deno.Conn, transport: Peer["transport"]): void {
    const peer = peerOf(conn, transport);
    const key = peer.address === "" ? undefined : networkOf(peer.address);
    if (transport === "tls") orphans.forget(conn);
    if (held.size >= most || !perAddress.take(key)) {
      refused++;
      if (turnedAway < MOST_TURNED_AWAY && transport !== "tls") {
        turnedAway++;
        turnAway(conn).finally(() => turnedAway--);
      } else {
        if (transport === "tls") orphans.add(conn);
        conn.close();
      }
      return;
    }
    if (transport === "tcp") (conn as Deno.TcpConn).setNoDelay();
    const connection = new Connection(conn, peer, {
      shared,
      life: {
        closed({ stuck }) {
          if (transport === "tls" || transport === "tcp" && stuck) orphans.add(conn);
          open.delete(connection);
          if (open.size === 0) idle?.();
        },
        released() {
          if (!held.delete(connection)) return;
          perAddress.free(key);
        },
      },
    });
    held.add(connection);
    open.add(connection);
    connection.serve();
  }

  async function acceptAll(one: Listening): Promise<void> {
    while (!shared.draining) {
      try {
        take(await one.accept(), one.transport);
      } catch (error) {
        if (shared.draining) return;
        // Out of descriptors, or a client that was gone at once: do not spin.
        log({ event: "accept failed", address: one.address, error: String(error) });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  function stop(): void {
    if (shared.draining) return;
    shared.draining = true;
    for (const one of listening) one.close();
  }

  function end(): void {
    clearInterval(sweep);
    orphans.end(listening.flatMap(({ bound }) => bound ?? []));
  }

  for (const one of listening) acceptAll(one);

  return {
    addresses: listening.map(({ address }) => address),
    get connections() {
      return open.size;
    },
    get refused() {
      return refused;
    },
    async reload() {
      for (const one of listening) await one.reload();
    },
    rename: (names) => {
      shared.names = names;
    },
    async drain() {
      stop();
      for (const connection of open) connection.drain();
      if (open.size > 0) await new Promise<void>((resolve) => idle = resolve);
      end();
    },
    close() {
      stop();
      for (const connection of open) connection.close();
      end();
      return Promise.resolve();
    },
  };
}

async function openAll(options: FrontOptions): Promise<Listening[]> {
  const listening: Listening[] = [];
  try {
    for (const address of options.listen) listening.push(await openListener(address, options));
  } catch (error) {
    for (const one of listening) one.close();
    throw error;
  }
  return listening;
}

function deadlinesOf(bounds: Connections): Deadlines {
  return {
    header: bounds.headerSeconds * 1000,
    body: bounds.bodySeconds * 1000,
    idle: bounds.idleSeconds * 1000,
    stall: bounds.stallSeconds * 1000,
  };
}

/** 503, and a moment for it to arrive. */
async function turnAway(conn: Deno.Conn): Promise<void> {
  const timer = setTimeout(() => conn.close(), TURNED_AWAY_MS);
  try {
    await conn.write(refusalReply({ status: 503, detail: "there are too many connections" }));
    await conn.closeWrite();
    const bytes = new Uint8Array(1024);
    for (let room = 64; room > 0 && await conn.read(bytes) !== null; room--);
    conn.close();
  } catch {
    // It did not want to know; or the timer has closed it.
  } finally {
    clearTimeout(timer);
  }
}

function peerOf(conn: Deno.Conn, transport: Peer["transport"]): Peer {
  if (transport === "unix") return { transport, address: "", port: 0 };
  const { hostname, port } = conn.remoteAddr as Deno.NetAddr;
  return { transport, address: unmapped(hostname), port };
}

function counter(most: number) {
  const counts = new Map<string, number>();
  return {
    take(key: string | undefined): boolean {
      if (key === undefined || most === 0) return true;
      const count = counts.get(key) ?? 0;
      if (count >= most) return false;
      counts.set(key, count + 1);
      return true;
    },
    free(key: string | undefined): void {
      if (key === undefined || most === 0) return;
      const count = counts.get(key)! - 1;
      if (count > 0) counts.set(key, count);
      else counts.delete(key);
    },
  };
}

/** The soft limit of open files of this process. */
function openFiles(): number {
  const limit = /^Max open files +(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits"))?.[1];
  return limit === undefined ? Infinity : Number(limit);
}
