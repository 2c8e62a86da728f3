/** A connection of its own to an API, for what is no request. */
import type { ApiAddress } from "./address.ts";
import { authorities } from "./authorities.ts";
import { type Proxy, proxyFor } from "./proxy.ts";
import { writeAll } from "../host/pieces.ts";

const MOST_HEAD_BYTES = 64 * 1024;
/** For the connection, and again for what makes it one to the API. Whoever waits may have a terminal in raw mode. */
const DIAL_MS = 10_000;

/**
 * Over TCP, TLS or a Unix socket, with the authorities and the proxy that requests have.
 *
 * @throws CordonError, or what the system, the proxy or TLS says
 */
export async function dial(
  { base, socket }: ApiAddress,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Deno.Conn> {
  if (socket !== undefined) return await Deno.connect({ transport: "unix", path: socket });
  const url = new URL(base);
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  const secure = url.protocol === "https:";
  const port = Number(url.port || (secure ? 443 : 80));
  const caCerts = secure ? authorities(env) : [];
  const proxy = proxyFor(url, env);
  const plain = await inTime(Deno.connect(proxy ?? { hostname, port }));
  let connection: Deno.TcpConn | Deno.TlsConn = plain;
  const timer = setTimeout(() => connection.close(), DIAL_MS);
  try {
    // What is typed goes at once.
    plain.setNoDelay();
    if (proxy) await tunnel(plain, `${url.hostname}:${port}`, proxy);
    if (!secure) return plain;
    const tls = await Deno.startTls(plain, { hostname, caCerts, alpnProtocols: ["http/1.1"] });
    connection = tls;
    await tls.handshake();
    return tls;
  } catch (error) {
    try {
      connection.close();
    } catch (other) {
      // TLS has taken it over and closed it.
      if (!(other instanceof Deno.errors.BadResource)) throw other;
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** One that comes too late is closed. */
async function inTime(connecting: Promise<Deno.TcpConn>): Promise<Deno.TcpConn> {
  let late = false;
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late = true;
    reject(new Deno.errors.TimedOut("nobody answered within 10 s"));
  }, DIAL_MS);
  const connected = connecting.then((connection) => {
    if (late) connection.close();
    return connection;
  });
  try {
    return await Promise.race([connected, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** RFC 9110, section 9.3.6. Nothing comes behind the answer before we say something. */
async function tunnel(proxy: Deno.Conn, to: string, { authorization }: Proxy): Promise<void> {
  const lines = [
    `CONNECT ${to} HTTP/1.1`,
    `host: ${to}`,
    ...(authorization === undefined ? [] : [`proxy-authorization: ${authorization}`]),
  ];
  const asked = new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
  await writeAll(proxy, asked);
  const buffer = new Uint8Array(4096);
  for (let head = "";;) {
    const count = await proxy.read(buffer);
    if (count === null) throw new Error("the proxy closed the connection");
    head += new TextDecoder("latin1").decode(buffer.subarray(0, count));
    if (!head.includes("\r\n\r\n") && head.length < MOST_HEAD_BYTES) continue;
    if (/^HTTP\/1\.[01] 2\d\d\b/.test(head)) return;
    const [status = "no HTTP"] = /^HTTP\/1\.[01] (\d{3}[ -~]*)/.exec(head)?.slice(1) ?? [];
    throw new Error(`the proxy answers ${status}`);
  }
}
