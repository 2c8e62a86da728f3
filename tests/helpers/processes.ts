/** What runs: looked up in /proc, for tests that no process is left and that the right one gets a signal. */

import { cordonArgv } from "./binary.ts";
import type { Person } from "./everyone.ts";
import { baseEnv } from "./run.ts";
import { asUserArgv } from "./user.ts";

export interface Running {
  pid: number;
  parent: number;
  /** Process group and session. */
  group: number;
  session: number;
  /** Foreground group of its terminal; -1 without a terminal. */
  foreground: number;
  /** R, S, T (stopped), Z … of proc_pid_stat(5). */
  state: string;
  comm: string;
  argv: string[];
}

function read(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined; // ended meanwhile, or somebody else's: either way nothing to see
  }
}

/** The process, if it is still there. */
export function running(pid: number): Running | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const close = stat.lastIndexOf(")");
  const fields = stat.slice(close + 2).split(" ");
  const number = (i: number) => Number(fields[i]);
  return {
    pid,
    parent: number(1),
    group: number(2),
    session: number(3),
    foreground: number(5),
    state: fields[0] ?? "",
    comm: stat.slice(stat.indexOf("(") + 1, close),
    argv: (read(`/proc/${pid}/cmdline`) ?? "").split("\0").slice(0, -1),
  };
}

/** Every process this user can see. */
export function processes(): Running[] {
  return [...Deno.readDirSync("/proc")]
    .filter(({ name }) => /^\d+$/.test(name))
    .map(({ name }) => running(Number(name)))
    .filter((found) => found !== undefined);
}

/** A process and all below it, parents first. */
export function family(pid: number): Running[] {
  const all = processes();
  const found = all.filter((one) => one.pid === pid);
  for (const member of found) found.push(...all.filter((one) => one.parent === member.pid));
  return found;
}

/** Processes, ended ones left out, that have this word among their arguments. */
export function withArgument(word: string): Running[] {
  return processes().filter(({ state, argv }) => state !== "Z" && argv.includes(word));
}

/** The three of a running sandbox, by the pid it was started as. Waits until the target is there. */
export async function sandboxOf(
  pid: number,
): Promise<{ monitor: Running; init: Running; target: Running }> {
  return await eventually(`the processes of the sandbox ${pid}`, () => {
    const monitor = running(pid);
    if (monitor?.comm !== "cordon-monitor") return undefined;
    const init = processes().find((one) => one.parent === pid && one.comm === "cordon-init");
    const target = init && processes().find((one) => one.parent === init.pid && one.comm !== "cordon-init");
    return init && target && { monitor, init, target };
  });
}

/** Asks again until there is an answer. A minute without one is a failure; nothing is said about how long it takes. */
export async function eventually<T>(what: string, ask: () => T | undefined | false): Promise<T> {
  const until = Date.now() + 60_000;
  for (;;) {
    const answer = ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > until) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export interface Started {
  /** What was started; of `cordon isolate` the monitor. */
  pid: number;
  kill(signal: Deno.Signal): void;
  /** What appeared on stdout so far. */
  said(): string;
  /** Waits until stdout matches. */
  expect(pattern: RegExp): Promise<void>;
  /** Its end: exit status (128 + N after signal N), signal, all of stdout and stderr. */
  end: Promise<{ code: number; signal: Deno.Signal | null; stdout: string; stderr: string }>;
}

/** Starts a program as this person, in the background of the test. It is killed when the body is done. */
export async function whileRunning<T>(
  p: Person,
  argv: readonly string[],
  body: (started: Started) => Promise<T>,
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<T> {
  const [program, ...args] = p.name === "user" ? asUserArgv(argv) : argv;
  const cwd = options.cwd ?? p.dir();
  const child = new Deno.Command(program!, {
    args,
    cwd,
    env: { ...baseEnv(cwd), ...options.env },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const heard = { stdout: "", stderr: "" };
  const listen = async (name: "stdout" | "stderr") => {
    const decoder = new TextDecoder();
    for await (const chunk of child[name]) heard[name] += decoder.decode(chunk, { stream: true });
  };
  const ends = Promise.all([child.status, listen("stdout"), listen("stderr")]);
  const started: Started = {
    pid: child.pid,
    kill: (signal) => child.kill(signal),
    said: () => heard.stdout,
    expect: async (pattern) => {
      await eventually(`${pattern} in ${JSON.stringify(heard)}`, () => pattern.test(heard.stdout));
    },
    end: ends.then(([{ code, signal }]) => ({ code, signal, ...heard })),
  };
  try {
    return await body(started);
  } finally {
    endProcess(child);
    await ends;
  }
}

function endProcess(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error; // it has ended
  }
}

/** {@link whileRunning} of `cordon isolate ARGS`. */
export function whileIsolated<T>(
  p: Person,
  args: readonly string[],
  body: (started: Started) => Promise<T>,
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<T> {
  return whileRunning(p, cordonArgv(["isolate", ...args]), body, options);
}
