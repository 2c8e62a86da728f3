/** The compiled executable under test. */
import { baseEnv, type Outcome, run, type RunOptions, tmp } from "./run.ts";
import { asUserArgv, ordinaryHome } from "./user.ts";

export { type Outcome, tmp } from "./run.ts";

export interface CordonOptions extends RunOptions {
  /** Who starts it: the caller of the tests (default), or the ordinary user of helpers/user.ts. */
  user?: "caller" | "ordinary";
  /** The name it is called by, through a link (`isolate.sh`). */
  argv0?: string;
  /** What it is started with, such as `onOldKernel()`. */
  prefix?: readonly string[];
}

const BUILT = new URL("../../build/cordon", import.meta.url).pathname;

let directory: string | undefined;

/** A copy of build/cordon that any user can execute (the checkout may lie in a private home). */
export function executable(): string {
  if (directory === undefined) {
    const fresh = tmp();
    try {
      Deno.copyFileSync(BUILT, `${fresh}/cordon`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new Error("build/cordon does not exist; make it with: CORDON_RUN=build ./cordon");
    }
    Deno.chmodSync(`${fresh}/cordon`, 0o755);
    directory = fresh;
  }
  return `${directory}/cordon`;
}

/** The executable under another name, as `install.sh --old-names` would link it. */
export function executableAs(name: string): string {
  const path = executable();
  if (name === "cordon") return path;
  const link = path.replace(/[^/]*$/, name);
  try {
    Deno.symlinkSync("cordon", link);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  return link;
}

let callerHome: string | undefined;

/** The whole command line for {@link cordon}, for tests that start it in their own way. */
export function cordonArgv(argv: readonly string[], options: CordonOptions = {}): string[] {
  const whole = [...options.prefix ?? [], executableAs(options.argv0 ?? "cordon"), ...argv];
  return options.user === "ordinary" ? asUserArgv(whole) : whole;
}

/** Runs the executable to its end, in an empty home directory and with a minimal environment. */
export function cordon(argv: readonly string[], options: CordonOptions = {}): Promise<Outcome> {
  const home = options.user === "ordinary" ? ordinaryHome() : callerHome ??= tmp();
  const env = { ...baseEnv(home), ...options.env };
  return run(cordonArgv(argv, options), { ...options, env, cwd: options.cwd ?? home });
}
