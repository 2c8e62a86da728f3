/** The caller's terminal, which the program inside shares. */
import assert from "node:assert/strict";
import { cordonArgv } from "../helpers/binary.ts";
import { type Person, userOnly } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";
import { attackDirectory, attackProgram, compiler, quote } from "./security_attack.ts";

const needs = [compiler, program("script")];

/** Runs a script on a terminal of its own. */
async function onTerminal(p: Person, script: string): Promise<string> {
  const output = await p.sh(`script -qec ${quote(`sh -c ${quote(script)}`)} /dev/null < /dev/null`, p.dir());
  return output.replaceAll("\r", "");
}

/** The attack inside, as words of a shell. */
function sandboxed(attack: string): string {
  const argv = ["isolate", "-m", `ro:${attackDirectory()}`, "--", attackProgram(), attack];
  return cordonArgv(argv).map(quote).join(" ");
}

userOnly("the terminal keeps its mode, so that nobody else can read along", async (p) => {
  const attack = "change_mode_of_stdin";
  assert.equal(await onTerminal(p, `${attackProgram()} ${attack}`), `${attack} done`);
  assert.equal(await onTerminal(p, sandboxed(attack)), `${attack} EROFS`);
}, { needs });

userOnly("the terminal can be opened after the end, whatever was asked of it", async (p) => {
  const attack = "exclusive_terminal";
  const open = "(: < /dev/tty) 2>/dev/null && echo open || echo busy";
  assert.equal(await onTerminal(p, `${attackProgram()} ${attack}; ${open}`), `${attack} done\nbusy`);
  assert.equal(await onTerminal(p, `${sandboxed(attack)}; ${open}`), `${attack} done\nopen`);
}, { needs });
