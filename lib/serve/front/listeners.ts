/** The sockets a front accepts on. */
import { CordonError, reasonOf } from "../../errors.ts";
import type { ListenAddress } from "../config/types.ts";
import { listenUnix } from "./unix.ts";

/** Files in PEM: the certificate with those that sign it, and its key. */
export interface TlsFiles {
  certificate: string;
  key: string;
}

export interface Listening {
  transport: "tcp" | "tls" | "unix";
  /** `http://127.0.0.1:8377`, `https://…` or `unix:/path`. */
  address: string;
  /** The name of a Unix socket, as the kernel knows it. */
  bound?: string;
  accept(): Promise<Deno.Conn>;
  /** Takes certificate and key anew from their files; what was there before stays when they cannot be used. */
  reload(): Promise<void>;
  close(): void;
}

/** For whom nothing else is said: other users of the machine stay out. */
const SOCKET_MODE = 0o600;
const AGAIN_TRIES = 100;

export interface SocketOptions {
  /** Of the TCP addresses; without it they speak plain HTTP. */
  tls?: TlsFiles | undefined;
  /** Permissions of Unix sockets (default 0600). */
  socketMode?: number | undefined;
  /** Whose they are to be, when the server becomes somebody else later. */
  socketOwner?: { uid: number; gid: number } | undefined;
}

/** @throws {CordonError} with the address and why it cannot be had */
export async function openListener(
  wanted: ListenAddress,
  { tls, socketMode, socketOwner }: SocketOptions = {},
): Promise<Listening> {
  if ("unix" in wanted) {
    const { listener, bound, remove } = await listenUnix(wanted.unix, {
      mode: socketMode ?? SOCKET_MODE,
      owner: socketOwner,
    });
    return {
      transport: "unix",
      address: `unix:${wanted.unix}`,
      bound,
      accept: () => listener.accept(),
      reload: () => Promise.resolve(),
      close() {
        remove();
        listener.close();
      },
    };
  }
  const { hostname, port } = wanted;
  let listener = tls ? listenTls(hostname, port, tls) : listenTcp(hostname, port);
  let reloading: Promise<void> | undefined;
  const bound = (listener.addr as Deno.NetAddr).port;
  const shown = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${bound}`;
  return {
    transport: tls ? "tls" : "tcp",
    address: `${tls ? "https" : "http"}://${shown}`,
    async accept() {
      for (;;) {
        const current = listener;
        try {
          return await current.accept();
        } catch (error) {
          await reloading;
          if (current === listener) throw error;
        }
      }
    },
    async reload() {
      if (!tls) return;
      if (!mayBind(bound)) {
        throw new CordonError(`Cannot take port ${bound} again for the new certificate`, {
          why: "This takes root, or a start",
        });
      }
      // Fails here when the files are wrong, before anything is given up.
      listenTls(hostname, 0, tls).close();
      listener.close();
      reloading = again(() => listenTls(hostname, bound, tls)).then((next) => void (listener = next));
      await reloading;
    },
    close: () => listener.close(),
  };
}

/** Whether this process may listen on that port: capabilities(7), CAP_NET_BIND_SERVICE. */
function mayBind(port: number): boolean {
  if (port >= 1024) return true;
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[1];
  return (BigInt(`0x${effective ?? "0"}`) >> 10n & 1n) === 1n;
}

/** The runtime lets go of a closed listener a moment later; for that moment connections are refused. */
async function again(listen: () => Deno.Listener): Promise<Deno.Listener> {
  for (let tries = 0;; tries++) {
    try {
      return listen();
    } catch (error) {
      if (tries === AGAIN_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

function listenTcp(hostname: string, port: number): Deno.Listener {
  try {
    return Deno.listen({ hostname, port });
  } catch (cause) {
    throw new CordonError(`Cannot listen on ${hostname} port ${port}`, { why: reasonOf(cause), cause });
  }
}

function listenTls(hostname: string, port: number, files: TlsFiles): Deno.Listener {
  const cert = readPem(files.certificate, "certificate");
  const key = readPem(files.key, "key");
  try {
    return Deno.listenTls({ hostname, port, cert, key, alpnProtocols: ["http/1.1"] });
  } catch (cause) {
    if (cause instanceof Deno.errors.InvalidData) {
      throw new CordonError(`Cannot use the certificate ${files.certificate} with the key ${files.key}`, {
        why: reasonOf(cause),
        cause,
      });
    }
    throw new CordonError(`Cannot listen on ${hostname} port ${port}`, { why: reasonOf(cause), cause });
  }
}

function readPem(path: string, what: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw new CordonError(`Cannot read the ${what} ${path}`, { why: reasonOf(cause), cause });
  }
}
