/**
 * Builder of shim programs: system calls with their arguments laid out, a few operations on slots, structured control
 * flow. A program reads like the C it stands for; `image.ts` makes an executable of it, `explain.ts` prints it.
 */
import type { OPERATION } from "../../ffi/interpreter.ts";
import type { Arch, Syscall } from "../../ffi/syscalls.ts";
import { encodeOs } from "../host/bytes.ts";
import { Heap } from "./heap.ts";
import { Strings } from "./strings.ts";

/**
 * A constant address inside the program: of text that nothing writes to, of initialised data, of zeroed memory, or of
 * the interpreter's two words. Data starts on a page of its own, so that a process can give back what lies before it
 * (`release` of `kit.ts`).
 */
export class Address {
  constructor(readonly segment: "text" | "string" | "data" | "zero" | "vm", readonly offset: number) {}
  plus(bytes: number): Address {
    return new Address(this.segment, this.offset + bytes);
  }
  /** The 8-byte cell `bytes` further on, as a slot. */
  cell(bytes = 0): Slot {
    return new Slot(this.plus(bytes));
  }
}

/** An 8-byte variable. As an argument it stands for its value; `.address` stands for where it is. */
export class Slot {
  constructor(readonly address: Address) {}
}

/** A place in the program to go to. */
export class Label {
  /** Index of the operation it stands before; -1 until placed. */
  position = -1;
  constructor(readonly name: string) {}
}

/** What an operation takes: a number, a C string (its address), a slot's value, an address, a place in the program. */
export type Argument = number | bigint | string | Slot | Address | Label;
type Word = number | bigint | string | Address | Label;
export type Condition = [Argument, "==" | "!=" | "<" | ">=", Argument];

export interface CallOptions {
  /** Slot for the result. */
  into?: Slot;
  /** Where to go on failure. Default: say it, exit 125. `ignore` goes on with the next operation. */
  fail?: Label | "ignore";
  /** The step in a person's words, for failure messages and traces: `mount /proc`. */
  say?: string;
}

export interface Operation {
  name: Syscall | keyof typeof OPERATION;
  args: Argument[];
  into?: Slot;
  fail?: Label;
  say?: string;
}

/** A word that holds an address, to be filled in when that is known. */
export interface Reference {
  at: Address;
  to: Address | Label;
}

/** Zeroed buffers from this size on cost nothing in the image. */
const LARGE = 256;

export class Program {
  readonly operations: Operation[] = [];
  readonly references: Reference[] = [];
  /** Place where an unhandled failure goes: `abort.ts` gives it its operations. */
  readonly abort: Label = new Label("abort");
  /** The second half of that, for a failure that has been told already: status 125, or on at {@link onAbort}. */
  readonly giveUp: Label = new Label("give up");
  /** Errno of the last failed call, negative. Before the first failure: the stack pointer at start. */
  readonly errno: Slot = new Slot(new Address("vm", 0));
  /** Address of the operation that failed. */
  readonly failed: Slot = new Slot(new Address("vm", 8));
  /** Where the process goes on after a failure nobody handled: the address of an operation; 0 ends it. */
  readonly onAbort: Slot;
  /** Not zero while a failure most likely lies with the machine: what it says then points to `cordon doctor`. */
  readonly suspectMachine: Slot;
  /** Where text ends and data begins. */
  readonly dataStart: Address = new Address("data", 0);
  /** Bytes of zeroed memory behind the data. */
  zeroSize = 0;
  /** Print each described step on stderr. */
  trace = false;

  readonly strings: Strings = new Strings();
  #text = new Heap();
  #data = new Heap();

  /** `oldKernel`: for one that lacks calls which came after Linux 4.18, up to mount_setattr(2) of 5.12. */
  constructor(readonly arch: Arch, readonly oldKernel = false) {
    this.onAbort = this.slot();
    this.suspectMachine = this.slot();
  }

  /** The constants so far. */
  get text(): Uint8Array {
    return this.#text.content;
  }
  /** The initialised data so far. */
  get data(): Uint8Array {
    return this.#data.content;
  }

  // ------------------------------------------------------------------------------------------------ data

