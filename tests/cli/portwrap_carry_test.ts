/** Connections through `cordon portwrap` behave as direct ones would. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { executable } from "../helpers/binary.ts";
import { everyone, ok, rootOnly, userOnly } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";
import { run } from "../helpers/run.ts";
import { asUser } from "../helpers/user.ts";
import { alive, below, connect, guest, readAll, refused, start, textOf, until } from "./portwrap_running.ts";

const needs = [program("python3")];
/** Processes of one that carries nothing: init, the guest, the acceptor, and a spare for the next caller. */
const IDLE = 4;
const ECHO = `
while True:
    d = c.recv(65536)
    if not d: break
    c.sendall(d)`;

everyone("bytes go both ways, to a guest on 127.0.0.1, on ::1 and on every address", async (p) => {
  for (const address of ["127.0.0.1", "::1", "0.0.0.0"]) {
    await using running = await start(p, guest(ECHO, { address }));
    using conn = await connect(running.ports[0]!);
    const sent = new Uint8Array(3_000_000).map((_, i) => i * 7 + (i >> 9));
    const back = readAll(conn);
    for (let at = 0; at < sent.length;) at += await conn.write(sent.subarray(at));
    await conn.closeWrite();
    assert.ok(Buffer.from(await back).equals(sent), address);
  }
}, { needs });

everyone("an answer that comes after the caller's end of input arrives whole", async (p) => {
  const late = `
n = 0
while True:
    d = c.recv(65536)
    if not d: break
    n += len(d)
time.sleep(0.3)
c.sendall(str(n).encode())`;
  await using running = await start(p, guest(late));
  using conn = await connect(running.ports[0]!);
  await conn.write(new Uint8Array(1000));
  await conn.closeWrite();
  assert.equal(new TextDecoder().decode(await readAll(conn)), "1000");
}, { needs });

everyone(
  "before the guest listens a caller is reset, again after it has gone, and served when it is back",
  async (p) => {
    // One connection, then it ends; the third start stays.
    const [python, c, script] = guest("os._exit(0)");
    const command = ["sh", "-c", `sleep 0.3; "$@"; sleep 0.3; "$@"; sleep 30`, "sh", python!, c!, script!];
    await using running = await start(p, command);
    assert.ok(await refused(running.ports[0]!));
    (await connect(running.ports[0]!)).close();
    (await connect(running.ports[0]!)).close();
    await until(
      async () => await refused(running.ports[0]!) || undefined,
      () => "a guest that is gone still answers",
    );
  },
  { needs },
);

everyone("a connection that the guest resets is reset for the caller", async (p) => {
  const reset = `
import struct
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
c.recv(1)`;
  await using running = await start(p, guest(reset));
  using conn = await connect(running.ports[0]!);
  await conn.write(new Uint8Array(1));
  await assert.rejects(readAll(conn), Deno.errors.ConnectionReset);
}, { needs });

everyone("a reader that does not read holds its sender up and nobody else", async (p) => {
  await using running = await start(
    p,
    guest('\nblock = b"x" * 65536\nfor _ in range(800): c.sendall(block)'),
  );
  using slow = await connect(running.ports[0]!);
  for (let i = 0; i < 3; i++) {
    using quick = await connect(running.ports[0]!);
    assert.equal((await readAll(quick)).length, 800 * 65536);
  }
  assert.equal((await readAll(slow)).length, 800 * 65536);
}, { needs });

everyone("500 connections at once are all served, and leave nothing behind", async (p) => {
  await using running = await start(p, guest(ECHO));
  (await connect(running.ports[0]!)).close();
  const conns = await Promise.all(Array.from({ length: 500 }, () => connect(running.ports[0]!)));
  await Promise.all(conns.map(async (conn, i) => {
    const text = `number ${i}`;
    await conn.write(new TextEncoder().encode(text));
    const buffer = new Uint8Array(64);
    const n = await conn.read(buffer);
    assert.equal(new TextDecoder().decode(buffer.subarray(0, n!)), text);
  }));
  assert.ok(below(running.pid).length >= 500);
  for (const conn of conns) conn.close();
  await until(
    () => below(running.pid).length <= IDLE ? true : undefined,
    () => `${below(running.pid).length} processes are left`,
  );
}, { needs });

everyone("a flood of connections is held at a limit and does not stop one that stands", async (p) => {
  await using running = await start(p, guest(ECHO));
  using standing = await connect(running.ports[0]!);
  const flood = await Promise.allSettled(
    Array.from({ length: 1500 }, () => Deno.connect({ port: running.ports[0]! })),
  );
  try {
    for (let i = 0; i < 20; i++) {
      await standing.write(Uint8Array.of(i));
      const buffer = new Uint8Array(1);
      await standing.read(buffer);
      assert.equal(buffer[0], i);
    }
    assert.ok(below(running.pid).length <= 1024 + IDLE, `${below(running.pid).length} processes`);
  } finally {
    for (const result of flood) if (result.status === "fulfilled") result.value.close();
  }
  (await connect(running.ports[0]!)).close();
}, { needs });

userOnly("while no process can be had callers wait, and are served when one can", async (p) => {
  await using running = await start(p, guest(ECHO));
  (await connect(running.ports[0]!)).close();
  const limit = async (processes?: number) => {
    for (const pid of below(running.pid)) {
      if (!textOf(`/proc/${pid}/comm`)?.startsWith("cordon-monitor")) continue;
      const { code, stderr } = await asUser([
        "prlimit",
        `--pid=${pid}`,
        `--nproc=${processes ?? hardLimit(pid)}:`,
      ]);
      assert.ok(code === 0 || !alive(pid), stderr);
    }
  };
  await limit(1);
  const served = new Set<Deno.TcpConn>();
  // The spare serves the first; the others wait.
  const conns = await Promise.all([1, 2, 3].map(() => Deno.connect({ port: running.ports[0]! })));
  const greeted = conns.map(async (conn) => {
    assert.equal(await conn.read(new Uint8Array(1)), 1);
    served.add(conn);
  });
  await Promise.race(greeted);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(served.size, 1);
  await limit();
  await Promise.all(greeted);
  for (const conn of conns) conn.close();
}, { needs: [...needs, program("prlimit")] });

