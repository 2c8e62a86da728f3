/**
 * Real JupyterHub, batchspawner, jupyterhub-singleuser and jupyter-server-proxy: the whole of a user's session through
 * the Hub's proxy, and what another user of the machine can do to it, without portwrap and with it in each wiring.
 */
import assert from "node:assert/strict";
import { posix } from "node:path";
import { executable } from "../helpers/binary.ts";
import { type Need, program, python, pythonModule, root, test } from "../helpers/need.ts";
import { run, tmp } from "../helpers/run.ts";

const DRIVER = new URL("jupyterhub.py", import.meta.url).pathname;
const PROXY = new URL("../../build/node/node_modules/.bin/configurable-http-proxy", import.meta.url).pathname;

const proxy: Need = {
  what: "configurable-http-proxy",
  met: () => {
    try {
      return Deno.statSync(PROXY).isFile;
    } catch {
      return "not in build/node (run-tests --install)";
    }
  },
};
const modules = [
  "jupyterhub",
  "batchspawner",
  "sudospawner",
  "jupyter_server_proxy",
  "ipykernel",
  "websocket",
];
const needs = [root, program("node"), program("ip"), program("sudo"), proxy, ...modules.map(pythonModule)];

interface Session {
  error?: string;
  app: string;
  appAgain: string;
  cell: string;
  ports: number[];
  attackApp: Record<string, string>;
  attackIopub: Record<string, string>;
  bait: string;
  left: string[];
}

interface Wiring {
  /** c.Spawner.cmd */
  cmd?: string[];
  /** Through batchspawner; otherwise a LocalProcessSpawner. */
  batch?: boolean;
  /** batchspawner_singleuser_cmd */
  singleuser?: string;
  /** Through sudospawner, with the program of that name here. */
  sudo?: string;
  ssl?: boolean;
  hubIp?: string;
  /** The Hub in a network namespace of its own. */
  elsewhere?: boolean;
}

/** An address of this machine that is not its loopback. */
function ownAddress(): string {
  const found = Deno.networkInterfaces().find(({ family, address }) =>
    family === "IPv4" && !address.startsWith("127.")
  );
  return found?.address ?? "127.0.0.2";
}

/** /etc/passwd with the two users stands in a mount namespace of the driver's. */
async function session(wiring: Wiring): Promise<Session> {
  const directory = tmp();
  Deno.chmodSync(directory, 0o755);
  // Nobody's, and not those of other tests on this machine.
  const alice = 50_000 + 2 * (Deno.pid % 5000), bob = alice + 1;
  Deno.writeTextFileSync(
    `${directory}/passwd`,
    `root:x:0:0::/root:/bin/sh\nalice:x:${alice}:${alice}::${directory}/home:/bin/sh\nbob:x:${bob}:${bob}::/:/bin/sh\n`,
  );
  Deno.writeTextFileSync(`${directory}/group`, `root:x:0:\nalice:x:${alice}:\nbob:x:${bob}:\n`);
  const options = {
    directory,
    uids: [alice, bob],
    proxy: PROXY,
    publicIp: "127.0.0.1",
    hubIp: "127.0.0.1",
    node: ownAddress(),
    ssl: false,
    batch: false,
    cmd: ["jupyterhub-singleuser"],
    ...wiring,
  };
  const script = 'mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && exec "$@"';
  const argv = ["unshare", "-m", "--propagation", "private", "sh", "-euc", script, directory];
  const env = { PATH: Deno.env.get("PATH") };
  const { stdout, stderr } = await run([...argv, python, DRIVER, JSON.stringify(options)], {
    env,
    deadline: 240_000,
  });
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout.split("\n").at(-2)!);
}

/** What a user does works. */
function works(s: Session): void {
  assert.equal(s.error, undefined, s.error);
  assert.equal(s.app, "the app of alice");
  assert.equal(s.cell, "42");
  assert.equal(s.appAgain, "the app of alice");
  assert.deepEqual(s.left, []);
}

/** What another user tries does not. */
function holds(s: Session): void {
  assert.equal(s.ports.length, 1, `ports seen outside: ${s.ports}`);
  for (const answer of [...Object.values(s.attackApp), ...Object.values(s.attackIopub)]) {
    assert.match(answer, /^refused/);
  }
  assert.doesNotMatch(s.bait, /bait/);
}

test("without portwrap another user reads the app and iopub, and baits /proxy/PORT", { needs }, async () => {
  const s = await session({});
  works(s);
  assert.ok(s.ports.length > 5, `${s.ports}`);
  assert.match(s.attackApp["127.0.0.1"]!, /the app of alice/);
  assert.match(s.attackIopub["127.0.0.1"]!, /\x7f/); // ZeroMQ's greeting
  assert.equal(s.bait, "bait");
});

const WIRINGS: [string, () => Wiring][] = [
  ["in c.Spawner.cmd of a local spawner", () => ({
    cmd: [executable(), "portwrap", "jupyterhub-singleuser"],
  })],
  ["in c.Spawner.cmd with internal SSL and the Hub at the node's address", () => ({
    cmd: [executable(), "portwrap", "jupyterhub-singleuser"],
    ssl: true,
    hubIp: ownAddress(),
  })],
  ["--batchspawner in place of batchspawner-singleuser", () => ({
    batch: true,
    singleuser: `${executable()} portwrap --batchspawner`,
  })],
  ["--batchspawner with internal SSL and the Hub at the node's address", () => ({
    batch: true,
    singleuser: `${executable()} portwrap --batchspawner`,
    ssl: true,
    hubIp: ownAddress(),
  })],
  ["--batchspawner with the Hub in another network namespace", () => ({
    batch: true,
    singleuser: `${executable()} portwrap --batchspawner`,
    elsewhere: true,
  })],
  ["as sudospawner-singleuser", () => ({ sudo: sudospawner() })],
  ["as batchspawner-portwrap in c.Spawner.cmd", () => ({
    batch: true,
    cmd: [installedScript(), "jupyterhub-singleuser"],
  })],
];

/** What sudospawner starts is what lies beside it under fixed names. */
function sudospawner(): string {
  const directory = tmp(), bin = posix.dirname(python);
  for (const name of ["sudospawner", "jupyterhub-singleuser"]) {
    Deno.copyFileSync(`${bin}/${name}`, `${directory}/${name}`);
  }
  const wrapper = `#!/bin/sh
exec ${executable()} portwrap "$(dirname "$0")/jupyterhub-singleuser" "$@"
`;
  Deno.writeTextFileSync(`${directory}/sudospawner-singleuser`, wrapper, { mode: 0o755 });
  return `${directory}/sudospawner`;
}

function installedScript(): string {
  const directory = tmp();
  Deno.chmodSync(directory, 0o755);
  const { success, stderr } = new Deno.Command(executable(), {
    args: ["portwrap", "--install-batchspawner", directory],
  }).outputSync();
  assert.ok(success, new TextDecoder().decode(stderr));
  return `${directory}/batchspawner-portwrap`;
}

for (const [name, wiring] of WIRINGS) {
  test(`portwrap ${name}: the session works and nothing of it can be reached`, { needs }, async () => {
    const s = await session(wiring());
    works(s);
    holds(s);
  });
}
