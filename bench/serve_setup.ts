/** What the benchmarks of `cordon serve` share: configurations, servers and how a figure is told. */
import { hostFs } from "../lib/host/fs.ts";
import { IMAGE, type RunningEngine } from "../tests/helpers/engines.ts";
import { tmp } from "../tests/helpers/run.ts";
import { hashed, TOKEN } from "../tests/helpers/serving.ts";

export const ROUNDS = Number(Deno.args[0] ?? 5);

/** The TOML of a server with one tenant, {@link TOKEN}. */
export function config(engine: string, { queue = 64, more = "" } = {}): string {
  return `
engine = "${engine}"
drain = "1s"
queue = ${queue}
${more}
[policies.default]
images = ["host", "${IMAGE}"]
[policies.default.limits]
time = { default = "60s", most = "600s" }
output = { default = "1M", most = "32M" }
[tenants.class]
tokens = ["${hashed(TOKEN)}"]
`;
}

/** With so many containers started ahead. */
export function dockerConfig({ endpoint }: RunningEngine, ahead: number): string {
  const more = `docker.host = "unix://${endpoint.path}"\npool.containers = { "${IMAGE}" = ${ahead} }`;
  return config("docker", { more });
}

/** Prints a figure and whether it is what was promised. */
export function promise(
  what: string,
  value: number,
  { least, most }: { least?: number; most?: number },
): void {
  const reached = value >= (least ?? -Infinity) && value <= (most ?? Infinity);
  const wanted = least === undefined ? `at most ${most}` : `at least ${least}`;
  console.log(`${what}: ${value.toFixed(1)}, ${wanted}: ${reached ? "yes" : "NO"}\n`);
}

export interface Listening extends AsyncDisposable {
  port: number;
  pid: number;
}

/** A server that says its port, on either output. */
export async function listening(
  [program, ...args]: string[],
  { env = {}, said }: { env?: Record<string, string>; said: RegExp },
): Promise<Listening> {
  const log = `${tmp()}/log`;
  const child = new Deno.Command("sh", {
    args: ["-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, program!, ...args],
    env,
    stdin: "null",
  }).spawn();
  let ended = false;
  child.status.then(() => ended = true);
  for (;;) {
    const text = hostFs.stat(log) ? Deno.readTextFileSync(log) : "";
    const port = said.exec(text)?.[1];
    if (port !== undefined) {
      return {
        port: Number(port),
        pid: child.pid,
        async [Symbol.asyncDispose]() {
          child.kill("SIGTERM");
          await child.status;
        },
      };
    }
    if (ended) throw new Error(`${program} ended: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
