/** Prints a program in the manner of strace(1): for `--explain` and for the test of a change's effect. */
import { OPERATION } from "../../ffi/interpreter.ts";
import { Address, type Argument, Label, type Operation, type Program, Slot } from "./program.ts";

/** One line for each operation; labels stand on lines of their own. */
export function explain(p: Program): string {
  const at = new Map<number, string[]>();
  const named = new Map<Label, string>();
  const nameOf = (label: Label): string => {
    if (label === p.abort) return "abort";
    if (label === p.giveUp) return "give-up";
    let name = named.get(label);
    if (!name) named.set(label, name = `${label.name.replaceAll(" ", "-") || "on"}.${named.size}`);
    return name;
  };
  for (const operation of p.operations) {
    for (const value of [...operation.args, operation.fail]) {
      if (
        value instanceof Label && value.position >= 0 && !named.has(value) && value !== p.abort &&
        value !== p.giveUp
      ) {
        at.set(value.position, [...at.get(value.position) ?? [], nameOf(value)]);
      }
    }
  }
  const lines: string[] = [];
  p.operations.forEach((operation, i) => {
    for (const name of at.get(i) ?? []) lines.push(`${name}:`);
    lines.push("    " + line(operation, nameOf));
  });
  return lines.join("\n") + "\n";
}

const SYMBOL: Record<string, string> = { add: "+", sub: "-", and: "&", shr: ">>", shl: "<<" };

function line(operation: Operation, nameOf: (label: Label) => string): string {
  const args = operation.args.map((a) => value(a, nameOf));
  const into = operation.into ? `${value(operation.into, nameOf)} = ` : "";
  if (operation.name in OPERATION) {
    switch (operation.name) {
      case "mov":
        return `${into}${args[0]}`;
      case "load":
        return `${into}*${args[0]}`;
      case "store":
        return `*${args[0]} = ${args[1]}`;
      case "beq":
        return args[0] === args[1] ? `goto ${args[2]}` : `if ${args[0]} == ${args[1]} goto ${args[2]}`;
      case "bne":
        return `if ${args[0]} != ${args[1]} goto ${args[2]}`;
      case "blt":
        return `if ${args[0]} < ${args[1]} goto ${args[2]}`;
      default:
        return `${into}${args[0]} ${SYMBOL[operation.name]} ${args[1]}`;
    }
  }
  const otherwise = operation.fail ? `  else ${nameOf(operation.fail)}` : "";
  const say = operation.say ? `  # ${operation.say}` : "";
  return `${into}${operation.name}(${args.join(", ")})${otherwise}${say}`;
}

function value(argument: Argument, nameOf: (label: Label) => string): string {
  if (typeof argument === "string") return JSON.stringify(argument);
  if (argument instanceof Slot) return slotName(argument.address);
  if (argument instanceof Address) return `&${slotName(argument)}`;
  if (argument instanceof Label) return nameOf(argument);
  if (typeof argument === "bigint") return `0x${BigInt.asUintN(64, argument).toString(16)}`;
  return argument > 255 ? `0x${argument.toString(16)}` : String(argument);
}

function slotName({ segment, offset }: Address): string {
  if (segment === "vm") return offset === 0 ? "errno" : "failed";
  return `${segment[0]}${offset}`;
}
