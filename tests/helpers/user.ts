/** The ordinary user of the tests: the caller, or, when the tests run as root, a uid nobody has. */
import { baseEnv, type Outcome, run, type RunOptions, tmp } from "./run.ts";

const isRoot = Deno.uid() === 0;

function unusedUid(): number {
  const taken = new Set(
    Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => Number(line.split(":")[2])),
  );
  let uid = 65500;
  while (taken.has(uid)) uid--;
  return uid;
}

/** uid (and gid) of the ordinary user. */
export const ordinaryUid: number = isRoot ? unusedUid() : Deno.uid() ?? 0;

let home: string | undefined;

/** The ordinary user's private, empty home directory, one for the test file. */
export function ordinaryHome(): string {
  return home ??= tmp({ owner: ordinaryUid });
}

/** A private directory of the ordinary user's. */
export function ordinaryTmp(): string {
  return tmp({ owner: ordinaryUid });
}

/** `argv` as the ordinary user would start it: no supplementary groups, no capabilities. */
export function asUserArgv(argv: readonly string[]): string[] {
  if (!isRoot) return [...argv];
  const id = String(ordinaryUid);
  return ["setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--inh-caps=-all", "--", ...argv];
}

/** Runs `argv` as the ordinary user, at home unless `cwd` says otherwise. */
export function asUser(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const env = { ...baseEnv(ordinaryHome()), ...options.env };
  return run(asUserArgv(argv), { ...options, cwd: options.cwd ?? ordinaryHome(), env });
}
