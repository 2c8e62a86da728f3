/**
 * What the kernel lets a threaded process do goes directly through FFI to libc (this file).
 * What it refuses to one is done by a program that FFI hands control to (`interpreter.ts`).
 * Nothing outside this directory knows a syscall number, a machine instruction or the name of a C function.
 */

import { E } from "./constants.ts";
import { syscallNumber } from "./syscalls.ts";

// The dlopen tables, with the C declaration beside each row. Making one function callable costs 0.15 ms, therefore two.

/** What every sandbox needs at its start. */
const START = {
  // char *realpath(const char *path, char *resolved)
  realpath: { parameters: ["buffer", "buffer"], result: "pointer" },
  // int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *buf)
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  // ssize_t readlink(const char *path, char *buf, size_t size)
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  // long syscall(long number, ...): one function for both of its uses below
  syscall: { parameters: ["i32", "buffer", "u32", "u32", "u32", "u32"], result: "i32" },
  // ssize_t write(int fd, const void *buf, size_t count)
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // int fcntl(int fd, int cmd, long arg)
  fcntl: { parameters: ["i32", "i32", "i64"], result: "i32" },
  // int fexecve(int fd, char *const argv[], char *const envp[])
  fexecve: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int *__errno_location(void)
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** What some need. */
const OTHER = {
  // int open(const char *path, int flags, mode_t mode)
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t count)
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // int pipe2(int fds[2], int flags)
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
  // int execv(const char *path, char *const argv[])
  execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  // int ioctl(int fd, unsigned long request, void *arg), or an int as arg
  ioctl: { parameters: ["i32", "u64", "u64"], result: "i32" },
  // int access(const char *path, int mode)
  access: { parameters: ["buffer", "i32"], result: "i32" },
  // off_t lseek(int fd, off_t offset, int whence)
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  // int ftruncate(int fd, off_t length)
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  // int unlink(const char *path)
  unlink: { parameters: ["buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Functions<Table extends Deno.ForeignLibraryInterface> = Deno.DynamicLibrary<Table>["symbols"];
type Libc = Functions<typeof START> & Functions<typeof OTHER>;
let opened: Libc | undefined;

/** libc's functions. The library is opened at the first use, and for the less usual ones at the first use of those. */
export function libc(): Libc {
  return opened ??= Object.create(open(START), others());
}

function open<Table extends Deno.ForeignLibraryInterface>(table: Table): Functions<Table> {
  return Deno.dlopen("libc.so.6", table).symbols;
}

function others(): PropertyDescriptorMap {
  let table: Functions<typeof OTHER> | undefined;
  const names = Object.keys(OTHER) as (keyof typeof OTHER)[];
  return Object.fromEntries(names.map((name) => [name, { get: () => (table ??= open(OTHER))[name] }]));
}

/** The calling thread's errno, to be read right after the failing call. */
export function lastErrno(): number {
  return new Deno.UnsafePointerView(libc().__errno_location()!).getInt32();
}

/** memfd_create(2). */
export function memfdCreate(name: Uint8Array<ArrayBuffer>, flags: number): number {
  return libc().syscall(syscallNumber("memfd_create", Deno.build.arch), name, flags, 0, 0, 0);
}

/** Whether the kernel has mount_setattr(2) (Linux 5.12): asked with a structure of no size, which it refuses first of all. */
export function hasMountSetattr(): boolean {
  return libc().syscall(syscallNumber("mount_setattr", Deno.build.arch), null, 0, 0, 0, 0) >= 0 ||
    -lastErrno() !== E.NOSYS;
}

/** ioctl(2), whose argument is a structure or a number. */
export function ioctl(
  fd: number,
  request: number,
  argument: number | Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>,
): number {
  const word = typeof argument === "number"
    ? BigInt(argument)
    : Deno.UnsafePointer.value(Deno.UnsafePointer.of(argument));
  return libc().ioctl(fd, BigInt(request), word);
}

/** A NULL-terminated vector of C strings for the exec family; `keep` must stay referenced until the call. */
export function vector(strings: Uint8Array<ArrayBuffer>[]): { vec: Uint8Array<ArrayBuffer>; keep: unknown } {
  const words = new BigUint64Array(strings.length + 1);
  strings.forEach((s, i) => words[i] = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(s))));
  return { vec: new Uint8Array(words.buffer), keep: strings };
}
