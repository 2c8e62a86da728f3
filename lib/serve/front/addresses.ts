/** IP addresses as text, as numbers and as the kernel prints them. Pure. */

/** An IPv4 address that came in IPv6 clothes, as IPv4. */
export function unmapped(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "");
}

/** What counts as one client: an IPv4 address; with IPv6 the /64, which everybody has to himself. */
export function networkOf(address: string): string {
  const plain = unmapped(address);
  return plain.includes(":") ? hex(bytesOf(plain).slice(0, 8)) : plain;
}

/** As `/proc/net/tcp` and `tcp6` show it (proc_net_tcp.rst): words of 32 bits, each in the order of this machine's bytes. */
export function asInProc(address: string): string {
  const bytes = bytesOf(address);
  let text = "";
  // x86_64 and aarch64 are little-endian.
  for (let at = 0; at < bytes.length; at += 4) text += hex(bytes.slice(at, at + 4).reverse());
  return text.toUpperCase();
}

/** 4 or 16 bytes of an address that the runtime printed (RFC 5952). */
export function bytesOf(address: string): number[] {
  if (!address.includes(":")) return address.split(".").map(Number);
  const [before = [], after] = address.split("::").map(groups);
  if (after === undefined) return [...before];
  return [...before, ...Array<number>(16 - before.length - after.length).fill(0), ...after];
}

function groups(text: string): number[] {
  return text.split(":").filter((group) => group !== "").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = parseInt(group, 16);
    return [value >> 8, value & 255];
  });
}

function hex(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
