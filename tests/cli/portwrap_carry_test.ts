/** Connections through `cordon portwrap` behave as direct ones would. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { everyone } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";
import { connect, guest, readAll, refused, start, until } from "./portwrap_running.ts";

const needs = [program("python3")];
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
  assert.ok(children(running.pid) >= 500);
  for (const conn of conns) conn.close();
  await until(
    () => children(running.pid) <= 3 ? true : undefined,
    () => `${children(running.pid)} processes are left`,
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
    assert.ok(children(running.pid) <= 1024 + 3, `${children(running.pid)} processes`);
  } finally {
    for (const result of flood) if (result.status === "fulfilled") result.value.close();
  }
  (await connect(running.ports[0]!)).close();
}, { needs });

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

/** Processes below this one, at any depth. */
function children(pid: number): number {
  let found = 0;
  const below = [pid];
  const parents = new Map<number, number[]>();
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]);
      parents.set(parent, [...parents.get(parent) ?? [], Number(name)]);
    } catch { /* it has just ended */ }
  }
  while (below.length > 0) {
    for (const child of parents.get(below.pop()!) ?? []) {
      found++;
      below.push(child);
    }
  }
  return found;
}
