/** A connection of its own to an API, for what is no request. */
import type { ApiAddress } from "./address.ts";
import { authorities } from "./authorities.ts";

/** Over TCP, TLS or a Unix socket, with the authorities that requests have. @throws what the system or TLS says */
export async function dial(
  { base, socket }: ApiAddress,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Deno.Conn> {
  if (socket !== undefined) return await Deno.connect({ transport: "unix", path: socket });
  const { protocol, hostname: name, port } = new URL(base);
  const hostname = name.replace(/^\[|\]$/g, "");
  if (protocol === "http:") {
    const connection = await Deno.connect({ hostname, port: Number(port || 80) });
    connection.setNoDelay();
    return connection;
  }
  const connection = await Deno.connectTls({
    hostname,
    port: Number(port || 443),
    caCerts: authorities(env),
    alpnProtocols: ["http/1.1"],
  });
  try {
    await connection.handshake();
  } catch (error) {
    connection.close();
    throw error;
  }
  return connection;
}
