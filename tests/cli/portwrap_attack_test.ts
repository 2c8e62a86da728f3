/**
 * What somebody may try against a server under `cordon portwrap`, or from inside it: each attack is shown to work
 * without portwrap, then to fail with it.
 */
import assert from "node:assert/strict";
import { attackProgram, compiler, type Effects, outside, quote, worked } from "./security_attack.ts";
import { cordonArgv } from "../helpers/binary.ts";
import { everyone, ok, type Person, refused, rootOnly, userOnly } from "../helpers/everyone.ts";
import { type Need, program } from "../helpers/need.ts";
import { type Outcome, run } from "../helpers/run.ts";
import { start, until } from "./portwrap_running.ts";

const needs = [compiler, program("python3")];

/** The attacks from inside; `args` are options of portwrap. */
async function inside(p: Person, attacks: readonly string[], args: readonly string[] = []): Promise<Effects> {
  const whole = ["portwrap", "-p", "0", "-P", "1", ...args, "--", attackProgram(), ...attacks];
  const outcome = args.includes("--network") ? await withDevice(p, whole) : await p.cordon(whole);
  return Object.fromEntries(ok(outcome).split("\n").map((line) => line.split(" ") as [string, string]));
}

/** Where /dev/net/tun is root's alone, a mount namespace in which it is everybody's, as distributions have it. */
function withDevice(p: Person, args: readonly string[]): Promise<Outcome> {
  if (p.name === "root" || (Deno.statSync("/dev/net/tun").mode! & 0o6) === 6) return p.cordon(args);
  const device = "mount -t tmpfs -o mode=755 none /dev/net; mknod -m 666 /dev/net/tun c 10 200";
  const argv = cordonArgv(args, { user: "ordinary" });
  const script = ["sh", "-euc", `${device}; exec "$@"`, "sh"];
  return run(["unshare", "--mount", "--propagation", "private", ...script, ...argv], { cwd: p.dir() });
}

/** Listens everywhere a neighbour would look: on the loopback, on every address, and on an abstract socket. */
const VICTIM = `
import socket, sys, time, uuid
name = "cordon-test-" + uuid.uuid4().hex
socks = []
def tcp(family, address):
    s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, 0)); s.listen(64); socks.append(s); return s.getsockname()[1]
ports = [tcp(socket.AF_INET, "127.0.0.1"), tcp(socket.AF_INET6, "::1"), tcp(socket.AF_INET, "0.0.0.0")]
a = socket.socket(socket.AF_UNIX); a.bind("\\0" + name); a.listen(64)
print("HERE", name, *ports, flush=True)
time.sleep(600)
`;

interface Places {
  name: string;
  ports: number[];
}

function places(said: string): Places | undefined {
  const [, name, ...ports] = /HERE (.*)\n/.exec(said)?.[0].trim().split(" ") ?? [];
  return name === undefined ? undefined : { name, ports: ports.map(Number) };
}

/** What a neighbour reaches of it; an own address of the machine stands for all of them. */
async function reach(
  { name, ports: [v4, v6, any] }: { name: string; ports: number[] },
): Promise<Record<string, boolean>> {
  const own = Deno.networkInterfaces().find((i) => i.family === "IPv4" && !i.address.startsWith("127."))
    ?.address;
  const tcp = (hostname: string, port: number) => connects({ hostname, port });
  return {
    "127.0.0.1": await tcp("127.0.0.1", v4!),
    "::1": await tcp("::1", v6!),
    ...(own !== undefined && { own: await tcp(own, any!) }),
    abstract: await connects({ transport: "unix", path: `\0${name}` }),
  };
}

