/**
 * A forwarded port beside its peers: one transfer of 1 GiB each way, small requests on one connection and on one
 * connection each, memory of an idle session, and how soon the port answers once the guest listens. Run it by
 * `bench/portwrap`.
 */
import { median } from "./table.ts";

const CORDON = new URL("../build/cordon", import.meta.url).pathname;
const ROUNDS = Number(Deno.args[0] ?? 5);
const GIB = 2 ** 30, REQUESTS = 10_000;
const GUEST = 8080;
const work = Deno.makeTempDirSync({ prefix: "cordon-bench-" });
const load = `${work}/load`, since = `${work}/since`;

type Measure = "down" | "up" | "keep" | "new" | "MB" | "ready";
type Figures = Record<Measure, number[]>;

interface Way {
  name: string;
  needs?: string;
  /** Makes the server reachable at the port; gives the processes whose memory counts. */
  open(port: number): Deno.ChildProcess[];
}

function spawn(...argv: string[]): Deno.ChildProcess {
  const [program, ...args] = argv;
  return new Deno.Command(program!, { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
}

function sh(script: string): Deno.ChildProcess {
  return spawn("setsid", "sh", "-euc", script);
}

/** A namespace with the server in it, and a user-mode stack that carries the port in. */
function stack(port: number, attach: string): Deno.ChildProcess[] {
  return [sh(`
    unshare -Urn sh -c 'ip link set lo up; ${load} serve 0.0.0.0 ${GUEST} ${since} & echo $! >${work}/ns; wait' &
    while ! [ -s ${work}/ns ]; do sleep 0.05; done; pid=$(cat ${work}/ns); rm ${work}/ns
    ${attach.replaceAll("PORT", String(port))}
    wait`)];
}

const WAYS: Way[] = [
  { name: "direct", open: (port) => [spawn(load, "serve", "127.0.0.1", String(port), since)] },
  {
    name: "cordon portwrap",
    open: (port) => [
      spawn(
        CORDON,
        "portwrap",
        "-p",
        String(port),
        "-P",
        String(GUEST),
        "--",
        load,
        "serve",
        "127.0.0.1",
        String(GUEST),
        since,
      ),
    ],
  },
  {
    name: "socat",
    needs: "socat",
    open: (port) => [
      spawn(load, "serve", "127.0.0.1", String(port + 1), since),
      spawn(
        "socat",
        `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork,nodelay`,
        `TCP:127.0.0.1:${port + 1},nodelay`,
      ),
    ],
  },
  {
    name: "slirp4netns",
    needs: "slirp4netns",
    open: (port) =>
      stack(
        port,
        `slirp4netns --configure --mtu=65520 --disable-host-loopback --api-socket ${work}/api $pid tap0 &
    while ! [ -S ${work}/api ]; do sleep 0.05; done; sleep 0.3
    printf '{"execute":"add_hostfwd","arguments":{"proto":"tcp","host_addr":"127.0.0.1","host_port":PORT,"guest_port":${GUEST}}}' |
      socat - UNIX-CONNECT:${work}/api; rm ${work}/api`,
      ),
  },
  {
    name: "pasta",
    needs: "pasta",
    open: (port) =>
      stack(
        port,
        `pasta --config-net -f -q --no-map-gw -t PORT:${GUEST} -u none -T none -U none ${
          Deno.uid() === 0 ? "--runas 0:0" : ""
        } $pid &`,
      ),
  },
];

function client(what: string, port: number, last: number | string): number {
  const args = [what, "127.0.0.1", String(port), String(last)];
  const { success, stdout, stderr } = new Deno.Command(load, { args }).outputSync();
  if (!success) throw new Error(`${what}: ${new TextDecoder().decode(stderr)}`);
  return Number(new TextDecoder().decode(stdout));
}

/** Sum of Pss of these processes and all below them, without the server's own, in MB. */
function memory(roots: Deno.ChildProcess[]): number {
  const below = new Map<number, number[]>();
  for (const { name } of Deno.readDirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? textOf(`/proc/${name}/stat`) : undefined;
    if (stat === undefined) continue;
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]);
    below.set(parent, [...below.get(parent) ?? [], Number(name)]);
  }
  let kilobytes = 0;
  for (const pids = roots.map(({ pid }) => pid); pids.length > 0;) {
    const pid = pids.pop()!;
    pids.push(...below.get(pid) ?? []);
    const command = textOf(`/proc/${pid}/cmdline`) ?? "";
    if (command.startsWith(load) || /^(sh|unshare|setsid)\0/.test(command)) continue;
    kilobytes += Number(/^Pss: +(\d+)/m.exec(textOf(`/proc/${pid}/smaps_rollup`) ?? "")?.[1] ?? 0);
  }
  return kilobytes / 1024;
}

