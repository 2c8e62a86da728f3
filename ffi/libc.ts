/**
 * What the kernel lets a threaded process do goes directly through FFI to libc (this file).
 * What it refuses to one is done by a program that FFI hands control to (`interpreter.ts`).
 * Nothing outside this directory knows a syscall number, a machine instruction or the name of a C function.
 */

/** The one dlopen table, with the C declaration beside each row. */
const SYMBOLS = {
  // int memfd_create(const char *name, unsigned int flags)
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  // int open(const char *path, int flags, mode_t mode)
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t count)
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // ssize_t write(int fd, const void *buf, size_t count)
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
  // int fcntl(int fd, int cmd, long arg)
  fcntl: { parameters: ["i32", "i32", "i64"], result: "i32" },
  // int fexecve(int fd, char *const argv[], char *const envp[])
  fexecve: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int execv(const char *path, char *const argv[])
  execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  // char *realpath(const char *path, char *resolved)
  realpath: { parameters: ["buffer", "buffer"], result: "pointer" },
  // char *getcwd(char *buf, size_t size)
  getcwd: { parameters: ["buffer", "usize"], result: "pointer" },
  // int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *buf)
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  // ssize_t readlink(const char *path, char *buf, size_t size)
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  // int access(const char *path, int mode)
  access: { parameters: ["buffer", "i32"], result: "i32" },
  // int unlink(const char *path)
  unlink: { parameters: ["buffer"], result: "i32" },
  // int *__errno_location(void)
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
let opened: Libc | undefined;

/** libc's functions; the library is opened at the first use. */
export function libc(): Libc {
  return opened ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

/** The calling thread's errno, to be read right after the failing call. */
export function lastErrno(): number {
  return new Deno.UnsafePointerView(libc().__errno_location()!).getInt32();
}

/** A NULL-terminated vector of C strings for the exec family; `keep` must stay referenced until the call. */
export function vector(strings: Uint8Array<ArrayBuffer>[]): { vec: Uint8Array<ArrayBuffer>; keep: unknown } {
  const words = new BigUint64Array(strings.length + 1);
  strings.forEach((s, i) => words[i] = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(s))));
  return { vec: new Uint8Array(words.buffer), keep: strings };
}
