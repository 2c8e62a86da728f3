/** `cordon run --api` against `cordon serve`. */
import assert from "node:assert/strict";
import { tinyApi } from "../helpers/api.ts";
import { cordon, cordonArgv, type CordonOptions, tmp } from "../helpers/binary.ts";
import { ordinaryUser, test, userns } from "../helpers/need.ts";
import { eventually, withArgument } from "../helpers/processes.ts";
import { baseEnv } from "../helpers/run.ts";
import { type Serving, serving, TOKEN } from "../helpers/serving.ts";

const needs = [ordinaryUser, userns];

function tokenFile(): string {
  const path = `${tmp()}/token`;
  Deno.writeTextFileSync(path, `${TOKEN}\n`);
  return path;
}

const api = ({ url }: Serving) => ["--api", url, "--token-file", tokenFile()];

const run = (argv: string[], stdin?: NonNullable<CordonOptions["stdin"]>) =>
  cordon(["run", ...argv], stdin === undefined ? {} : { stdin });

/** A `cordon run` that is watched while it runs. */
function start(argv: string[]) {
  const [file = "", ...args] = cordonArgv(["run", ...argv]);
  return new Deno.Command(file, { args, env: baseEnv("/"), stdin: "null", stdout: "piped", stderr: "null" })
    .spawn();
}

/** A number that no other process has among its arguments. */
const unique = () => `${Deno.pid}${crypto.getRandomValues(new Uint32Array(1))[0]}`.slice(0, 15);

const sleeping = (mark: string) => withArgument(mark).some(({ comm }) => comm === "sleep");

test("with cordon serve: commands, scripts, statuses, refusals", { needs }, async () => {
  await using server = await serving();
  const there = api(server);
  const { code, stdout, stderr } = await run([
    ...there,
    "host",
    "sh",
    "-c",
    "echo 'out'; echo err >&2; exit 3",
  ]);
  assert.deepEqual({ code, stdout, stderr }, { code: 3, stdout: "out\n", stderr: "err\n" });
  const script = 'cd /tmp; pwd; for a; do echo "<$a>"; done; cat; exit 9\n';
  const scripted = await run([...there, "--script", "-", "host", "one", "two words"], script);
  assert.deepEqual([scripted.code, scripted.stdout], [9, "/tmp\n<one>\n<two words>\n"]);
  assert.equal((await run([...there, "host", "no-such-command"])).code, 127);
  const refused = await run([...there, "--privileged", "host", "true"]);
  assert.equal(refused.code, 125);
  assert.match(refused.stderr, /privileged/);
  const stranger = await run(["--api", server.url, "host", "true"]);
  assert.equal(stranger.code, 125);
  assert.match(stranger.stderr, /401 Unauthorized/);
});

test("with cordon serve: an interrupt ends the command", { needs }, async () => {
  await using server = await serving();
  const mark = unique();
  const child = start([...api(server), "host", "sleep", mark]);
  await eventually("the command runs", () => sleeping(mark));
  child.kill("SIGINT");
  assert.equal((await child.output()).code, 130);
  await eventually("the command is gone", () => !sleeping(mark));
});

test("with cordon serve: output comes while the command runs", { needs }, async () => {
  await using server = await serving();
  const mark = unique();
  const child = start([...api(server), "host", "sh", "-c", `echo begun; sleep ${mark}`]);
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await reader.read()).value, "begun\n");
  await eventually("the command still runs", () => sleeping(mark));
  child.kill("SIGTERM");
  assert.equal((await child.status).code, 143);
  await reader.cancel();
});

test("with cordon serve: every byte of output, and every byte of stdin with -i", { needs }, async () => {
  await using server = await serving();
  const sent = Uint8Array.from({ length: 200_000 }, (_, at) => (at * 7 + (at >> 8)) & 0xff);
  const { code, bytes, stderr } = await run([...api(server), "-i", "host", "cat"], sent);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.deepEqual(bytes, sent);
  assert.equal((await run([...api(server), "host", "cat"], "not sent")).stdout, "");
});

test("with cordon serve: -d prints the id, and --attach shows it from its beginning", { needs }, async () => {
  await using server = await serving();
  const there = api(server);
  const { code, stdout } = await run([...there, "-d", "host", "sh", "-c", "echo out; echo err >&2; exit 7"]);
  assert.equal(code, 0);
  assert.match(stdout, /^[0-9a-f-]{36}\n$/);
  // The second time it has ended.
  for (const _time of [1, 2]) {
    const attached = await run([...there, "--attach", stdout.trim()]);
    assert.deepEqual([attached.code, attached.stdout, attached.stderr], [7, "out\n", "err\n"]);
  }
  const nobody = await run([...there, "--attach", "00000000-0000-7000-8000-000000000000"]);
  assert.equal(nobody.code, 125);
  assert.match(nobody.stderr, /404 Not Found\nThere is no such execution/);
});

test("with cordon serve: an interrupt of --attach cancels, its death does not", { needs }, async () => {
  await using server = await serving();
  const there = api(server), mark = unique();
  const { stdout: id } = await run([...there, "-d", "host", "sh", "-c", `echo here; sleep ${mark}`]);
  for (const [signal, status] of [["SIGKILL", 137], ["SIGINT", 130]] as const) {
    const child = start([...there, "--attach", id.trim()]);
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await reader.read()).value, "here\n");
    await eventually("the command runs", () => sleeping(mark));
    child.kill(signal);
    assert.equal((await child.status).code, status);
    await reader.cancel();
  }
  assert.ok(!sleeping(mark));
  const { code, stderr } = await run([...there, "--attach", id.trim()]);
  assert.deepEqual([code, stderr], [125, "cordon: the command was cancelled\n"]);
});

test("with cordon serve: a limit that ended it, and output that was cut, are told", { needs }, async () => {
  await using server = await serving({
    config: `auth = false
engine = "namespaces"
[policies.default]
images = ["host"]
[policies.default.limits]
time = { default = 2, most = 2 }
output = { default = "1K", most = "1K" }
[tenants.default]
`,
  });
  const there = ["--api", server.url, "host"];
  const late = await run([...there, "sh", "-c", "echo kept; sleep 1000"]);
  assert.deepEqual([late.code, late.stdout, late.stderr], [
    124,
    "kept\n",
    "cordon: the time limit ended the command\n",
  ]);
  const long = await run([...there, "head", "-c", "5000", "/dev/zero"]);
  assert.deepEqual([long.code, long.bytes.length, long.stderr], [
    0,
    1024,
    "cordon: the server cut the output\n",
  ]);
});

test("with cordon serve: a token in the path reaches executions too", { needs }, async () => {
  await using server = await serving();
  const { code, stdout } = await run(["--api", `${server.url}/${TOKEN}`, "-d", "host", "true"]);
  assert.deepEqual([code, stdout.length], [0, 37]);
});

test("an API that keeps no executions: nothing to attach to, nothing to detach", {}, async () => {
  await using other = tinyApi(() => Response.json({ stdout: "", stderr: "" }));
  const attached = await run(["--api", other.url, "--attach", "some-id"]);
  assert.equal(attached.code, 125);
  assert.match(attached.stderr, /^cordon: Cannot attach to some-id\n.*it is no cordon serve/);
  assert.equal((await run(["--api", other.url, "-d", "img", "x"])).code, 125);
  assert.deepEqual(other.asked, []);
});
