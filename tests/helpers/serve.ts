/** `cordon serve` as a process of the ordinary user, with a configuration of the test's. */
import { cordonArgv } from "./binary.ts";
import { baseEnv, tmp } from "./run.ts";
import { ordinaryHome, ordinaryTmp } from "./user.ts";

const POLICY = `[policies.default]
images = ["host"]
[tenants.default]
`;

export interface Daemon extends AsyncDisposable {
  /** Of the program itself, whoever started it. */
  pid: number;
  /** Where it says that it listens, in its order. */
  addresses: string[];
  /** Port of the first address that has one. */
  port: number;
  /** Everything on stderr so far. */
  said(): string;
  signal(signal: Deno.Signal): void;
  /** SIGTERM, and its end. */
  stop(): Promise<Deno.CommandStatus>;
}

/**
 * Everybody may run programs of this machine.
 *
 * @param config the rest of the TOML, `listen` first
 */
export async function startServe(config: string, ...args: string[]): Promise<Daemon> {
  const file = `${tmp()}/serve.toml`;
  Deno.writeTextFileSync(file, ["auth = false", `engine = "namespaces"`, config, POLICY].join("\n"));
  const wanted = (/^listen = (.*)$/m.exec(config)?.[1] ?? "").split(",").length;
  const state = ordinaryTmp();
  const argv = cordonArgv(["serve", "--config", file, "--state", state, ...args], { user: "ordinary" });
  const child = new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    clearEnv: true,
    env: baseEnv(ordinaryHome()),
    cwd: ordinaryHome(),
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
  let stopped: Promise<Deno.CommandStatus> | undefined;
  const stop = () =>
    stopped ??= (async () => {
      try {
        child.kill("SIGTERM");
      } catch (error) {
        // It has ended already.
        if (!(error instanceof TypeError)) throw error;
      }
      await read;
      return await child.status;
    })();
  return {
    pid: child.pid,
    addresses,
    port: Number(addresses.map((address) => /^https?:.*:(\d+)$/.exec(address)?.[1]).find(Boolean)),
    said: () => said,
    signal: (signal) => child.kill(signal),
    stop,
    [Symbol.asyncDispose]: async () => void await stop(),
  };
}

/** Resident memory of a process, in MiB. */
export function residentMib(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1];
  return Number(kib) / 1024;
}

/** Open descriptors of a process. */
export function openFiles(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}
