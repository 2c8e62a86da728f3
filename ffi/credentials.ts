/** Becoming another user: the calls of libc, which change every thread of the process (credentials(7), nptl(7)). */

let opened: Deno.DynamicLibrary<typeof TABLE>["symbols"] | undefined;

const TABLE = {
  // int setgroups(size_t size, const gid_t *list)
  setgroups: { parameters: ["usize", "buffer"], result: "i32" },
  // int setresgid(gid_t rgid, gid_t egid, gid_t sgid)
  setresgid: { parameters: ["u32", "u32", "u32"], result: "i32" },
  // int setresuid(uid_t ruid, uid_t euid, uid_t suid)
  setresuid: { parameters: ["u32", "u32", "u32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** libc's functions that the raw system calls do not replace: those change the calling thread alone. */
export function credentials(): Deno.DynamicLibrary<typeof TABLE>["symbols"] {
  return opened ??= Deno.dlopen("libc.so.6", TABLE).symbols;
}
