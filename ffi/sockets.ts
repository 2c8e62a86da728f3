/** Socket calls of libc, apart from `libc.ts` because most starts need none. */

const SYMBOLS = {
  // int socket(int domain, int type, int protocol)
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // int bind(int fd, const struct sockaddr *address, socklen_t length)
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int listen(int fd, int backlog)
  listen: { parameters: ["i32", "i32"], result: "i32" },
  // int connect(int fd, const struct sockaddr *address, socklen_t length)
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int getsockname(int fd, struct sockaddr *address, socklen_t *length)
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Sockets = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
let opened: Sockets | undefined;

/** libc's socket functions; the library is opened at the first use. */
export function sockets(): Sockets {
  return opened ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

const ABORT = {
  // int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // int shutdown(int fd, int how)
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const SOL_SOCKET = 1, SO_LINGER = 13, SHUT_RDWR = 2;
let forAbort: Deno.DynamicLibrary<typeof ABORT>["symbols"] | undefined;

/**
 * Ends a connection in both directions, whoever else holds the descriptor; what was written and not taken is dropped
 * when the last one closes it. A socket that is not connected stays as it is.
 */
export function abortConnection(fd: number): void {
  forAbort ??= Deno.dlopen("libc.so.6", ABORT).symbols;
  // struct linger { int l_onoff; int l_linger; }
  const linger = new Uint8Array(new Int32Array([1, 0]).buffer);
  forAbort.setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, linger.length);
  forAbort.shutdown(fd, SHUT_RDWR);
}
