/** Who asks on this machine itself. Pure. */
import type { Peer } from "./front/handler.ts";

/** What proxies say of whom they ask for. */
const FORWARDED = [
  "forwarded",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
];

/**
 * Whether a request comes from a program of this machine and is its own: by a loopback address or a Unix socket, under
 * the name of neither a proxy nor anything else, and without what a proxy adds.
 */
export function isNear({ url, headers }: Request, { transport, address }: Peer): boolean {
  const here = transport === "unix" || address === "::1" || address.startsWith("127.");
  const { hostname } = new URL(url);
  const direct = hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
  return here && direct && !FORWARDED.some((name) => headers.has(name));
}
