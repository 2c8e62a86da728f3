/** The memory of a simulated process: segments of an image and a stack. */
import { decodeOs } from "../../lib/host/bytes.ts";

export interface Region {
  start: number;
  bytes: Uint8Array<ArrayBuffer>;
  writable: boolean;
  /** What is there again when the memory is given back. */
  original?: Uint8Array<ArrayBuffer>;
}

/** What a process can see; touching anything else, or writing what is read-only, throws. */
export class Memory {
  readonly #regions: Region[];
  /** Ranges made read-only later. */
  readonly #sealed: { start: number; end: number }[] = [];
  constructor(regions: Region[], sealed: { start: number; end: number }[] = []) {
    this.#regions = regions;
    this.#sealed = sealed;
  }

  #at(address: number | bigint, size: number): { view: DataView; offset: number; region: Region } {
    const place = Number(address);
    for (const region of this.#regions) {
      const offset = place - region.start;
      if (offset >= 0 && offset + size <= region.bytes.length) {
        return { view: new DataView(region.bytes.buffer), offset, region };
      }
    }
    throw new Error(`simulated segmentation fault at 0x${place.toString(16)}`);
  }
  #writable(address: number | bigint, size: number): { view: DataView; offset: number; region: Region } {
    const found = this.#at(address, size);
    const place = Number(address);
    const sealed = this.#sealed.some(({ start, end }) => place < end && place + size > start);
    if (sealed || !found.region.writable) {
      throw new Error(`write to read-only 0x${Number(address).toString(16)}`);
    }
    return found;
  }

  read64(address: number | bigint): bigint {
    const { view, offset } = this.#at(address, 8);
    return view.getBigUint64(offset, true);
  }
  write64(address: number | bigint, value: bigint): void {
    const { view, offset } = this.#writable(address, 8);
    view.setBigUint64(offset, BigInt.asUintN(64, value), true);
  }
  bytes(address: number | bigint, size: number): Uint8Array<ArrayBuffer> {
    const { region, offset } = this.#at(address, size);
    return region.bytes.slice(offset, offset + size);
  }
  put(address: number | bigint, bytes: Uint8Array): void {
    const { region, offset } = this.#writable(address, bytes.length);
    region.bytes.set(bytes, offset);
  }
  /** A C string. */
  text(address: number | bigint): string {
    const { region, offset } = this.#at(address, 1);
    const end = region.bytes.indexOf(0, offset);
    if (end < 0) throw new Error(`string at 0x${Number(address).toString(16)} has no end`);
    return decodeOs(region.bytes.subarray(offset, end));
  }
  /** A NULL-terminated vector of C strings. */
  vector(address: number | bigint): string[] {
    const strings: string[] = [];
    for (let at = BigInt(address);; at += 8n) {
      const pointer = this.read64(at);
      if (pointer === 0n) return strings;
      strings.push(this.text(pointer));
    }
  }
  copy(): Memory {
    const regions = this.#regions.map((r) => r.writable ? { ...r, bytes: r.bytes.slice() } : r);
    return new Memory(regions, [...this.#sealed]);
  }
  /** mprotect(2) with PROT_READ. */
  seal(start: number, size: number): void {
    this.#at(start, size);
    this.#sealed.push({ start, end: start + size });
  }
  /** madvise(2) with MADV_DONTNEED: what the file holds is there again, zeros elsewhere. */
  giveBack(address: number, size: number): void {
    const { region, offset } = this.#at(address, size);
    if (!region.original) throw new Error("only memory of the image is given back");
    region.bytes.set(region.original.subarray(offset, offset + size), offset);
  }
}
