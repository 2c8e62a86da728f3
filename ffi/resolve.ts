/** Name lookup as every program of the machine does it: files, DNS, a directory service (getaddrinfo(3)). */

const SYMBOLS = {
  // int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
  getaddrinfo: { parameters: ["buffer", "buffer", "buffer", "buffer"], result: "i32" },
  // void freeaddrinfo(struct addrinfo *res)
  freeaddrinfo: { parameters: ["pointer"], result: "void" },
  // const char *gai_strerror(int errcode)
  gai_strerror: { parameters: ["i32"], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** struct addrinfo on 64-bit machines. */
const ADDRINFO = { family: 4, socktype: 8, address: 24, next: 40, size: 48 } as const;
const SOCK_STREAM = 1;
const OFFSET: Record<number, [at: number, length: number]> = { 2: [4, 4], 10: [8, 16] };

/** Bytes of each address of a name (4 or 16 of them), or what the library says of the failure. Waits for the answer. */
export function lookUp(name: Uint8Array<ArrayBuffer>): Uint8Array[] | string {
  const { symbols } = Deno.dlopen("libc.so.6", SYMBOLS);
  const hints = new Uint8Array(ADDRINFO.size), result = new BigUint64Array(1);
  new DataView(hints.buffer).setInt32(ADDRINFO.socktype, SOCK_STREAM, true);
  const code = symbols.getaddrinfo(name, null, hints, new Uint8Array(result.buffer));
  if (code !== 0) return new Deno.UnsafePointerView(symbols.gai_strerror(code)!).getCString();
  const first = Deno.UnsafePointer.create(result[0]!);
  const found: Uint8Array[] = [];
  for (let at = first; at !== null;) {
    const entry = new Deno.UnsafePointerView(at);
    const place = OFFSET[entry.getInt32(ADDRINFO.family)];
    const address = entry.getPointer(ADDRINFO.address);
    if (place && address) {
      const bytes = new Uint8Array(place[1]);
      new Deno.UnsafePointerView(address).copyInto(bytes, place[0]);
      found.push(bytes);
    }
    at = entry.getPointer(ADDRINFO.next);
  }
  symbols.freeaddrinfo(first);
  return found;
}
