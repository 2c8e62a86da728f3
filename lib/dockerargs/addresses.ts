/** Addresses and host names, as docker's client accepts them. Pure; each throws a {@link UsageError}. */
import { refuse } from "../cli/values.ts";
import { cut } from "./csv.ts";

/** The address as Go's `net.IP` prints it (::1 for 0:0:0:0:0:0:0:1), or undefined for what is none. */
export function canonicalIp(text: string): string | undefined {
  if (isV4(text)) return text;
  if (!/^[0-9a-f:.]+$/i.test(text) || !URL.canParse(`http://[${text}]/`)) return undefined;
  const v6 = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(v6);
  if (!mapped) return v6;
  return mapped.slice(1).flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 255]).join(".");
}

function isV4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
}

/** An address in its canonical form. */
export function parseIp(option: string, text: string): string {
  const ip = canonicalIp(text.trim());
  if (ip === undefined) throw refuse(option, text, "an IPv4 or IPv6 address");
  return ip;
}

/** `HOST:IP` or `HOST=IP`, the address also in brackets, or `host-gateway`; as `HOST:IP`. */
export function parseExtraHost(option: string, text: string): string {
  const [host, address] = text.includes("=") ? cut(text, "=") : cut(text, ":");
  if (address === undefined || host === "" || host.includes(":")) throw refuse(option, text, "HOST:IP");
  const bare = /^\[.+\]$/s.test(address) ? address.slice(1, -1) : address;
  if (bare !== "host-gateway" && canonicalIp(bare.trim()) === undefined) {
    throw refuse(option, text, "HOST:IP with an IPv4 or IPv6 address, or HOST:host-gateway");
  }
  return `${host}:${bare}`;
}

const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?";
const DOMAIN = new RegExp(`^:?(${LABEL}(?:\\.${LABEL})*)\\.?\\s*$`);

/** A search domain; `.` alone means none. */
export function parseSearchDomain(option: string, text: string): string {
  const bare = text.replace(/^ +| +$/g, "");
  if (bare === ".") return bare;
  const domain = DOMAIN.exec(bare)?.[1];
  if (domain === undefined || !/[a-zA-Z]/.test(bare) || domain.length >= 255) {
    throw refuse(option, text, "a domain name, or . for none");
  }
  return domain;
}

/** A hardware address in one of the notations of `net.ParseMAC`; as typed. */
export function parseMac(option: string, text: string): string {
  const bare = text.trim();
  const pairs = /^[0-9a-f]{2}(?:([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2})*)$/i.test(bare) && (bare.length + 1) / 3;
  const quads = /^[0-9a-f]{4}(?:\.[0-9a-f]{4})+$/i.test(bare) && (bare.length + 1) / 5 * 2;
  const bytes = pairs || quads;
  if (!(bytes === 6 || bytes === 8 || bytes === 20)) {
    throw refuse(option, text, "a MAC address such as 92:d0:c6:0a:29:33");
  }
  return text;
}