async function connects(to: Deno.ConnectOptions | Deno.UnixConnectOptions): Promise<boolean> {
  try {
    ("path" in to ? await Deno.connect(to) : await Deno.connect(to)).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

everyone(
  "what a server opens beside its port is reached by nobody: loopback, own addresses, abstract sockets",
  async (p) => {
    const [python, c] = ["python3", "-c"];
    const bare = new Deno.Command(python, { args: [c, VICTIM], stdout: "piped" }).spawn();
    const reader = bare.stdout.pipeThrough(new TextDecoderStream()).getReader();
    try {
      let said = "";
      while (!said.includes("\n")) said += (await reader.read()).value;
      const found = await reach(places(said)!);
      assert.deepEqual(found, Object.fromEntries(Object.keys(found).map((key) => [key, true])));
    } finally {
      bare.kill("SIGKILL");
      await reader.cancel();
      await bare.status;
    }
    await using running = await start(p, [python, c, VICTIM]);
    const found = await reach(await until(() => places(running.said()), () => "the victim does not speak"));
    assert.deepEqual(found, Object.fromEntries(Object.keys(found).map((key) => [key, false])));
  },
  { needs },
);

/** A process outside, of the same person, that listens and sleeps. */
async function withNeighbour(
  p: Person,
  body: (pid: number, port: number, name: string) => Promise<void>,
): Promise<void> {
  const home = p.dir();
  const script = `python3 -c ${
    quote(VICTIM)
  } >${home}/said 2>&1 & echo $! >${home}/pid; disown 2>/dev/null || true`;
  await p.sh(`(${script}) </dev/null`, home);
  const pid = Number(Deno.readTextFileSync(`${home}/pid`));
  try {
    const { name, ports } = await until(
      () => places(Deno.readTextFileSync(`${home}/said`)),
      () => "the neighbour does not speak",
    );
    await body(pid, ports[0]!, name);
  } finally {
    Deno.kill(pid, "SIGKILL");
  }
}

everyone("from inside, other processes of the same user cannot be seen, traced or robbed", async (p) => {
  await withNeighbour(p, async (pid) => {
    const attacks = [
      ...["signal_process", "trace", "write_memory", "write_vm", "steal_descriptor"].map((name) =>
        `${name}:${pid}`
      ),
      ...[
        `read_file:/proc/${pid}/root/etc/passwd`,
        `read_file:/proc/${pid}/environ`,
        `open_for_writing:/proc/${pid}/fd/2`,
      ],
    ];
    worked(await outside(p, attacks));
    for (const [attack, effect] of Object.entries(await inside(p, attacks))) {
      assert.match(effect, /^(ESRCH|ENOENT)$/, attack);
    }
  });
}, { needs });

const tun: Need = {
  what: "/dev/net/tun",
  met: () => {
    try {
      Deno.openSync("/dev/net/tun", { read: true, write: true }).close();
      return true;
    } catch (error) {
      return (error as Error).message;
    }
  },
};

for (
  const [mode, ...wanted] of [["none"], ["pasta", program("pasta"), tun], [
    "slirp4netns",
    program("slirp4netns"),
    tun,
  ]] as const
) {
  everyone(
    `from inside, the host's loopback and abstract sockets are not reached: --network ${mode}`,
    async (p) => {
      await withNeighbour(p, async (_, port, name) => {
        const attacks = [`loopback:${port}`, `abstract_socket:${name}`];
        worked(await outside(p, attacks));
        const found = await inside(p, attacks, ["--network", mode]);
        assert.deepEqual(found, Object.fromEntries(attacks.map((attack) => [attack, "ECONNREFUSED"])));
      });
    },
    { needs: [...needs, ...wanted] },
  );
}

rootOnly("an uplink that was asked for by name and cannot be had is an error", async () => {
  const script = 'mount -t tmpfs -o mode=755 none /dev/net; exec "$@"';
  const argv = cordonArgv(["portwrap", "-p", "0", "-P", "1", "--network", "pasta", "true"]);
  const whole = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script, "sh", ...argv];
  refused(await run(whole), /--network pasta cannot be had/, /\/dev\/net\/tun cannot be used by this user/);
}, { needs: [program("pasta")] });

everyone("with an uplink no port of the guest is carried out, and the host port is", async (p) => {
  await using running = await start(p, ["python3", "-c", VICTIM], { args: ["--network", "auto"] });
  const found = await reach(
    await until(() => places(running.said()), () => `the victim does not speak: ${running.said()}`),
  );
  assert.deepEqual(found, Object.fromEntries(Object.keys(found).map((key) => [key, false])));
}, { needs });

userOnly("doors in the file system are closed, and opened by name or path", async (p) => {
  const home = p.dir();
  const sockets = [`/tmp/tmux-${p.uid}/cordon-test`, `${home}/.ssh/cm-host`, `${home}/somewhere/own.sock`];
  const script = `
import os, socket, sys, time
keep = []
for path in sys.argv[1:]:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen(8); keep.append(s)
open("ready", "w").close()
time.sleep(600)`;
  await p.sh(
    `(python3 -c ${quote(script)} ${sockets.join(" ")} >/dev/null 2>&1 & echo $! >pid) </dev/null`,
    home,
  );
  const pid = Number(Deno.readTextFileSync(`${home}/pid`));
  try {
    await until(
      () => [...Deno.readDirSync(home)].some(({ name }) => name === "ready") || undefined,
      () => "no sockets",
    );
    const knock = `
import socket, sys
for path in sys.argv[1:]:
    s = socket.socket(socket.AF_UNIX)
    try: s.connect(path); print("open")
    except OSError: print("closed")`;
    const knocked = async (args: string[]) => {
      const whole = ["portwrap", "-p", "0", "-P", "1", ...args, "--", "python3", "-c", knock, ...sockets];
      return ok(await p.cordon(whole, { cwd: home, env: { HOME: home } })).split("\n");
    };
    assert.equal(await p.sh(`python3 -c ${quote(knock)} ${sockets.join(" ")}`, home), "open\nopen\nopen");
    assert.deepEqual(await knocked([]), ["closed", "closed", "closed"]);
    assert.deepEqual(await knocked(["--open", "tmux", "--open", "sockets"]), ["open", "open", "open"]);
    assert.deepEqual(await knocked(["--open", `${home}/.ssh/cm-host`]), ["closed", "open", "closed"]);
  } finally {
    Deno.kill(pid, "SIGKILL");
    for (const socket of sockets) Deno.removeSync(socket);
  }
}, { needs });
