/** Starts `cordon portwrap` for a test and knows when its ports are bound. */
import assert from "node:assert/strict";
import { cordonArgv } from "../helpers/binary.ts";
import type { Person } from "../helpers/everyone.ts";
import { baseEnv } from "../helpers/run.ts";

export interface Running extends AsyncDisposable {
  pid: number;
  /** Host ports in the order asked. */
  ports: number[];
  status: Promise<Deno.CommandStatus>;
  signal(name: Deno.Signal): void;
  /** What stdout and stderr said, together, up to now. */
  said(): string;
}

export interface RunningOptions {
  /** Options of portwrap before the command; -p 0 -P 8080 is there already unless `bare`. */
  args?: string[];
  bare?: boolean;
  env?: Record<string, string>;
  cwd?: string;
  /** As for {@link cordonArgv}. */
  prefix?: readonly string[];
}

/** The guest's port in these tests. */
export const GUEST = 8080;

export async function start(p: Person, command: string[], options: RunningOptions = {}): Promise<Running> {
  const home = p.dir(), ready = `${home}/ready.json`;
  const ports = options.bare ? [] : ["-p", "0", "-P", String(GUEST)];
  const argv = cordonArgv(
    ["portwrap", ...ports, "--ready", ready, ...(options.args ?? []), "--", ...command],
    {
      user: p.name === "user" ? "ordinary" : "caller",
      ...(options.prefix && { prefix: options.prefix }),
    },
  );
  const child = new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    env: { ...baseEnv(home), ...options.env },
    clearEnv: true,
    cwd: options.cwd ?? home,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let text = "";
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) text += part;
  });
  let ended = false;
  child.status.then(() => ended = true);
  const told = await until(() => ended ? "" : textOf(ready), () => `not ready: ${text}`);
  assert.notEqual(told, "", `ended before it was ready: ${text}`);
  const { pid, ports: bound } = JSON.parse(told);
  return {
    pid,
    ports: bound.map(({ host }: { host: number }) => host),
    status: child.status,
    signal: (name) => Deno.kill(pid, name),
    said: () => text,
    async [Symbol.asyncDispose]() {
      if (!ended) Deno.kill(pid, "SIGKILL");
      await child.status;
      await Promise.all(reading);
    },
  };
}

/** What a file holds; undefined when it is not there. */
export function textOf(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Asks again until there is an answer. */
export async function until<T>(
  ask: () => T | undefined | Promise<T | undefined>,
  why: () => string,
  seconds = 30,
): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(why());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Connects as soon as the guest listens; what comes before that must be a refusal. */
export async function connect(port: number, hostname = "127.0.0.1"): Promise<Deno.TcpConn> {
  return await until(async () => {
    try {
      const conn = await Deno.connect({ port, hostname });
      // A refusal arrives as a reset after the kernel has accepted for the relay.
      const sure = await answered(conn);
      if (sure) return conn;
      conn.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused || isReset(error))) throw error;
    }
    return undefined;
  }, () => `nobody answers on port ${port}`);
}

/** A reset can come before the runtime has asked for the peer's name: then it says "not connected". */
function isReset(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.NotConnected;
}

/** Nobody is there: the caller is reset, at once or at its first read. */
export async function refused(port: number, hostname = "127.0.0.1"): Promise<boolean> {
  try {
    using conn = await Deno.connect({ port, hostname });
    await conn.read(new Uint8Array(1));
    return false;
  } catch (error) {
    if (isReset(error)) return true;
    throw error;
  }
}

/** The guests of these tests greet with one byte. */
async function answered(conn: Deno.TcpConn): Promise<boolean> {
  try {
    return await conn.read(new Uint8Array(1)) === 1;
  } catch (error) {
    if (isReset(error)) return false;
    throw error;
  }
}

/** A guest: greets each connection with `!`, then does what `behaviour`, a Python function of a socket, says. */
export function guest(behaviour: string, { address = "127.0.0.1", port = GUEST } = {}): string[] {
  const script = `
import socket, sys, threading, time, os, signal
def behave(c):
    c.sendall(b"!")
${behaviour.replace(/^/gm, "    ")}
    c.close()
family = socket.AF_INET6 if ":" in "${address}" else socket.AF_INET
s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("${address}", ${port})); s.listen(1024)
while True:
    c, _ = s.accept()
    threading.Thread(target=behave, args=(c,), daemon=True).start()
`;
  return ["python3", "-c", script];
}

/** Reads to the end. */
export async function readAll(conn: Deno.Conn): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const buffer = new Uint8Array(65536);
  for (;;) {
    const n = await conn.read(buffer);
    if (n === null) break;
    parts.push(buffer.slice(0, n));
  }
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

/** Processes below this one, at any depth. */
export function below(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]);
      children.set(parent, [...children.get(parent) ?? [], Number(name)]);
    } catch { /* it has just ended */ }
  }
  const found: number[] = [];
  for (const todo = [pid]; todo.length > 0;) {
    const next = children.get(todo.pop()!) ?? [];
    found.push(...next);
    todo.push(...next);
  }
  return found;
}

/** Whether a process is there and has not ended. */
export function alive(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
