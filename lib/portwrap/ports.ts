/** Ports as they are typed, and their place in the arguments of a program. Pure. */
import { refuse } from "../cli/values.ts";

/** One port to carry in. Addresses are absent where none was typed. */
export interface PortPair {
  hostAddr?: string;
  /** 0 takes a free one. */
  hostPort: number;
  guestAddr?: string;
  guestPort: number;
}

const V4 = String.raw`\d{1,3}(?:\.\d{1,3}){3}`, V6 = String.raw`\[[0-9A-Fa-f:.]+\]`;
const FORWARD = new RegExp(`^(?:(${V4}|${V6}):)?(\\d{1,6}):(?:(${V4}|${V6}):)?(\\d{1,6})$`);

/** `[ADDR:]PORT:[ADDR:]PORT`, outside and inside; an IPv6 address stands in brackets. */
export function parseForward(option: string, text: string): PortPair {
  const match = FORWARD.exec(text);
  if (!match) {
    throw refuse(option, text, "HOST:GUEST, such as 9000:80, 0.0.0.0:9000:80 or [::1]:9000:[::1]:80");
  }
  const [, hostAddr, hostPort = "", guestAddr, guestPort = ""] = match;
  return {
    ...(hostAddr !== undefined && { hostAddr: parseAddress(option, bare(hostAddr)) }),
    hostPort: parsePort(option, hostPort, { free: true }),
    ...(guestAddr !== undefined && { guestAddr: parseGuestAddress(option, bare(guestAddr)) }),
    guestPort: parsePort(option, guestPort),
  };
}

/** A port number; 0, which takes a free one, where `free`. */
export function parsePort(option: string, text: string, { free = false } = {}): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port <= 65535 && (port >= 1 || (free && port === 0))) return port;
  throw refuse(option, text, `a port, ${free ? "0 (a free one)" : "1"} to 65535`);
}

/** An address to listen on. `*` and nothing at all are every IPv4 address, `localhost` is this machine's loopback. */
export function parseAddress(option: string, text: string): string {
  if (text === "*" || text === "") return "0.0.0.0";
  if (text === "localhost") return "127.0.0.1";
  const address = bare(text);
  if (isV4(address) || isV6(address)) return address;
  throw refuse(option, text, "an IPv4 or IPv6 address of this machine, such as 127.0.0.1, 0.0.0.0 or ::");
}

/** Inside there is only the loopback. */
function parseGuestAddress(option: string, text: string): string {
  if ((isV4(text) && text.startsWith("127.")) || text === "::1") return text;
  throw refuse(option, text, "a guest address that is local inside: one of 127.0.0.0/8, or ::1");
}

function isV4(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split(".").every((part) => Number(part) < 256);
}

/** Form only; the kernel has the last word. */
function isV6(text: string): boolean {
  return text.includes(":") && /^[0-9a-f:]+$/i.test(text) && URL.canParse(`http://[${text}]/`);
}

function bare(address: string): string {
  return address.startsWith("[") && address.endsWith("]") ? address.slice(1, -1) : address;
}

/** `{host-port}` and `{guest-port}` in each word, as the original's `{guest-port}`. */
export function substitutePorts(words: readonly string[], ports: { host: number; guest: number }): string[] {
  return words.map((word) =>
    word.replaceAll("{host-port}", String(ports.host)).replaceAll("{guest-port}", String(ports.guest))
  );
}
