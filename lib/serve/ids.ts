/** Identifiers. Of executions: UUIDs of version 7 (RFC 9562), which sort by the time they were made. */

let last = 0;
let counter = 0;

/** Later calls in one process give greater identifiers. */
export function newId(now = Date.now()): string {
  const random = crypto.getRandomValues(new Uint8Array(10));
  if (now > last) {
    last = now;
    // Room above for as many as come in one millisecond.
    counter = ((random[8]! << 8) | random[9]!) & 0x7ff;
  } else if (++counter > 0xfff) {
    last++;
    counter = 0;
  }
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setBigUint64(0, (BigInt(last) << 16n) | 0x7000n | BigInt(counter));
  bytes.set(random.subarray(0, 8), 8);
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

export const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Of stored files and sessions: 128 bits that nobody guesses. */
export const SECRET_ID = /^[0-9a-f]{32}$/;

export function newSecretId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
