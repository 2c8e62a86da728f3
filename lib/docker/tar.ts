/** Tar archives in memory, as the archive endpoints want them: POSIX ustar with pax records for long names (pax(1)). */

import { CordonError } from "../errors.ts";
import { concat } from "../host/pieces.ts";

export interface TarEntry {
  /** Relative path; a directory's may end with a slash. */
  name: string;
  type: "file" | "directory" | "symlink";
  /** Permission bits; 0644 for files and 0755 for directories by default. */
  mode?: number;
  uid?: number;
  gid?: number;
  /** Seconds since 1970; 0 by default. */
  mtime?: number;
  /** Contents of a file. */
  data?: Uint8Array;
  /** What a symbolic link says. */
  target?: string;
}

const BLOCK = 512;
const TYPES = { file: "0", symlink: "2", directory: "5" } as const;

/** The archive of these entries. */
export function writeTar(entries: Iterable<TarEntry>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    const long: Record<string, string> = {};
    if (byteLength(entry.name) > 100) long["path"] = entry.name;
    if (entry.target !== undefined && byteLength(entry.target) > 100) long["linkpath"] = entry.target;
    if (Object.keys(long).length > 0) {
      const records = new TextEncoder().encode(Object.entries(long).map(paxRecord).join(""));
      parts.push(header({ name: "pax", type: "file", data: records }, "x"), padded(records));
    }
    parts.push(header(entry, TYPES[entry.type]));
    if (entry.data) parts.push(padded(entry.data));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  return concat(parts);
}

/**
 * The entries of an archive; kinds other than files, directories and symbolic links are left out.
 *
 * @throws CordonError for what is no tar archive
 */
export function* readTar(archive: Uint8Array): Generator<TarEntry> {
  let long: Record<string, string> = {};
  for (let at = 0; at + BLOCK <= archive.length;) {
    const block = archive.subarray(at, at + BLOCK);
    if (block.every((byte) => byte === 0)) return;
    const expected = octal(block, { at: 148, length: 8 });
    if (checksum(block) !== expected) {
      throw new CordonError("Invalid tar archive", { why: `Bad checksum at byte ${at}` });
    }
    const size = octal(block, { at: 124, length: 12 });
    const data = archive.subarray(at + BLOCK, at + BLOCK + size);
    if (data.length < size) throw new CordonError("Invalid tar archive", { why: "It ends inside a file" });
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    const kind = String.fromCharCode(block[156] || 48);
    if (kind === "x") {
      long = paxRecords(data);
      continue;
    }
    const type = Object.entries(TYPES).find(([, code]) => code === kind)?.[0] as TarEntry["type"] | undefined;
    if (type) yield entryOf(block, { type, data, long });
    long = {};
  }
}

function entryOf(
  block: Uint8Array,
  parts: { type: TarEntry["type"]; data: Uint8Array; long: Record<string, string> },
): TarEntry {
  const { type, data, long } = parts;
  const prefix = text(block, { at: 257, length: 5 }) === "ustar" ? text(block, { at: 345, length: 155 }) : "";
  const name = text(block, { at: 0, length: 100 });
  return {
    name: long["path"] ?? (prefix === "" ? name : `${prefix}/${name}`),
    type,
    mode: octal(block, { at: 100, length: 8 }),
    uid: octal(block, { at: 108, length: 8 }),
    gid: octal(block, { at: 116, length: 8 }),
    mtime: octal(block, { at: 136, length: 12 }),
    ...(type === "file" ? { data } : {}),
    ...(type === "symlink" ? { target: long["linkpath"] ?? text(block, { at: 157, length: 100 }) } : {}),
  };
}

function header(entry: TarEntry, kind: string): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, value: string, length: number) => {
    block.set(new TextEncoder().encode(value).subarray(0, length), at);
  };
  const number = (at: number, value: number, length: number) => {
    put(at, `${Math.trunc(value).toString(8).padStart(length - 1, "0")}\0`, length);
  };
  put(0, entry.name, 100);
  number(100, entry.mode ?? (entry.type === "file" ? 0o644 : 0o755), 8);
  number(108, entry.uid ?? 0, 8);
  number(116, entry.gid ?? 0, 8);
  number(124, entry.data?.length ?? 0, 12);
  number(136, entry.mtime ?? 0, 12);
  put(156, kind, 1);
  put(157, entry.target ?? "", 100);
  put(257, "ustar\x0000", 8);
  number(148, checksum(block), 7);
  block[155] = 32;
  return block;
}

/** Sum of the header's bytes, with its own field counted as spaces. */
function checksum(block: Uint8Array): number {
  return block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte), 0);
}

/** `LENGTH NAME=VALUE\n`, where the length counts itself. */
function paxRecord([name, value]: [string, string]): string {
  const rest = ` ${name}=${value}\n`;
  let length = byteLength(rest);
  while (length !== byteLength(rest) + String(length).length) {
    length = byteLength(rest) + String(length).length;
  }
  return `${length}${rest}`;
}

function paxRecords(data: Uint8Array): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < data.length;) {
    const space = data.indexOf(32, at);
    const length = Number(new TextDecoder().decode(data.subarray(at, space)));
    if (!(length > 0)) throw new CordonError("Invalid tar archive", { why: "Bad pax record" });
    const record = new TextDecoder().decode(data.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    records[record.slice(0, equals)] = record.slice(equals + 1);
    at += length;
  }
  return records;
}

interface Field {
  at: number;
  length: number;
}

function text(block: Uint8Array, field: Field): string {
  const bytes = block.subarray(field.at, field.at + field.length);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** A number in octal digits, or big-endian behind a set top bit, as GNU tar writes what does not fit. */
function octal(block: Uint8Array, field: Field): number {
  const bytes = block.subarray(field.at, field.at + field.length);
  const [first = 0] = bytes;
  if (first & 0x80) return bytes.subarray(1).reduce((value, byte) => value * 256 + byte, first & 0x7f);
  return parseInt(text(block, field).trim() || "0", 8);
}

function padded(data: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(data.length / BLOCK) * BLOCK);
  whole.set(data);
  return whole;
}

function byteLength(value: string): number {
  return new TextEncoder().encode(value).length;
}