  /** Memory holding these bytes. */
  bytes(content: Uint8Array, align = 8): Address {
    return new Address("data", this.#data.put(content, align));
  }

  /** Memory holding these bytes, which nothing writes to. */
  constant(content: Uint8Array): Address {
    return new Address("text", this.#text.put(content, 8));
  }

  /** Zeroed memory of this many bytes. */
  buffer(size: number): Address {
    if (size < LARGE) return new Address("data", this.#data.reserve(size, 8));
    const offset = (this.zeroSize + 63) & -64;
    this.zeroSize = offset + size;
    return new Address("zero", offset);
  }

  /** A variable. */
  slot(initial: number | bigint = 0): Slot {
    const offset = this.#data.reserve(8, 8);
    if (initial) this.#data.write(offset, initial);
    return new Slot(new Address("data", offset));
  }

  /** Address of a C string; equal strings share one place. */
  string(text: string): Address {
    return new Address("string", this.strings.add(text).offset);
  }

  /** 8-byte words in a row; strings, addresses and labels stand for where they are. */
  words(...values: Word[]): Address {
    return this.#words(values, "data");
  }

  /** A NULL-terminated vector of C strings, as execve(2) wants it. */
  vector(strings: string[]): Address {
    return this.#words([...strings, 0], "text");
  }

  #words(values: Word[], segment: "text" | "data"): Address {
    const heap = segment === "text" ? this.#text : this.#data;
    const start = heap.reserve(values.length * 8, 8);
    values.forEach((value, i) => {
      const offset = start + i * 8;
      if (typeof value === "string") value = this.string(value);
      if (typeof value === "number" || typeof value === "bigint") heap.write(offset, value);
      else this.references.push({ at: new Address(segment, offset), to: value });
    });
    return new Address(segment, start);
  }

  // ------------------------------------------------------------------------------------------------ operations

  /** A system call. */
  sys(name: Syscall, args: Argument[], options: CallOptions = {}): void {
    if (this.trace && options.say) {
      const line = `cordon: ${options.say}\n`;
      const go = new Label("go");
      this.operations.push({ name: "write", args: [2, line, encodeOs(line).length], fail: go });
      this.place(go);
    }
    const operation: Operation = { name, args };
    if (options.into) operation.into = options.into;
    if (options.say) operation.say = options.say;
    let after: Label | undefined;
    if (options.fail === "ignore") operation.fail = after = new Label("");
    else if (options.fail) operation.fail = options.fail;
    this.operations.push(operation);
    if (after) this.place(after);
  }

  #compute(name: keyof typeof OPERATION, args: Argument[], into?: Slot): void {
    this.operations.push(into ? { name, args, into } : { name, args });
  }
  /** `to = value` */
  set(to: Slot, value: Argument): void {
    this.#compute("mov", [value], to);
  }
  add(to: Slot, a: Argument, b: Argument): void {
    this.#compute("add", [a, b], to);
  }
  sub(to: Slot, a: Argument, b: Argument): void {
    this.#compute("sub", [a, b], to);
  }
  and(to: Slot, a: Argument, b: Argument): void {
    this.#compute("and", [a, b], to);
  }
  /** Logical shift right. */
  shr(to: Slot, a: Argument, bits: number | Slot): void {
    this.#compute("shr", [a, bits], to);
  }
  shl(to: Slot, a: Argument, bits: number | Slot): void {
    this.#compute("shl", [a, bits], to);
  }
  /** `to = *(u64 *) pointer` */
  load(to: Slot, pointer: Argument): void {
    this.#compute("load", [pointer], to);
  }
  /** `*(u64 *) pointer = value` */
  store(pointer: Argument, value: Argument): void {
    this.#compute("store", [pointer, value]);
  }
  /** The low `bits` bits at a constant address, zero-extended. */
  field(to: Slot, at: Address, bits: 8 | 16 | 32): void {
    this.and(to, at.cell(), 2 ** bits - 1);
  }

  // ------------------------------------------------------------------------------------------------ control flow

  label(name = ""): Label {
    return new Label(name);
  }
  /** The next operation is where `label` leads. */
  place(label: Label): Label {
    if (label.position >= 0) throw new Error(`label ${label.name} is placed twice`);
    label.position = this.operations.length;
    return label;
  }
  /** A slot as target holds the address of the operation (a subroutine's return). */
  goto(label: Label | Slot): void {
    this.#compute("beq", [0, 0, label]);
  }
  /** Go to `label` when the condition holds. */
  when([a, comparison, b]: Condition, label: Label): void {
    if (comparison === "==") this.#compute("beq", [a, b, label]);
    else if (comparison === "!=") this.#compute("bne", [a, b, label]);
    else if (comparison === "<") this.#compute("blt", [a, b, label]);
    else {
      const less = new Label("");
      this.#compute("blt", [a, b, less]);
      this.goto(label);
      this.place(less);
    }
  }
  if([a, comparison, b]: Condition, then: () => void, otherwise?: () => void): void {
    const opposite = { "==": "!=", "!=": "==", "<": ">=", ">=": "<" } as const;
    const no = new Label("else");
    this.when([a, opposite[comparison], b], no);
    then();
    if (!otherwise) {
      this.place(no);
      return;
    }
    const end = new Label("end");
    this.goto(end);
    this.place(no);
    otherwise();
    this.place(end);
  }
  /** Repeats for ever; `leave` ends it, `again` starts the next turn. */
  loop(body: (leave: Label, again: Label) => void): void {
    const again = this.place(new Label("again"));
    const leave = new Label("leave");
    body(leave, again);
    this.goto(again);
    this.place(leave);
  }
  exit(status: Argument): void {
    this.sys("exit_group", [status]);
  }
}
