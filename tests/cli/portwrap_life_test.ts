/** How `cordon portwrap` starts, ends and refuses. */
import assert from "node:assert/strict";
import { executable } from "../helpers/binary.ts";
import { freePort } from "../helpers/machine.ts";
import { everyone, rootOnly, userOnly } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";
import { Pty, shell } from "../helpers/pty.ts";
import { baseEnv } from "../helpers/run.ts";
import { asUserArgv } from "../helpers/user.ts";
import { alive, below, connect, guest, start, until } from "./portwrap_running.ts";

const needs = [program("python3")];

everyone("{host-port} and {guest-port} stand for the ports, and the status is the program's", async (p) => {
  const script = 'echo "$@"; exit 9';
  const args = [
    "portwrap",
    "-p",
    "0",
    "-P",
    "8123",
    "--",
    "sh",
    "-c",
    script,
    "sh",
    "--port={guest-port}",
    "{host-port}",
  ];
  const { code, stdout, stderr } = await p.cordon(args);
  assert.match(stdout, /^--port=8123 [1-9]\d+\n$/);
  assert.deepEqual([code, stderr], [9, ""]);
  const killed = await p.cordon(["portwrap", "-p", "0", "-P", "1", "sh", "-c", "kill -9 $$"]);
  assert.equal(killed.signal, "SIGKILL");
});

everyone("the program gets stdin, stdout, stderr and no other descriptor", async (p) => {
  const { stdout } = await p.cordon([
    "portwrap",
    "-p",
    "0",
    "-P",
    "1",
    "--allow",
    "127.0.0.1:9",
    "sh",
    "-c",
    "ls /proc/$$/fd",
  ]);
  assert.deepEqual(stdout.trim().split("\n").filter((fd) => fd !== "10"), ["0", "1", "2"]);
});

everyone("the environment and the files are the user's own", async (p) => {
  const dir = p.dir();
  const { stdout, stderr } = await p.cordon([
    "portwrap",
    "-p",
    "0",
    "-P",
    "1",
    "sh",
    "-euc",
    'echo "$SECRET"; echo new >file; pwd; hostname',
  ], {
    env: { SECRET: "passed" },
    cwd: dir,
  });
  assert.deepEqual([stdout, stderr], [`passed\n${dir}\n${Deno.hostname()}\n`, ""]);
  assert.equal(Deno.readTextFileSync(`${dir}/file`), "new\n");
  assert.equal(Deno.statSync(`${dir}/file`).uid, p.uid);
});

for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
  everyone(`${signal} ends everything, connections too`, async (p) => {
    await using running = await start(p, guest("c.recv(1)"));
    using conn = await connect(running.ports[0]!);
    running.signal(signal);
    await running.status;
    await conn.read(new Uint8Array(1)).catch((error) => {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    });
    await until(
      () => Deno.connect({ port: running.ports[0]! }).then((c) => (c.close(), undefined), () => true),
      () => "the port is still open",
      5,
    );
    // It is free again for the next.
    await using next = await start(p, guest("pass"), {
      bare: true,
      args: ["-p", String(running.ports[0]), "-P", "8080"],
    });
    (await connect(next.ports[0]!)).close();
  }, { needs });
}

/** Does not let itself be asked; a child of it has left its session. */
const STUBBORN = [
  "python3",
  "-c",
  `
import os, signal, time
for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP: signal.signal(number, signal.SIG_IGN)
if os.fork() == 0: os.setsid()
print("ready", flush=True)
while True: time.sleep(600)`,
];

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  everyone(`a program that ignores ${signal} is killed with everything of it after a grace`, async (p) => {
    await using running = await start(p, STUBBORN);
    await until(() => running.said() === "ready\nready\n" || undefined, running.said);
    const all = below(running.pid);
    const since = performance.now();
    running.signal(signal);
    // Asked again it has no more time.
    running.signal(signal);
    const { signal: by } = await running.status;
    assert.equal(by, "SIGKILL");
    assert.ok(performance.now() - since >= 1500);
    await until(() => !all.some(alive) || undefined, () => `left: ${all.filter(alive)}`);
  }, { needs });
}

everyone(
  "a program that ends when it is asked to keeps its status, and other signals ask for nothing",
  async (p) => {
    const script = `
import os, signal, sys, time
say = lambda word: os.write(1, word + b"\\n") # print() may be interrupted by a print() of its handler
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), say(b"saved"), sys.exit(7)))
signal.signal(signal.SIGHUP, lambda *_: say(b"again"))
say(b"ready")
while True: time.sleep(600)`;
    const args = ["-p", "0", "-P", "1", "--grace", "1h"];
    await using running = await start(p, ["python3", "-c", script], { bare: true, args });
    await until(() => running.said() === "ready\n" || undefined, running.said);
    running.signal("SIGHUP");
    await until(() => running.said() === "ready\nagain\n" || undefined, running.said);
    running.signal("SIGTERM");
    const { code } = await running.status;
    assert.deepEqual([code, running.said()], [7, "ready\nagain\nsaved\n"]);
  },
  { needs },
);

