/** A `cordon serve` of the tests' own, as a process of the ordinary user unless `user` says otherwise. */
import { createHash } from "node:crypto";
import { cordonArgv, type CordonOptions, tmp } from "./binary.ts";
import { baseEnv } from "./run.ts";
import { ordinaryHome, ordinaryTmp } from "./user.ts";

export const TOKEN = "a-token-of-the-tests";

export interface ServingOptions {
  /** Of the command line; a free port of 127.0.0.1 when absent, what `listen =` of `config` says when "config". */
  listen?: "config";
  /** Beside --listen and --state. */
  flags?: readonly string[];
  user?: NonNullable<CordonOptions["user"]>;
  /** The directory of the record; a new one when absent. */
  state?: string;
  /** It leads a process group of its own, as under a service manager or a shell. */
  ownGroup?: boolean;
  /** The configuration, in TOML; without it there is one token, {@link TOKEN}. */
  config?: string;
  /** Words in front of the command line. They end in executing it, in the same process. */
  through?: readonly string[];
}

export interface Serving extends AsyncDisposable {
  /** Where it says that it listens, in its order. */
  addresses: string[];
  /** The first of them that a client of HTTP can ask without more. */
  url: string;
  /** Port of the first address that has one. */
  port: number;
  pid: number;
  state: string;
  /** The configuration's file. */
  config: string;
  /** All that it said on stderr so far. */
  said(): string;
  kill(signal: Deno.Signal): void;
  /** Resolves when it has ended. */
  readonly status: Promise<Deno.CommandStatus>;
  /** SIGTERM, and its end. */
  stop(): Promise<Deno.CommandStatus>;
  request(path: string, init?: RequestInit & { json?: unknown; token?: string }): Promise<Response>;
  /** POST /execute with the token. */
  execute(cmd: string, args?: string): Promise<Answered>;
}

/** A configuration for containers of an engine. `policy` goes on about the default one; `more` are tables. */
export function forContainers(
  { endpoint }: { endpoint: { path: string } },
  image: string,
  { policy = "", more = "" } = {},
): string {
  return `
engine = "docker"
drain = "1s"
[docker]
host = "unix://${endpoint.path}"
[policies.default]
images = ["${image}"]
${policy}
[tenants.class]
tokens = ["${hashed(TOKEN)}"]
${more}`;
}

export interface Answered {
  status: number;
  headers: Headers;
  // deno-lint-ignore no-explicit-any
  body: any;
}

export async function serving(options: ServingOptions = {}): Promise<Serving> {
  const { user = "ordinary", flags = [], state = user === "ordinary" ? ordinaryTmp() : tmp() } = options;
  const files = tmp();
  const config = `${files}/serve.toml`;
  Deno.writeTextFileSync(`${files}/token`, TOKEN + "\n");
  if (options.config !== undefined) Deno.writeTextFileSync(config, options.config);
  const given = options.config === undefined ? ["--token-file", `${files}/token`] : ["--config", config];
  const listen = options.listen === "config" ? [] : ["--listen", "127.0.0.1:0"];
  const wanted = /^listen = \[(.*)\]$/m.exec(options.config ?? "")?.[1]?.split(",").length ?? 1;
  const words = ["serve", ...listen, "--state", state, ...given, ...flags];
  const before = [...options.ownGroup ? ["setsid"] : [], ...options.through ?? []];
  const argv = [...before, ...cordonArgv(words, { user })];
  const child = new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    clearEnv: true,
    env: baseEnv(ordinaryHome()),
    cwd: "/",
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let said = "";
  const listening = Promise.withResolvers<string[]>();
  const read = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said += text;
      const addresses = [...said.matchAll(/^cordon: listening on (\S+)\n/gm)].map(([, address]) => address!);
      if (addresses.length === wanted) listening.resolve(addresses);
    }
    await child.status;
    listening.reject(new Error(`cordon serve ended: ${said}`));
  })();
  const addresses = await listening.promise;
  const url = addresses.find((address) => address.startsWith("http:")) ?? addresses[0]!;
  const status = (async () => {
    await read;
    return await child.status;
  })();
  let asked = false;
  const stop = () => {
    if (!asked) kill("SIGTERM");
    asked = true;
    return status;
  };
  const kill = (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
  };
  const request: Serving["request"] = (path, { json, token = TOKEN, ...init } = {}) => {
    const headers = new Headers(init.headers);
    if (token !== "") headers.set("authorization", `Bearer ${token}`);
    if (json !== undefined) headers.set("content-type", "application/json");
    return fetch(url + path, { ...init, headers, ...(json !== undefined && { body: JSON.stringify(json) }) });
  };
  return {
    addresses,
    url,
    port: Number(addresses.map((address) => /^https?:.*:(\d+)$/.exec(address)?.[1]).find(Boolean)),
    pid: child.pid,
    state,
    config,
    said: () => said,
    kill,
    status,
    stop,
    request,
    async execute(cmd, args = "host") {
      const response = await request("/execute", { method: "POST", json: { cmd, args } });
      return { status: response.status, headers: response.headers, body: await response.json() };
    },
    async [Symbol.asyncDispose]() {
      const end = stop();
      // What a test left running is not waited for.
      const again = setInterval(() => kill("SIGTERM"), 200);
      await end;
      clearInterval(again);
    },
  };
}

/** A token as the configuration has it. */
export function hashed(token: string): string {
  return `sha256:${createHash("sha256").update(token).digest("hex")}`;
}

/** Waits until it is so, 30 s at most. */
export async function until(happened: () => boolean | Promise<boolean>, what = "it"): Promise<void> {
  for (let tries = 0; !await happened(); tries++) {
    if (tries === 600) throw new Error(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A number of seconds for sleep that no other test uses, and by which its process is found. */
export function mark(): string {
  return `9${crypto.getRandomValues(new Uint32Array(1))[0]}`;
}

/** Whether `sleep` runs with this argument, anywhere on this machine. */
export function sleeping(word: string): boolean {
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (Deno.readTextFileSync(`/proc/${name}/cmdline`) === `sleep\0${word}\0`) return true;
    } catch (error) {
      // It ended while we looked.
      if (!(error instanceof Deno.errors.NotFound) && !/ESRCH|os error 3/.test(String(error))) throw error;
    }
  }
  return false;
}

/** Memory of a process, in MiB: what is resident now, or the most that was. */
export function memoryMib(pid: number, which: "VmRSS" | "VmHWM"): number {
  const kib = new RegExp(`^${which}:\\s+(\\d+) kB$`, "m").exec(Deno.readTextFileSync(`/proc/${pid}/status`))
    ?.[1];
  return Number(kib) / 1024;
}

/** Open descriptors of a process. */
export function openFiles(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}
