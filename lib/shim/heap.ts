/** Bytes that a program's image will hold, growing as they are laid out. */

const INITIAL = 1 << 15;

/** Writes a 64-bit word, little-endian; negative numbers in two's complement. BigInt is slow before it is compiled. */
export function put64(view: DataView, offset: number, value: number | bigint): void {
  if (typeof value === "bigint") {
    view.setBigUint64(offset, BigInt.asUintN(64, value), true);
    return;
  }
  view.setUint32(offset, value, true);
  view.setUint32(offset + 4, value >= 0 && value <= 0xffffffff ? 0 : Math.floor(value / 0x100000000), true);
}

export class Heap {
  #bytes = new Uint8Array(INITIAL);
  #view = new DataView(this.#bytes.buffer);
  #top = 0;

  /** What has been laid out so far. */
  get content(): Uint8Array {
    return this.#bytes.subarray(0, this.#top);
  }

  /** Room for so many zero bytes; gives its offset. */
  reserve(size: number, align: number): number {
    const offset = (this.#top + align - 1) & -align;
    if (offset + size + 8 > this.#bytes.length) {
      const larger = new Uint8Array(2 * (offset + size + 8));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#top = offset + size;
    return offset;
  }

  /** Lays out bytes; gives their offset. */
  put(content: Uint8Array, align: number): number {
    const offset = this.reserve(content.length, align);
    this.#bytes.set(content, offset);
    return offset;
  }

  /** Writes a word into room that was reserved. */
  write(offset: number, value: number | bigint): void {
    put64(this.#view, offset, value);
  }
}