everyone("where the caller ignores a signal it asks for nothing", async (p) => {
  // As a shell without job control starts what ends with "&": Ctrl-C is not for it.
  const ready = `${p.dir()}/ready`, done = `${p.dir()}/done`;
  const guest = `trap 'echo asked >"$0"; exit 5' TERM; echo; while :; do sleep 0.05; done`;
  const script = `trap '' INT; exec "$0" portwrap -p 0 -P 1 --grace 100ms --ready "$1" -- sh -c "$2" "$3"`;
  const argv = ["sh", "-c", script, executable(), ready, guest, done];
  const [program, ...args] = p.name === "user" ? asUserArgv(argv) : argv;
  const child = new Deno.Command(program!, {
    args,
    env: baseEnv("/"),
    clearEnv: true,
    cwd: "/",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read(); // the guest runs
  const { pid } = JSON.parse(Deno.readTextFileSync(ready));
  Deno.kill(pid, "SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.ok(alive(pid));
  Deno.kill(pid, "SIGTERM");
  await reader.cancel();
  assert.equal((await child.status).code, 5);
  assert.equal(Deno.readTextFileSync(done), "asked\n");
});

everyone(
  "Ctrl-C on a terminal ends a program that ignores it, and SIGINT from inside does not",
  async (p) => {
    const sit = (args: string[]) => {
      const user = p.name === "user" ? "ordinary" : "caller";
      return new Pty([executable(), "portwrap", "-p", "0", "-P", "1", ...args], { user, cwd: "/" });
    };
    const pty = sit(["--grace", "1s", "--", ...STUBBORN]);
    await pty.expect(/ready\s+ready/);
    const all = pty.family();
    await pty.type("\x03");
    const killed = -9 & 255;
    assert.equal(await pty.ended(), killed);
    const left = () => all.filter(({ pid }) => alive(pid)).map(({ argv }) => argv);
    await until(() => left().length === 0 || undefined, () => `left: ${left()}`);
    await pty.close();
    const inside = `trap '' INT TERM; kill -INT 0; sleep 1; echo still; exit 3`;
    const quiet = sit(["--grace", "100ms", "--", "sh", "-c", inside]);
    assert.equal(await quiet.ended(), 3);
    assert.match(quiet.seen, /still/);
    await quiet.close();
    // Of a shell with jobs it is not ours to know: it has a group of its own.
    const jobs = sit(["--grace", "100ms", "--", "bash", "--norc", "--noprofile", "-i"]);
    await jobs.type("echo $((6*7))\n");
    await jobs.expect(/42/);
    await jobs.type("\x03");
    await jobs.type("sleep 1; exit $((1+2))\n");
    assert.equal(await jobs.ended(), 3);
    await jobs.close();
  },
  { needs },
);

everyone("on a terminal it stops and goes on as a job of the shell, and reads there", async (p) => {
  const pty = await shell({ user: p.name === "user" ? "ordinary" : "caller", cwd: "/" });
  const script = "echo o'n'; read x; echo got \\$x; exit 4";
  await pty.type(`${executable()} portwrap -p 0 -P 1 -- sh -c "${script}"\n`);
  await pty.expect(/on\r/);
  for (let i = 0; i < 2; i++) {
    await pty.type("\x1a");
    await pty.expect(/Stopped/);
    await pty.type("jobs -s | wc -l\n");
    await pty.expect(/\s1\s/);
    await pty.type("fg\n");
    await pty.expect(/portwrap/);
    // Keys that are pressed before are for the shell, or are undone by what continues the job.
    const goesOn = () =>
      pty.family().some(({ comm, state, group, foreground }) =>
        comm === "sh" && state === "S" && group === foreground
      );
    await until(() => goesOn() || undefined, () => pty.seen);
  }
  await pty.type("hello\n");
  await pty.expect(/got hello/);
  await pty.type("echo status=$?\n");
  await pty.expect(/status=4/);
  await pty.close();
}, { needs });

everyone("nothing outlives the program for callers that do not read or do not close", async (p) => {
  const behaviour = `
if c.recv(1) == b"w": c.sendall(bytes(10**8))
time.sleep(600)`;
  await using running = await start(p, guest(behaviour));
  const conns = await Promise.all(Array.from({ length: 20 }, () => connect(running.ports[0]!)));
  try {
    for (const [i, conn] of conns.entries()) await conn.write(new TextEncoder().encode("rw"[i % 2]));
    const relays = below(running.pid);
    assert.ok(relays.length >= 20);
    running.signal("SIGTERM");
    await running.status;
    const left = () => relays.filter(alive);
    await until(() => left().length === 0 || undefined, () => `left: ${left()}`, 10);
  } finally {
    for (const conn of conns) conn.close();
  }
}, { needs });

everyone("a port in use is one clear error, and nothing is started", async (p) => {
  using taken = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const dir = p.dir();
  const { port } = taken.addr as Deno.NetAddr;
  const { code, stderr } = await p.cordon(["portwrap", "-p", String(port), "-P", "1", "touch", "ran"], {
    cwd: dir,
  });
  assert.equal(code, 125);
  assert.match(stderr, new RegExp(`^cordon: Cannot listen on 127.0.0.1 port ${port}: EADDRINUSE`));
  assert.deepEqual([...Deno.readDirSync(dir)], []);
});

rootOnly(
  "another user can neither take the port between bind and listen, nor listen beside it",
  async (p) => {
    // Bound before portwrap is, as far as that can be done beside another: it listens last, or tries to.
    const thief = `
import socket, sys
port = int(sys.argv[1])
def bound(address, option):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, option, 1)
    s.bind((address, port))
    return s
def attempt(what):
    try: what()
    except OSError as error: print(error.errno, flush=True)
    else: print("taken", flush=True)
early = bound("127.0.0.1", socket.SO_REUSEADDR)
print("bound", flush=True)
sys.stdin.readline()
attempt(lambda: early.listen(8))
early.close()
for address in ("127.0.0.1", "0.0.0.0"):
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        attempt(lambda: bound(address, option).listen(8))`;
    const port = freePort(), inUse = "98";
    const [setpriv, ...args] = asUserArgv(["python3", "-c", thief, String(port)]);
    const child = new Deno.Command(setpriv!, {
      args,
      env: baseEnv("/"),
      clearEnv: true,
      cwd: "/",
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await lines.read()).value, "bound\n");
    await using running = await start(p, guest("pass"), {
      bare: true,
      args: ["-p", String(port), "-P", "8080"],
    });
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("\n"));
    await writer.close();
    let said = "";
    for (let next = await lines.read(); !next.done; next = await lines.read()) said += next.value;
    await child.status;
    assert.deepEqual(said.trim().split("\n"), Array(5).fill(inUse));
    (await connect(running.ports[0]!)).close();
  },
  { needs },
);

userOnly("a port below 1024 without the right is one clear error", async (p) => {
  const { code, stderr } = await p.cordon(["portwrap", "-p", "81", "-P", "1", "true"]);
  assert.equal(code, 125);
  assert.match(stderr, /^cordon: Cannot listen on 127.0.0.1 port 81: EACCES/);
});

const MISTAKES: [string, string[], RegExp, Record<string, string>?][] = [
  ["no command", ["-p", "0", "-P", "1"], /needs PROG/],
  ["no port", ["true"], /needs a host port/],
  ["a port out of range", ["-p", "65536", "-P", "1", "true"], /Cannot use "65536" for -p/],
  ["guest port 0", ["-p", "0", "-P", "0", "true"], /Cannot use "0" for -P/],
  [
    "the same port twice",
    ["-p", "8000", "-P", "1", "--forward", "8000:2", "true"],
    /port 8000 is given twice/,
  ],
  [
    "the same port on an address and on all of them",
    ["--forward", "0.0.0.0:8000:1", "--forward", "8000:2", "true"],
    /port 8000 is given twice\n0\.0\.0\.0 covers it/,
  ],
  ["a guest address that is not local", ["--forward", "0:10.0.0.1:80", "true"], /local inside/],
  [
    "an address that is not the machine's",
    ["-p", "0", "-P", "1", "--host-addr", "198.51.100.7", "true"],
    /EADDRNOTAVAIL/,
  ],
  [
    "a name that does not resolve",
    ["-p", "0", "-P", "1", "--allow", "no.invalid:80", "true"],
    /no.invalid has no address/,
  ],
  ["--allow proxy without a proxy", ["-p", "0", "-P", "1", "--allow", "proxy", "true"], /finds no proxy/],
  [
    "a door that is none",
    ["-p", "0", "-P", "1", "--open", "window", "true"],
    /Cannot use "window" for --open/,
  ],
  ["a Hub URL that is malformed", ["true"], /JUPYTERHUB_API_URL is malformed/, {
    JUPYTERHUB_SERVICE_URL: "http://127.0.0.1:0123/user/a/",
    JUPYTERHUB_API_URL: "no url",
  }],
  ["a service URL that is malformed", ["true"], /JUPYTERHUB_SERVICE_URL is malformed/, {
    JUPYTERHUB_SERVICE_URL: "ftp:/x",
  }],
  ["a service URL without a port", ["true"], /names port 0/, {
    JUPYTERHUB_SERVICE_URL: "http://127.0.0.1:0/",
  }],
  ["--batchspawner without a Hub", ["--batchspawner", "true"], /JUPYTERHUB_API_URL is not set/],
  ["--batchspawner and -p", ["--batchspawner", "-p", "1", "true"], /cannot be given together/],
];

for (const [name, args, message, env] of MISTAKES) {
  userOnly(`refused before anything is started: ${name}`, async (p) => {
    const { code, stdout, stderr } = await p.cordon(["portwrap", ...args], env ? { env } : {});
    assert.equal(code, 125, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, message);
    assert.equal(stderr.match(/^cordon: /gm)!.length, 1, stderr);
  });
}
