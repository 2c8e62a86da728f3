/** Tests of the executable that hold for root and for ordinary users: each is run once as either. */
import assert from "node:assert/strict";
import { cordon, type CordonOptions, type Outcome, tmp } from "./binary.ts";
import { type Need, ordinaryUser, test, type TestOptions, userns } from "./need.ts";
import { run } from "./run.ts";
import { asUserArgv, ordinaryUid } from "./user.ts";

/** Somebody who uses cordon. */
export interface Person {
  name: "root" | "user";
  uid: number;
  /** A new directory of this person's, private to them. */
  dir(): string;
  /** Runs a script as this person, outside any sandbox; it must succeed. Its output, trimmed. */
  sh(script: string, cwd: string): Promise<string>;
  cordon(args: readonly string[], options?: Omit<CordonOptions, "user">): Promise<Outcome>;
  /** `cordon isolate ARGS`. */
  isolate(args: readonly string[], options?: Omit<CordonOptions, "user">): Promise<Outcome>;
  /** The same executable called `isolate.sh`. */
  isolateSh(args: readonly string[], options?: Omit<CordonOptions, "user">): Promise<Outcome>;
}

function person(name: Person["name"]): Person {
  const ordinary = name === "user";
  const who = { user: ordinary ? "ordinary" : "caller" } as const;
  const uid = ordinary ? ordinaryUid : 0;
  return {
    name,
    uid,
    dir: () => tmp({ owner: uid }),
    async sh(script, cwd) {
      const argv = ["sh", "-euc", script];
      return ok(await run(ordinary ? asUserArgv(argv) : argv, { cwd }));
    },
    cordon: (args, options) => cordon(args, { ...options, ...who }),
    isolate: (args, options) => cordon(["isolate", ...args], { ...options, ...who }),
    isolateSh: (args, options) => cordon(args, { ...options, ...who, argv0: "isolate.sh" }),
  };
}

const asRoot: Need = { what: "root", met: () => Deno.uid() === 0 };

/** Two tests, one as root (where the tests run as root) and one as an ordinary user. */
export function everyone(
  name: string,
  body: (person: Person, t: Deno.TestContext) => void | Promise<void>,
  options: TestOptions = {},
): void {
  const needs = options.needs ?? [];
  if (asRoot.met() === true) test(`${name} [root]`, { ...options }, (t) => body(person("root"), t));
  test(
    `${name} [user]`,
    { ...options, needs: [ordinaryUser, userns, ...needs] },
    (t) => body(person("user"), t),
  );
}

/** As {@link everyone}, for what only an ordinary user can do. */
export function userOnly(
  name: string,
  body: (person: Person, t: Deno.TestContext) => void | Promise<void>,
  options: TestOptions = {},
): void {
  const needs = [ordinaryUser, userns, ...options.needs ?? []];
  test(`${name} [user]`, { ...options, needs }, (t) => body(person("user"), t));
}

/** As {@link everyone}, for what only root can do. */
export function rootOnly(
  name: string,
  body: (person: Person, t: Deno.TestContext) => void | Promise<void>,
  options: TestOptions = {},
): void {
  if (asRoot.met() === true) test(`${name} [root]`, options, (t) => body(person("root"), t));
}

/** It succeeded and had nothing to complain of; what it printed, trimmed. */
export function ok(outcome: Outcome): string {
  assert.deepEqual({ code: outcome.code, stderr: outcome.stderr }, { code: 0, stderr: "" }, outcome.stdout);
  return outcome.stdout.trim();
}

/**
 * cordon refused or failed: status 125, nothing on stdout, and one error that matches every pattern. Returns stderr.
 */
export function refused(outcome: Outcome, ...patterns: RegExp[]): string {
  const { code, stdout, stderr } = outcome;
  assert.deepEqual({ code, stdout }, { code: 125, stdout: "" }, stderr);
  assert.equal(stderr.match(/^cordon: /gm)?.length, 1, `one error expected: ${stderr}`);
  assert.doesNotMatch(stderr, /internal error/);
  for (const pattern of patterns) assert.match(stderr, pattern);
  return stderr;
}

/** Everything below a directory: type, mode, size and target of each name. To compare before and after. */
export async function listing(directory: string): Promise<string> {
  const argv = ["find", directory, "-xdev", "-printf", "%P %y %m %U %s %l\\n"];
  argv.push(..."-type d ! -executable -prune".split(" "));
  return ok(await run(argv)).split("\n").sort().join("\n");
}
