/** The network around the sandbox: reached outside, not inside. */
import assert from "node:assert/strict";
import { everyone, ok } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";
import { compiler, inside, outside, worked } from "./security_attack.ts";

const needs = [compiler, program("python3")];

/** Listens on an abstract Unix socket and on a port of the loopback until stdin ends; prints name and port. */
const LISTENERS = `
import socket, sys, uuid
name = "cordon-test-" + uuid.uuid4().hex
a = socket.socket(socket.AF_UNIX); a.bind("\\0" + name); a.listen(16)
t = socket.socket(); t.bind(("127.0.0.1", 0)); t.listen(16)
print(name, t.getsockname()[1], flush=True)
sys.stdin.read()
`;

async function withListeners(body: (attacks: string[]) => Promise<void>): Promise<void> {
  const child = new Deno.Command("python3", { args: ["-c", LISTENERS], stdin: "piped", stdout: "piped" })
    .spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  try {
    while (!said.includes("\n")) {
      const { value, done } = await lines.read();
      assert.ok(!done, "the listener has ended");
      said += value;
    }
    const [name, port] = said.trim().split(" ");
    await body([`abstract_socket:${name}`, `loopback:${port}`]);
  } finally {
    await lines.cancel();
    await child.stdin.close();
    await child.status;
  }
}

everyone("without a network neither abstract sockets nor the loopback of the host are reached", async (p) => {
  await withListeners(async (attacks) => {
    worked(await outside(p, attacks));
    const refused = Object.fromEntries(attacks.map((attack) => [attack, "ECONNREFUSED"]));
    assert.deepEqual(await inside(p, attacks), refused);
    assert.deepEqual(await inside(p, attacks, { args: ["--network", "none"] }), refused);
  });
}, { needs });

everyone("--allow opens one port of the host and no other", async (p) => {
  await withListeners(async ([abstract, allowed]) => {
    await withListeners(async ([, other]) => {
      const attacks = [abstract!, allowed!, other!];
      worked(await outside(p, attacks));
      const args = ["--allow", allowed!.replace("loopback", "127.0.0.1")];
      assert.deepEqual(await inside(p, attacks, { args }), {
        [abstract!]: "ECONNREFUSED",
        [allowed!]: "done",
        [other!]: "ECONNREFUSED",
      });
    });
  });
}, { needs });

everyone("--network host reaches both, as docs/security.md says", async (p) => {
  await withListeners(async (attacks) => {
    worked(await inside(p, attacks, { args: ["--network", "host"] }));
  });
}, { needs });

everyone("the only interface is the loopback, and it is up", async (p) => {
  const devices = ok(
    await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1"]),
  );
  assert.deepEqual(devices.split("\n").map((name) => name.trim()), ["lo"]);
  const talk = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); " +
    "socket.create_connection(s.getsockname()); print('heard')";
  assert.equal(ok(await p.isolate(["-m", "ro:/usr", "--", "/usr/bin/python3", "-c", talk])), "heard");
}, { needs });

everyone("no way to the system's own sockets", async (p) => {
  const places = "/run/dbus /run/user /run/docker.sock /var/run /run/systemd /tmp/.X11-unix";
  const seen = await p.isolate([
    "-m",
    "ro:/usr",
    "--",
    "sh",
    "-c",
    `ls -A /run; ls -d ${places} 2>/dev/null`,
  ]);
  assert.equal(seen.stdout, "");
}, { needs });
