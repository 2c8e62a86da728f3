/** `cordon serve` over loopback, as an ordinary user. */
import assert from "node:assert/strict";
import { cordon, cordonArgv, tmp } from "../helpers/binary.ts";
import { root, test, userns } from "../helpers/need.ts";
import { baseEnv } from "../helpers/run.ts";
import { ordinaryHome } from "../helpers/user.ts";
import { sleeping } from "../helpers/serving.ts";

const TOKEN = "a-token-of-the-tests";
const options = { needs: [userns] };

interface Served extends AsyncDisposable {
  url: string;
  stop(): Promise<Deno.CommandStatus>;
}

async function serve(): Promise<Served> {
  const file = `${tmp()}/token`;
  Deno.writeTextFileSync(file, TOKEN + "\n");
  const argv = cordonArgv(["serve", "--listen", "127.0.0.1:0", "--token-file", file], { user: "ordinary" });
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
  const listening = Promise.withResolvers<string>();
  const read = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said += text;
      const url = /listening on (http:\S+)\n/.exec(said)?.[1];
      if (url) listening.resolve(url);
    }
    listening.reject(new Error(`cordon serve ended: ${said}`));
  })();
  const stop = async () => {
    child.kill("SIGTERM");
    await read;
    return await child.status;
  };
  let stopped: Promise<Deno.CommandStatus> | undefined;
  const once = () => stopped ??= stop();
  return { url: await listening.promise, stop: once, [Symbol.asyncDispose]: async () => void await once() };
}

async function execute(url: string, cmd: string, args = "host", headers: Record<string, string> = {}) {
  const response = await fetch(`${url}/execute`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ cmd, args }),
  });
  return { status: response.status, body: await response.json() };
}

test("serve answers as Dockyter's backend does", options, async () => {
  await using server = await serve();
  const health = await fetch(`${server.url}/health`);
  assert.deepEqual([health.status, await health.json()], [200, { status: "ok" }]);
  const basic = { authorization: "Basic " + btoa(`me:${TOKEN}`) };
  const { status, body } = await execute(server.url, "echo out; echo err >&2; exit 3", "host", basic);
  assert.equal(status, 200);
  assert.deepEqual([body.stdout, body.stderr, body.exit_code, body.truncated], ["out\n", "err\n", 3, false]);
  const inPath = await execute(`${server.url}/${TOKEN}`, "ls -A ~");
  assert.deepEqual([inPath.body.stdout, inPath.body.exit_code], ["", 0]);
});

test(
  "serve runs nothing without the token, and refuses what its policy does not allow",
  options,
  async () => {
    await using server = await serve();
    assert.equal((await execute(server.url, "true")).status, 401);
    assert.equal((await execute(`${server.url}/wrong`, "true")).status, 401);
    const { status, body } = await execute(`${server.url}/${TOKEN}`, "true", "--privileged host");
    assert.equal(status, 200);
    assert.match(body.stderr, /--privileged/);
    assert.equal(body.exit_code, null);
  },
);

test("serve cuts long output and lets the command finish", options, async () => {
  await using server = await serve();
  const { body } = await execute(`${server.url}/${TOKEN}`, "head -c 3000000 /dev/zero; echo done >&2");
  assert.deepEqual([body.stdout.length, body.truncated, body.exit_code], [2 ** 20, true, 0]);
});

test("serve sends something while a command is silent", options, async () => {
  await using server = await serve();
  const response = await fetch(`${server.url}/${TOKEN}/execute`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ cmd: "sleep 4", args: "host" }),
  });
  const text = await response.text();
  assert.match(text, /^ +\{/);
  assert.equal(JSON.parse(text).exit_code, 0);
});

test("a client that goes away takes its command along", options, async () => {
  await using server = await serve();
  const mark = `${Deno.pid}${Date.now()}`.slice(0, 15);
  const abort = new AbortController();
  const request = fetch(`${server.url}/${TOKEN}/execute`, {
    method: "POST",
    signal: abort.signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ cmd: `sleep ${mark}`, args: "host" }),
  }).then((response) => response.text());
  await until(() => sleeping(mark));
  abort.abort();
  await assert.rejects(request);
  await until(() => !sleeping(mark));
});

test("SIGTERM lets a command finish and answers it", options, async () => {
  await using server = await serve();
  const mark = `2.${Deno.pid}`;
  const answer = execute(`${server.url}/${TOKEN}`, `sleep ${mark}; echo finished`);
  await until(() => sleeping(mark));
  const status = server.stop();
  assert.equal((await answer).body.stdout, "finished\n");
  assert.equal((await status).code, 0);
});

test("as root the namespaces engine needs a user", { needs: [root] }, async () => {
  const flags = ["--listen", "127.0.0.1:0", "--state", tmp(), "--engine", "namespaces"];
  const { code, stderr } = await cordon(["serve", ...flags]);
  assert.equal(code, 1);
  assert.match(stderr, /needs --user/);
  const again = await cordon(["serve", ...flags, "--user", "root"]);
  assert.equal(again.code, 1);
});

test("without tokens serve listens on loopback addresses only", {}, async () => {
  const { code, stderr } = await cordon(["serve", "--no-auth", "--listen", "0.0.0.0:0"]);
  assert.equal(code, 2);
  assert.match(stderr, /0\.0\.0\.0:0/);
});

/** Waits for it, 30 s at most. */
async function until(happened: () => boolean): Promise<void> {
  for (let tries = 0; !happened(); tries++) {
    if (tries === 600) throw new Error("it did not happen");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
