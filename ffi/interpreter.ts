/**
 * What the kernel lets a threaded process do goes directly through FFI to libc (`libc.ts`).
 * What it refuses to one is done by a program that FFI hands control to (this file and `lib/shim`).
 * Nothing outside this directory knows a syscall number, a machine instruction or the name of a C function.
 *
 * The machine code of the interpreter. `interpreter-x86_64.S` and `interpreter-aarch64.S` are its listings.
 */
import type { Arch } from "./syscalls.ts";

const CODE: Record<Arch, string> = {
  x86_64:
    "4889242500106000bb101060006a0559488b44cb100fa34b087303488b0050ffc979ed5f5e5a415a41584159488b0385c0782f0f05483d01f0ffff730f488b4b40e3034889014883c360ebc1488904250010600048891c2508106000488b5b48ebab489789f1ffc774d3ffc775054801f0ebcaffc775054829f0ebc1ffc775054821f0ebb8ffc7750548d3e8ebafffc7750548d3e0eba6ffc77505488b00eb9dffc77505488930eb9dffc775074839f07412eb92ffc775074839f07507eb874839f07d824889d3e941ffffff",
  aarch64:
    "130082d2130ca0f2e9030091690601f8690a40b9600641a9620e42a9641643a949000036000040f949000836210040f949001036420040f949001836630040f949002036840040f949002836a50040f9680240f9c801f8b7010000d41ffc3fb1c2000054692240f9490000b4200100f973820191e7ffff17090082d2090ca0f2204d00a9732640f9e2ffff17080500b1a0feff54080500b1610000540000018bf1ffff17080500b161000054000001cbedffff17080500b1610000540000018ae9ffff17080500b1610000540024c19ae5ffff17080500b1610000540020c19ae1ffff17080500b161000054000040f9ddffff17080500b161000054010000f9dcffff17080500b1810000541f0001eb20010054d7ffff17080500b1810000541f0001eb81000054d2ffff171f0001eb0afaff54f30302aab6ffff17",
};

/** Where the linker of the listings and the image writer agree the segments lie. */
export const CODE_ADDRESS = 0x400000;
export const DATA_ADDRESS = 0x601000;

/** Codes of the operations that are not system calls. */
export const OPERATION = {
  mov: -1,
  add: -2,
  sub: -3,
  and: -4,
  shr: -5,
  shl: -6,
  load: -7,
  store: -8,
  beq: -9,
  bne: -10,
  blt: -11,
} as const;

/** ELF e_machine of each architecture (elf.h). */
export const ELF_MACHINE: Record<Arch, number> = { x86_64: 62, aarch64: 183 };

/** The interpreter's instructions; its entry point is their first byte. */
export function interpreter(arch: Arch): Uint8Array {
  const hex = CODE[arch];
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
