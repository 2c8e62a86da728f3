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
  accept(): Promise<Deno.Conn>;
  /** Takes certificate and key anew from their files; what was there before stays when they cannot be used. */
  reload(): void;
  close(): void;
}

/** For whom nothing else is said: other users of the machine stay out. */
const SOCKET_MODE = 0o600;

/** @throws {CordonError} with the address and why it cannot be had */
export async function openListener(
  wanted: ListenAddress,
  { tls, socketMode }: { tls?: TlsFiles | undefined; socketMode?: number | undefined } = {},
): Promise<Listening> {
  if ("unix" in wanted) {
    const { listener, remove } = await listenUnix(wanted.unix, socketMode ?? SOCKET_MODE);
    return {
      transport: "unix",
      address: `unix:${wanted.unix}`,
      accept: () => listener.accept(),
      reload() {},
      close() {
        remove();
        listener.close();
      },
    };
  }
  const { hostname, port } = wanted;
  let listener = tls ? listenTls(hostname, port, tls) : listenTcp(hostname, port);
  const bound = (listener.addr as Deno.NetAddr).port;
  const shown = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${bound}`;
  return {
    transport: tls ? "tls" : "tcp",
    address: `${tls ? "https" : "http"}://${shown}`,
    // After a reload the old listener's accept fails: go on with the new one.
    async accept() {
      for (;;) {
        const current = listener;
        try {
          return await current.accept();
        } catch (error) {
          if (current === listener) throw error;
        }
      }
    },
    reload() {
      if (!tls) return;
      const old = listener;
      listener = listenTls(hostname, bound, tls);
      old.close();
    },
    close: () => listener.close(),
  };
}

function listenTcp(hostname: string, port: number): Deno.Listener {
  try {
    return Deno.listen({ hostname, port });
  } catch (cause) {
    throw new CordonError(`cannot listen on ${hostname} port ${port}`, { why: reasonOf(cause), cause });
  }
}

function listenTls(hostname: string, port: number, files: TlsFiles): Deno.Listener {
  const cert = readPem(files.certificate, "certificate");
  const key = readPem(files.key, "key");
  try {
    // The port is shared for the moment in which a new certificate takes over.
    return Deno.listenTls({ hostname, port, cert, key, alpnProtocols: ["http/1.1"], reusePort: true });
  } catch (cause) {
    if (cause instanceof Deno.errors.InvalidData) {
      throw new CordonError(`cannot use the certificate ${files.certificate} with the key ${files.key}`, {
        why: reasonOf(cause),
        cause,
      });
    }
    throw new CordonError(`cannot listen on ${hostname} port ${port}`, { why: reasonOf(cause), cause });
  }
}

function readPem(path: string, what: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw new CordonError(`cannot read the ${what} ${path}`, { why: reasonOf(cause), cause });
  }
}