function textOf(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined; // it has ended
  }
}

function installed(name: string): boolean {
  return new Deno.Command("sh", { args: ["-c", `command -v ${name}`], stdout: "null" }).outputSync().success;
}

let last = 20_000;

/** Below the ports that connections get: of those, thousands still wait for their end (TIME_WAIT). */
function freePort(): number {
  for (;;) {
    last += 2;
    try {
      for (const port of [last, last + 1]) Deno.listen({ port, hostname: "127.0.0.1" }).close();
      return last;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

const MEASURES: [Measure, string][] = [
  ["down", "down MB/s"],
  ["up", "up MB/s"],
  ["keep", "kept µs"],
  ["new", "new µs"],
  ["MB", "idle MB"],
  ["ready", "ready ms"],
];

async function measure(way: Way, into: Figures): Promise<void> {
  Deno.writeTextFileSync(since, "");
  const port = freePort();
  const started = way.open(port);
  try {
    into.ready.push(client("ready", port, since));
    into.MB.push(memory(started));
    into.down.push(client("down", port, GIB));
    into.up.push(client("up", port, GIB));
    into.keep.push(client("keep", port, REQUESTS));
    into.new.push(client("new", port, REQUESTS));
  } finally {
    for (const child of started) {
      try {
        // A group of its own where a shell has started it.
        child.kill("SIGTERM");
        new Deno.Command("sh", { args: ["-c", `kill -KILL -${child.pid}`], stderr: "null" }).outputSync();
      } catch { /* it has ended */ }
      await child.status;
    }
  }
}

async function main(): Promise<void> {
  const args = ["-O2", "-o", load, new URL("portwrap.c", import.meta.url).pathname];
  if (!new Deno.Command("gcc", { args }).outputSync().success) {
    throw new Error("gcc cannot build bench/portwrap.c");
  }
  Deno.chmodSync(work, 0o755);
  const ways = WAYS.filter(({ needs }) => needs === undefined || installed(needs));
  const figures = new Map(
    ways.map(({ name }) => [name, { down: [], up: [], keep: [], new: [], MB: [], ready: [] } as Figures]),
  );
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of ways) {
      try {
        await measure(way, figures.get(way.name)!);
      } catch (error) {
        console.error(`${way.name}: ${(error as Error).message}`);
      }
    }
  }
  const head = ["median of " + ROUNDS, ...MEASURES.map(([, title]) => title)];
  const rows = [...figures].map(([name, values]) => [
    name,
    ...MEASURES.map(([key]) =>
      values[key].length === 0 ? "-" : median(values[key]).toFixed(key === "MB" ? 2 : 1)
    ),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]!.length)));
  for (const row of [head, ...rows]) {
    console.log(
      row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("  "),
    );
  }
  const of = (name: string, key: Measure) => figures.get(name)?.[key] ?? [];
  /** Of each round, so that a machine that is busier in one of them weighs on both. */
  const paired = (key: Measure, name: string, compare: (ours: number, theirs: number) => number) =>
    median(
      of("cordon portwrap", key).flatMap((ours, i) => {
        const theirs = of(name, key)[i];
        return theirs === undefined ? [] : [compare(ours, theirs)];
      }),
    );
  const ratio = (a: number, b: number) => a / b, difference = (a: number, b: number) => a - b;
  promise("down, of direct", paired("down", "direct", ratio), { least: 0.5 });
  promise("up, of direct", paired("up", "direct", ratio), { least: 0.5 });
  promise("down, times slirp4netns", paired("down", "slirp4netns", ratio), { least: 3 });
  promise("up, times slirp4netns", paired("up", "slirp4netns", ratio), { least: 3 });
  promise("added to a request, µs", paired("keep", "direct", difference), { most: 40 });
  promise("added to a new connection, µs", paired("new", "direct", difference), { most: 160 });
  promise("ready after the guest, ms", median(of("cordon portwrap", "ready")), { most: 20 });
  promise("idle, MB", median(of("cordon portwrap", "MB")), { most: 1 });
}

function promise(what: string, value: number, { least, most }: { least?: number; most?: number }): void {
  if (Number.isNaN(value)) return;
  const kept = (least === undefined || value >= least) && (most === undefined || value <= most);
  const wanted = least === undefined ? `at most ${most}` : `at least ${least}`;
  console.log(`${kept ? "reached" : "MISSED"}: ${what}: ${value.toFixed(2)} (${wanted})`);
}

try {
  await main();
} finally {
  Deno.removeSync(work, { recursive: true });
}
