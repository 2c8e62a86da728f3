/** Starts programs for tests: output collected, a deadline, private directories that go when the test file ends. */
import process from "node:process";

export interface RunOptions {
  cwd?: string;
  /** Added to {@link baseEnv}; `undefined` removes a name. Nothing of the test's own environment passes. */
  env?: Record<string, string | undefined>;
  /** What the program reads; without it, stdin is /dev/null. */
  stdin?: string | Uint8Array;
  /** Milliseconds until the program is killed and the call rejects. Default 60,000. */
  deadline?: number;
}

export interface Outcome {
  /** Exit status; 128 + N after signal N. */
  code: number;
  signal: Deno.Signal | null;
  stdout: string;
  stderr: string;
  /** stdout as it came, for output that is not UTF-8. */
  bytes: Uint8Array;
}

/** The environment a program under test starts with. */
export function baseEnv(home: string): Record<string, string> {
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: home,
    LANG: "C.UTF-8",
  };
}

/** Runs `argv` to its end. Rejects when it cannot be started or passes its deadline, with what it said so far. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const [program, ...args] = argv;
  if (program === undefined) throw new TypeError("no program to run");
  const env = { ...baseEnv("/"), ...options.env };
  const child = new Deno.Command(program, {
    args,
    env: Object.fromEntries(Object.entries(env).filter((e): e is [string, string] => e[1] !== undefined)),
    clearEnv: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const deadline = options.deadline ?? 60_000;
  let timer: number | undefined;
  let expired = false;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      expired = true;
      child.kill("SIGKILL");
      const said = `stdout: ${text(stdout.soFar())}\nstderr: ${text(stderr.soFar())}`;
      reject(new Error(`still running after ${deadline} ms: ${argv.join(" ")}\n${said}`));
    }, deadline);
  });
  try {
    const ended = Promise.all([child.status, stdout.end, stderr.end, feed(child, options.stdin)]);
    const [status] = await Promise.race([ended, late]);
    const bytes = stdout.soFar();
    return {
      code: status.code,
      signal: status.signal,
      stdout: text(bytes),
      stderr: text(stderr.soFar()),
      bytes,
    };
  } finally {
    clearTimeout(timer);
    // What the program started may still hold the pipes: do not wait for their end.
    if (expired) await Promise.all([stdout.cancel(), stderr.cancel(), child.status]);
  }
}

async function feed(child: Deno.ChildProcess, input: string | Uint8Array | undefined): Promise<void> {
  if (input === undefined) return;
  const writer = child.stdin.getWriter();
  try {
    await writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input);
    await writer.close();
  } catch (error) {
    // A program may end without reading its input.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

function collect(stream: ReadableStream<Uint8Array>) {
  const chunks: Uint8Array[] = [];
  const reader = stream.getReader();
  const end = (async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) chunks.push(next.value);
  })();
  return { end, soFar: () => join(chunks), cancel: () => reader.cancel() };
}

function join(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

const directories: string[] = [];

/**
 * A new directory for this test file, removed when the file is done. Mode 0755, so that the ordinary test user can
 * enter; with `owner`, it is that user's own and 0700.
 */
export function tmp(options: { owner?: number } = {}): string {
  const path = Deno.makeTempDirSync({ prefix: "cordon-test-" });
  directories.push(path);
  if (options.owner === undefined) Deno.chmodSync(path, 0o755);
  else Deno.chownSync(path, options.owner, options.owner);
  return path;
}

/** What is mounted below `path`: removing that would remove what is mounted. */
function mountsBelow(path: string): string[] {
  return Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(path + "/"));
}

globalThis.addEventListener("unload", () => {
  for (const path of directories) {
    const mounts = mountsBelow(path);
    if (mounts.length > 0) {
      console.error(`left in place, something is mounted there: ${mounts.join(" ")}`);
      process.exitCode = 1;
      continue;
    }
    try {
      Deno.removeSync(path, { recursive: true });
    } catch (error) {
      // One directory that resists must not keep the others.
      console.error(`left in place: ${path}: ${error}`);
      process.exitCode = 1;
    }
  }
});
