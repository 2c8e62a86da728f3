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

const SHUTDOWN = {
  // int shutdown(int fd, int how)
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const SHUT_RDWR = 2;
let shutdown: Deno.DynamicLibrary<typeof SHUTDOWN>["symbols"] | undefined;

/** Ends a connection in both directions, whoever else holds the descriptor. One that is not connected stays as it is. */
export function shutDown(fd: number): void {
  shutdown ??= Deno.dlopen("libc.so.6", SHUTDOWN).symbols;
  shutdown.shutdown(fd, SHUT_RDWR);
}
