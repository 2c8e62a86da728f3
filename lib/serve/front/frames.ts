/** Frames of the WebSocket protocol, RFC 6455 section 5. Pure. */
import { createHash } from "node:crypto";

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface FrameHead {
  final: boolean;
  opcode: number;
  /** Bytes of the payload. */
  length: number;
  /** Of a client's frame; of a server's it is empty. */
  mask: Uint8Array;
  /** Bytes of this head. */
  size: number;
}

/** What the other side may not send, with the status to close with (section 7.4.1). */
export class Violation extends Error {
  constructor(readonly code: 1002 | 1003 | 1007 | 1008 | 1009 | 1013, reason: string) {
    super(reason);
  }
}

/** What a server that understands the protocol answers to a client's key (section 4.2.2). */
export function acceptanceOf(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/** A frame as it begins; undefined when more of it is needed. Clients mask theirs, servers do not. @throws Violation */
export function frameHead(
  bytes: Uint8Array,
  from: "client" | "server" = "client",
): FrameHead | undefined {
  if (bytes.length < 2) return undefined;
  const first = bytes[0]!, second = bytes[1]!;
  const opcode = first & 0x0f, final = (first & 0x80) !== 0;
  if ((first & 0x70) !== 0) throw new Violation(1002, "a reserved bit is set");
  if (opcode > 10 || opcode > 2 && opcode < 8) throw new Violation(1002, "the opcode is unknown");
  const masked = (second & 0x80) !== 0;
  if (masked !== (from === "client")) {
    throw new Violation(1002, masked ? "a server's frame is masked" : "a frame is not masked");
  }
  const short = second & 0x7f;
  if (opcode >= 8 && (!final || short > 125)) throw new Violation(1002, "a control frame is cut or too long");
  const size = (short < 126 ? 2 : short === 126 ? 4 : 10) + (masked ? 4 : 0);
  if (bytes.length < size) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  const length = short < 126 ? short : short === 126 ? view.getUint16(2) : Number(view.getBigUint64(2));
  return { final, opcode, length, mask: bytes.slice(masked ? size - 4 : size, size), size };
}

/** Takes the mask off in place, or puts it on. `at`: how much of the payload came before. */
export function unmask(bytes: Uint8Array, mask: Uint8Array, at: number): void {
  for (let index = 0; index < bytes.length; index++) bytes[index]! ^= mask[(at + index) & 3]!;
}

/** A frame, whole: a server's without a mask, a client's with one of four bytes. */
export function frame(opcode: number, payload: Uint8Array, mask?: Uint8Array): Uint8Array<ArrayBuffer> {
  const { length } = payload;
  const plain = length < 126 ? 2 : length < 65536 ? 4 : 10;
  const size = plain + (mask ? 4 : 0);
  const whole = new Uint8Array(size + length);
  const view = new DataView(whole.buffer);
  whole[0] = 0x80 | opcode;
  whole[1] = (mask ? 0x80 : 0) | (plain === 2 ? length : plain === 4 ? 126 : 127);
  if (plain === 4) view.setUint16(2, length);
  if (plain === 10) view.setBigUint64(2, BigInt(length));
  whole.set(payload, size);
  if (mask) {
    whole.set(mask, plain);
    unmask(whole.subarray(size), mask, 0);
  }
  return whole;
}

/** The payload of a close frame; a reason that is too long is cut. */
export function closing(code: number, reason: string): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(125);
  new DataView(payload.buffer).setUint16(0, code);
  const { written } = new TextEncoder().encodeInto(reason, payload.subarray(2));
  return payload.slice(0, 2 + written);
}

/** The status to answer a client's close frame with. @throws Violation */
export function closeStatus(payload: Uint8Array): number {
  if (payload.length === 0) return 1000;
  const code = payload.length === 1 ? 0 : new DataView(payload.buffer, payload.byteOffset).getUint16(0);
  const known = code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
  if (!known && !(code >= 3000 && code <= 4999)) throw new Violation(1002, "the close code is none");
  utf8(payload.subarray(2));
  return code;
}

/** @throws Violation */
export function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Violation(1007, "a text is no UTF-8");
  }
}
