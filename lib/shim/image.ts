/**
 * From a program to a static ELF executable: the interpreter (read and execute), operations, data and zeroed memory
 * (read and write), a stack that is not executable. elf(5).
 */
import { CODE_ADDRESS, DATA_ADDRESS, ELF_MACHINE, interpreter, OPERATION } from "../../ffi/interpreter.ts";
import { type Syscall, syscallNumber } from "../../ffi/syscalls.ts";
import { encodeOs } from "../host/bytes.ts";
import { addAbort } from "./abort.ts";
import { Address, type Argument, Label, type Operation, type Program, Slot } from "./program.ts";

/** Size of an operation, and where in it the description of the step lies (see the interpreter's listing). */
export const OPERATION_SIZE = 96;
export const OPERATION_SAY = 80;
const FIRST_OPERATION = 16;
const ENTRY = 0x200;
const DATA_OFFSET = 0x1000;
const PAGE = 0x1000;
const PF = { x: 1, w: 2, r: 4 } as const;
const PT_LOAD = 1, PT_GNU_STACK = 0x6474e551;

/** The executable image of a program. Ends the program: nothing can be added to it afterwards. */
export function writeImage(p: Program): Uint8Array<ArrayBuffer> {
  addAbort(p);
  // Every string must be in the data before its size is known.
  for (const operation of p.operations) {
    for (const argument of operation.args) if (typeof argument === "string") p.string(argument);
  }
  const says = p.operations.map((o) => isCall(o) ? p.string(`${o.say ?? o.name}: `) : undefined);

  const dataStart = FIRST_OPERATION + p.operations.length * OPERATION_SIZE;
  const zeroStart = (dataStart + p.data.length + 8 + 63) & -64;
  const addressOf = (target: Address | Label): number => {
    if (target instanceof Label) {
      if (target.position < 0) throw new Error(`label ${target.name} is used and never placed`);
      return DATA_ADDRESS + FIRST_OPERATION + target.position * OPERATION_SIZE;
    }
    const base = target.segment === "vm" ? 0 : target.segment === "data" ? dataStart : zeroStart;
    return DATA_ADDRESS + base + target.offset;
  };
  const valueOf = (argument: Argument): number | bigint => {
    if (typeof argument === "number" || typeof argument === "bigint") return argument;
    if (typeof argument === "string") return addressOf(p.string(argument));
    return addressOf(argument instanceof Slot ? argument.address : argument);
  };

  const code = interpreter(p.arch);
  const segment = zeroStart;
  const image = new Uint8Array(DATA_OFFSET + segment);
  const view = new DataView(image.buffer);
  const put = (offset: number, value: number | bigint) => put64(view, DATA_OFFSET + offset, value);

  image.set(code, ENTRY);
  image.set(p.data, DATA_OFFSET + dataStart);
  for (const { offset, to } of p.references) put(dataStart + offset, addressOf(to));
  p.operations.forEach((operation, i) => {
    const at = FIRST_OPERATION + i * OPERATION_SIZE;
    put(at, isCall(operation) ? syscallNumber(operation.name as Syscall, p.arch) : codeOf(operation));
    let slots = 0;
    operation.args.forEach((argument, j) => {
      if (argument instanceof Slot) slots |= 1 << j;
      put(at + 16 + j * 8, valueOf(argument));
    });
    put(at + 8, slots);
    if (operation.into) put(at + 64, addressOf(operation.into.address));
    put(at + 72, addressOf(operation.fail ?? p.abort));
    const say = says[i];
    if (say) {
      put(at + OPERATION_SAY, addressOf(say));
      put(at + OPERATION_SAY + 8, encodeOs(`${operation.say ?? operation.name}: `).length);
    }
  });
  writeHeaders(view, p, { code: ENTRY + code.length, segment });
  return image;
}

function isCall(operation: Operation): boolean {
  return !(operation.name in OPERATION);
}

function codeOf(operation: Operation): number {
  return OPERATION[operation.name as keyof typeof OPERATION];
}

function writeHeaders(view: DataView, p: Program, size: { code: number; segment: number }): void {
  const headerSize = 64, entrySize = 56, entries = 3;
  new Uint8Array(view.buffer).set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // ELF, 64-bit, little-endian, version 1
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, ELF_MACHINE[p.arch], true);
  view.setUint32(20, 1, true);
  put64(view, 24, CODE_ADDRESS + ENTRY);
  put64(view, 32, headerSize);
  view.setUint16(52, headerSize, true);
  view.setUint16(54, entrySize, true);
  view.setUint16(56, entries, true);
  const entry = (
    i: number,
    type: number,
    flags: number,
    [offset, address, inFile, inMemory]: [number, number, number, number],
  ) => {
    const at = headerSize + i * entrySize;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, flags, true);
    [offset, address, address, inFile, inMemory, PAGE].forEach((v, k) => put64(view, at + 8 + k * 8, v));
  };
  entry(0, PT_LOAD, PF.r | PF.x, [0, CODE_ADDRESS, size.code, size.code]);
  entry(1, PT_LOAD, PF.r | PF.w, [DATA_OFFSET, DATA_ADDRESS, size.segment, size.segment + p.zeroSize]);
  entry(2, PT_GNU_STACK, PF.r | PF.w, [0, 0, 0, 0]);
}

function put64(view: DataView, offset: number, value: number | bigint): void {
  if (typeof value === "number" && value >= 0 && value <= 0xffffffff) {
    view.setUint32(offset, value, true);
    view.setUint32(offset + 4, 0, true);
  } else view.setBigUint64(offset, BigInt.asUintN(64, BigInt(value)), true);
}
