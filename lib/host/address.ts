/** Internet addresses in their text form and as the kernel takes them. */
import { AF } from "../../ffi/constants.ts";
import { CordonError } from "../errors.ts";

/** Bytes of an IPv4 address; undefined for what is none. */
export function parseV4(text: string): number[] | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  const bytes = match?.slice(1).map(Number);
  return bytes?.every((byte) => byte < 256) ? bytes : undefined;
}

/** Bytes of an IPv6 address: RFC 4291 text form, without a zone and without embedded IPv4. */
export function parseV6(text: string): number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2 || !/^[0-9a-f:]+$/i.test(text)) return undefined;
  const groups = halves.map((half) => half === "" ? [] : half.split(":"));
  const given = groups.flat();
  if (given.some((group) => !/^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  const missing = 8 - given.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const all = halves.length === 1 ? given : [...groups[0]!, ...Array(missing).fill("0"), ...groups[1]!];
  return all.flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 255]);
}

/** struct sockaddr_in or sockaddr_in6 with its family. Throws {@link CordonError} for what is no address. */
export function socketAddress(address: string, port: number): [number, Uint8Array<ArrayBuffer>] {
  const v4 = parseV4(address);
  if (v4) return [AF.INET, Uint8Array.of(AF.INET, 0, port >> 8, port & 255, ...v4, ...Array(8).fill(0))];
  const v6 = parseV6(address);
  if (!v6) throw new CordonError(`Address ${address} is neither IPv4 nor IPv6`);
  return [AF.INET6, Uint8Array.of(AF.INET6, 0, port >> 8, port & 255, 0, 0, 0, 0, ...v6, 0, 0, 0, 0)];
}

/** The text form of an address of 4 or 16 bytes; zeros are not shortened as far as they could be. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8 | bytes[2 * i + 1]!).toString(16));
  const text = groups.join(":").replace(/(^|:)0(:0)+(:|$)/, "::");
  return text;
}