everyone("several ports, over IPv4 and IPv6", async (p) => {
  const [python, c, first] = guest("pass"), [, , second] = guest("pass", { port: 8081 });
  const command = ["sh", "-c", `"$0" -c "$2" & exec "$0" "$1" "$3"`, python!, c!, first!, second!];
  await using running = await start(p, command, {
    args: ["--forward", "[::1]:0:8081", "--forward", "127.0.0.1:0:[::1]:9"],
  });
  assert.equal(running.ports.length, 3);
  (await connect(running.ports[0]!)).close();
  (await connect(running.ports[1]!, "::1")).close();
  assert.ok(await refused(running.ports[2]!));
}, { needs });

everyone("hundreds of allowed destinations are each reached under their own address", async (p) => {
  const servers = Array.from(
    { length: 200 },
    (_, i) => Deno.listen({ port: 0, hostname: `127.0.1.${i + 1}` }),
  );
  const serving = servers.map(async (server, i) => {
    for await (const conn of server) {
      await conn.write(new TextEncoder().encode(String(i)));
      conn.close();
    }
  });
  try {
    const ask = `
import socket, sys
for word in sys.argv[1:]:
    address, port = word.split(":")
    with socket.create_connection((address, int(port)), 20) as s: print(s.recv(9).decode())`;
    const names = servers.map(({ addr }) =>
      `127.0.1.${servers.findIndex((s) => s.addr === addr) + 1}:${addr.port}`
    );
    const allow = names.flatMap((name) => ["--allow", name]);
    const { code, stdout, stderr } = await p.cordon(
      ["portwrap", "-p", "0", "-P", "1", ...allow, "--", "python3", "-c", ask, ...names],
    );
    assert.deepEqual([code, stderr], [0, ""]);
    assert.deepEqual(stdout.trim().split("\n"), servers.map((_, i) => String(i)));
  } finally {
    for (const server of servers) server.close();
    await Promise.all(serving);
  }
}, { needs });

everyone("a connection on which nothing is said stays, and is carried afterwards", async (p) => {
  // A relay or a socket with a time limit shows one on its timers, beside that of keepalive; the seconds stand for hours.
  await using running = await start(p, guest(ECHO));
  using conn = await connect(running.ports[0]!);
  await new Promise((resolve) => setTimeout(resolve, 3000));
  assert.deepEqual(timers(running.ports[0]!), [KEEPALIVE]);
  await conn.write(Uint8Array.of(7));
  const buffer = new Uint8Array(1);
  assert.equal(await conn.read(buffer), 1);
  assert.equal(buffer[0], 7);
}, { needs });

rootOnly(
  "a caller that vanishes without a word is noticed as on a direct connection with keepalive",
  async (p) => {
    // In a network of the test's own, where keepalive asks after a second. What closes a socket in repair mode tells nobody.
    const script = `
import json, os, socket, subprocess, sys, time
cordon, ready = sys.argv[1:3]
for name in "time", "intvl":
    open(f"/proc/sys/net/ipv4/tcp_keepalive_{name}", "w").write("1")
guest = """
import socket
s = socket.create_server(("127.0.0.1", 8080))
while True:
    c, _ = s.accept()
    c.sendall(b"!")
    try: print(c.recv(1), flush=True)
    except OSError as error: print(type(error).__name__, flush=True)
"""
argv = [cordon, "portwrap", "-p", "0", "-P", "8080", "--ready", ready, "--", sys.executable, "-c", guest]
wrapped = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
while not (os.path.exists(ready) and os.path.getsize(ready)): time.sleep(0.02)
port = json.load(open(ready))["ports"][0]["host"]
def greeted():
    try:
        caller = socket.create_connection(("127.0.0.1", port))
        if caller.recv(1): return caller
    except OSError: pass
while not (caller := greeted()): time.sleep(0.02)
TCP_REPAIR = 19
caller.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
caller.close()
print(wrapped.stdout.readline().strip())
wrapped.kill()
wrapped.wait()
`;
    const start = 'ip link set lo up && exec "$@"';
    const argv = [
      "unshare",
      "-n",
      "sh",
      "-ec",
      start,
      "sh",
      "python3",
      "-c",
      script,
      executable(),
      `${p.dir()}/ready`,
    ];
    assert.equal(ok(await run(argv, { deadline: 120_000 })), "ConnectionResetError");
  },
  { needs: [...needs, program("ip"), program("unshare")] },
);

/** Timer 2 of proc_net_tcp(5) asks after a caller that has been silent for long, and ends nothing that answers. */
const KEEPALIVE = "02";

/** RLIMIT_NPROC: proc_pid_limits(5). */
function hardLimit(pid: number): string {
  return /^Max processes +\S+ +(\S+)/m.exec(textOf(`/proc/${pid}/limits`) ?? "")?.[1] ?? "unlimited";
}

/** Kinds of the timers (proc_net_tcp(5): `tr`) that run on connections accepted at this port. */
function timers(port: number): string[] {
  const lines = Deno.readTextFileSync("/proc/net/tcp").split("\n").slice(1).map((line) =>
    line.trim().split(/\s+/)
  );
  const own = lines.filter(([, local, , state]) =>
    state === "01" && parseInt(local!.split(":")[1]!, 16) === port
  );
  return own.map((fields) => fields[5]!.split(":")[0]!);
}
