/**
 * From a program to a static ELF executable: the interpreter (read and execute), operations, data and zeroed memory
 * (read and write), a stack that is not executable. elf(5).
 */
import { CODE_ADDRESS, DATA_ADDRESS, ELF_MACHINE, interpreter, OPERATION } from "../../ffi/interpreter.ts";
import { type Syscall, syscallNumber } from "../../ffi/syscalls.ts";
import { addAbort } from "./abort.ts";
import { sentence } from "../errors.ts";
import { put64 } from "./heap.ts";
import type { Text } from "./strings.ts";
import { type Address, Label, type Program, Slot } from "./program.ts";

/** Size of an operation, and where in it the description of the step lies (see the interpreter's listing). */
const OPERATION_SIZE = 96;
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
  const { operations } = p;
  // Every string must be known before the place of what follows is. The rest of this function only writes.
  const says: (Text | undefined)[] = [];
  for (const { name, args, say } of operations) {
    for (const argument of args) if (typeof argument === "string") p.strings.add(argument);
    // What a failure message calls the step.
    says.push(name in OPERATION ? undefined : p.strings.add(`${say ? sentence(say) : name}: `));
  }

  const textStart = FIRST_OPERATION + operations.length * OPERATION_SIZE;
  const stringStart = textStart + p.text.length;
  const dataStart = (stringStart + p.strings.size + PAGE - 1) & -PAGE;
  const zeroStart = (dataStart + p.data.length + 8 + 63) & -64;
  const bases = {
    vm: DATA_ADDRESS,
    text: DATA_ADDRESS + textStart,
    string: DATA_ADDRESS + stringStart,
    data: DATA_ADDRESS + dataStart,
    zero: DATA_ADDRESS + zeroStart,
  };
  const addressOf = ({ segment, offset }: Address): number => bases[segment] + offset;
  const placeOf = (label: Label): number => {
    if (label.position < 0) throw new Error(`label ${label.name} is used and never placed`);
    return DATA_ADDRESS + FIRST_OPERATION + label.position * OPERATION_SIZE;
  };

  const code = interpreter(p.arch);
  const image = new Uint8Array(DATA_OFFSET + zeroStart);
  const view = new DataView(image.buffer);
  image.set(code, ENTRY);
  image.set(p.text, DATA_OFFSET + textStart);
  p.strings.write(image.subarray(DATA_OFFSET + stringStart));
  image.set(p.data, DATA_OFFSET + dataStart);
  for (const { at, to } of p.references) {
    const place = DATA_OFFSET - DATA_ADDRESS + addressOf(at);
    put64(view, place, to instanceof Label ? placeOf(to) : addressOf(to));
  }
  // Operations are words of 64 bits, nearly all below 2^32: low halves go straight into a 32-bit view, for start-up's sake.
  const low = new Uint32Array(image.buffer);
  let at = DATA_OFFSET + FIRST_OPERATION;
  const abort = placeOf(p.abort);
  operations.forEach((operation, i) => {
    const { name, args, into, fail } = operation;
    const word = at >> 2;
    let slots = 0;
    for (let j = 0; j < args.length; j++) {
      const argument = args[j]!;
      const to = word + 4 + 2 * j;
      if (typeof argument === "number" && argument >= 0 && argument <= 0xffffffff) low[to] = argument;
      else if (typeof argument === "number" || typeof argument === "bigint") put64(view, 4 * to, argument);
      else if (typeof argument === "string") low[to] = bases.string + p.strings.add(argument).offset;
      else if (argument instanceof Slot) {
        slots |= 1 << j;
        low[to] = addressOf(argument.address);
      } else low[to] = argument instanceof Label ? placeOf(argument) : addressOf(argument);
    }
    low[word + 2] = slots;
    if (into) low[word + 16] = addressOf(into.address);
    low[word + 18] = fail ? placeOf(fail) : abort;
    const say = says[i];
    if (say) {
      low[word] = syscallNumber(name as Syscall, p.arch);
      low[word + 20] = bases.string + say.offset;
      low[word + 22] = say.length;
    } else put64(view, at, OPERATION[name as keyof typeof OPERATION]);
    at += OPERATION_SIZE;
  });
  writeHeaders(view, p, { code: ENTRY + code.length, segment: zeroStart });
  return image;
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
  // Eight bytes more: a field at the very end is read as a whole word.
  const inMemory = size.segment + p.zeroSize + 8;
  entry(1, PT_LOAD, PF.r | PF.w, [DATA_OFFSET, DATA_ADDRESS, size.segment, inMemory]);
  entry(2, PT_GNU_STACK, PF.r | PF.w, [0, 0, 0, 0]);
}
