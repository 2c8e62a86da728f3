/** Builds and runs the attacks of security_attack.c, outside and inside, and compares what became of them. */
import assert from "node:assert/strict";
import type { CordonOptions } from "../helpers/binary.ts";
import { ok, type Person } from "../helpers/everyone.ts";
import { type Need, program } from "../helpers/need.ts";
import { tmp } from "../helpers/run.ts";

/** What the attacks need: a C compiler. */
export const compiler: Need = program("gcc");

const SOURCE = new URL("security_attack.c", import.meta.url).pathname;

/** Outside: root of namespaces of its own, where an attack that needs root harms nobody. */
export const NAMESPACE_ROOT =
  "unshare --user --map-root-user --mount --propagation private --net --ipc --uts --pid --cgroup --fork";

let directory: string | undefined;

/** A directory that everybody may read, with the program `attack` in it. */
export function attackDirectory(): string {
  if (directory !== undefined) return directory;
  const fresh = tmp();
  const args = ["-O1", "-static", "-o", `${fresh}/attack`, SOURCE];
  const { success, stderr } = new Deno.Command("gcc", { args }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return directory = fresh;
}

export function attackProgram(): string {
  return `${attackDirectory()}/attack`;
}

/** `done` or the name of an errno, by attack. */
export type Effects = Record<string, string>;

function effects(stdout: string): Effects {
  return Object.fromEntries(
    stdout.trim().split("\n").map((line) => {
      const space = line.indexOf(" ");
      return [line.slice(0, space), line.slice(space + 1)];
    }),
  );
}

export interface OutsideOptions {
  cwd?: string;
  /** What the program is started with, such as {@link NAMESPACE_ROOT}. */
  prefix?: string;
  /** Shell commands before it; with a prefix they run under that. */
  prepare?: string;
}

/** The attacks as this person, without a sandbox. */
export async function outside(
  person: Person,
  attacks: readonly string[],
  { cwd = "/", prefix = "", prepare = ":" }: OutsideOptions = {},
): Promise<Effects> {
  const script = `${prepare}; exec ${attackProgram()} ${attacks.map(quote).join(" ")}`;
  return effects(await person.sh(prefix === "" ? script : `${prefix} sh -euc ${quote(script)}`, cwd));
}

export interface InsideOptions extends Omit<CordonOptions, "user"> {
  /** Options of `cordon isolate`. The attack program is shown read-only in any case. */
  args?: readonly string[];
}

/** The attacks as this person's sandboxed program. */
export async function inside(
  person: Person,
  attacks: readonly string[],
  { args = [], ...options }: InsideOptions = {},
): Promise<Effects> {
  const argv = ["-m", `ro:${attackDirectory()}`, ...args, "--", attackProgram(), ...attacks];
  return effects(ok(await person.isolate(argv, options)));
}

/** Every attack does what it is meant to: the test is worth something. */
export function worked(
  found: Effects,
  { except = {} }: { except?: Record<string, readonly string[]> } = {},
): void {
  for (const [attack, effect] of Object.entries(found)) {
    const excused = except[attack.split(":")[0]!] ?? [];
    assert.ok(effect === "done" || excused.includes(effect), `outside, ${attack}: ${effect}`);
  }
}

export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
