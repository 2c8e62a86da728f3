/** The life of the server: its record across a SIGKILL, draining, reloading, becoming another user. */
import assert from "node:assert/strict";
import { probeCgroups } from "../../lib/host/cgroups.ts";
import { cordon, tmp } from "../helpers/binary.ts";
import { type Need, root, test, userns } from "../helpers/need.ts";
import { hashed, mark, type Serving, serving, sleeping, TOKEN, until } from "../helpers/serving.ts";
import { ordinaryTmp, ordinaryUid } from "../helpers/user.ts";

const options = { needs: [userns] };
const groups: Need = {
  what: "control groups that root can make",
  met: () => probeCgroups().controllers.memory.by !== "none",
};

function config(more = ""): string {
  return `[policies.default]\nimages = ["host"]\n[tenants.class]\ntokens = ["${hashed(TOKEN)}"]\n${more}`;
}

// deno-lint-ignore no-explicit-any
async function executions(server: Serving): Promise<any[]> {
  const response = await server.request("/v1/executions?limit=500");
  return (await response.json()).executions;
}

async function begin(server: Serving, command: string): Promise<string> {
  const response = await server.request("/v1/executions", { method: "POST", json: { command } });
  assert.equal(response.status, 202);
  return (await response.json()).id;
}

test("after SIGKILL nothing is left running, and what was unfinished is lost, once", options, async () => {
  const state = ordinaryTmp();
  const words = [mark(), mark()];
  let done: string, lost: string[];
  {
    await using server = await serving({ state });
    done = (await server.execute("exit 3")).body.id;
    lost = [];
    for (const word of words) lost.push(await begin(server, `echo begun; exec sleep ${word}`));
    // More than can run at once: these wait.
    for (let n = 0; n < 8; n++) lost.push(await begin(server, "sleep 600"));
    await until(() => words.some(sleeping));
    server.kill("SIGKILL");
    assert.equal((await server.status).signal, "SIGKILL");
  }
  await until(() => !words.some(sleeping));
  for (const round of [1, 2]) {
    await using server = await serving({ state });
    const told = await executions(server);
    assert.deepEqual(told.filter(({ state }) => state === "lost").map(({ id }) => id).sort(), lost.sort());
    assert.deepEqual(told.filter(({ state }) => state === "finished").map(({ id }) => id), [done]);
    assert.equal(told.length, lost.length + 1);
    const said = server.said().split("\n").filter((line) => line.includes('"event":"lost"'));
    assert.equal(said.length, round === 1 ? lost.length : 0);
    const [first] = lost;
    const events = await server.request(`/v1/executions/${first}/events`);
    assert.match(await events.text(), /event: state\ndata: \{"state":"lost"/);
    await server.stop();
  }
});

test("two servers do not share a record", options, async () => {
  await using server = await serving();
  const second = await cordon(["serve", "--listen", "127.0.0.1:0", "--state", server.state, "--no-auth"], {
    user: "ordinary",
  });
  assert.equal(second.code, 1);
  assert.match(second.stderr, /Another cordon serve uses it/);
});

test("SIGTERM answers what was admitted and takes nothing new; it ends then", options, async () => {
  await using server = await serving();
  const word = mark();
  const answer = server.execute(`sleep ${word} & sleep 2; echo finished`);
  await until(() => sleeping(word));
  const ended = server.stop();
  await until(async () => (await status(server, "/readyz")) === 503);
  const late = await server.execute("true");
  assert.deepEqual([late.status, late.body.type], [503, "urn:cordon:problem:draining"]);
  assert.ok(Number(late.headers.get("retry-after")) > 0);
  assert.equal(await status(server, "/healthz"), 200);
  const { body } = await answer;
  assert.deepEqual([body.stdout, body.exit_code], ["finished\n", 0]);
  assert.equal((await ended).code, 0);
  assert.equal(sleeping(word), false);
});

test("what runs is ended by a second signal, or when the time to drain is over", options, async () => {
  for (const drain of ["3600s", "1s"]) {
    await using server = await serving({ config: `drain = "${drain}"\n${config()}` });
    const word = mark();
    const answer = server.execute(`echo before; exec sleep ${word}`);
    await until(() => sleeping(word));
    const ended = server.stop();
    await until(async () => (await status(server, "/readyz")) === 503);
    if (drain === "3600s") server.kill("SIGTERM");
    const { body } = await answer;
    assert.deepEqual([body.stdout, body.exit_code, body.reason], ["before\n", null, "shutdown"]);
    assert.equal((await ended).code, 0);
    assert.equal(sleeping(word), false);
  }
});

test("SIGHUP takes a configuration whole, and a wrong one not at all", options, async () => {
  await using server = await serving({ config: config() });
  assert.equal((await server.execute("true")).status, 200);
  const write = (text: string) => Deno.writeTextFileSync(server.config, text);
  const events = (name: string) => server.said().split(`"event":"${name}"`).length - 1;
  for (
    const [n, wrong] of ["[policies", config("unknown = 1"), 'listen = "0.0.0.0:1"\n' + config()].entries()
  ) {
    write(wrong);
    server.kill("SIGHUP");
    await until(() => events("reload-refused") === n + 1);
    assert.equal((await server.execute("true")).status, 200);
  }
  write(config().replace(/sha256:[0-9a-f]{64}/, `sha256:${"0".repeat(64)}`));
  server.kill("SIGHUP");
  await until(() => events("reloaded") === 1);
  assert.equal((await server.execute("true")).status, 401);
  write(config());
  server.kill("SIGHUP");
  await until(() => events("reloaded") === 2);
  assert.equal((await server.execute("true")).status, 200);
});

test("root becomes the user of --user before it answers", { needs: [root, userns] }, async () => {
  const account = Deno.readTextFileSync("/etc/passwd").split("\n").find((line) => /^nobody:/.test(line));
  assert.ok(account);
  const [, , uid] = account.split(":");
  await using server = await serving({
    user: "caller",
    flags: ["--user", "nobody"],
    state: `${tmp()}/state`,
  });
  const { body } = await server.execute("id -u; cat /proc/self/status | grep ^Cap | sort -u -k2 | tail -1");
  assert.match(body.stdout, new RegExp(`^${uid}\nCap\\w+:\\t0+\n$`));
  const status = Deno.readTextFileSync(`/proc/${server.pid}/status`);
  assert.match(status, new RegExp(`^Uid:\t${uid}\t${uid}\t${uid}\t${uid}$`, "m"));
  assert.match(status, /^CapEff:\t0+$/m);
  for (const { name } of Deno.readDirSync(`/proc/${server.pid}/task`)) {
    assert.match(
      Deno.readTextFileSync(`/proc/${server.pid}/task/${name}/status`),
      new RegExp(`^Uid:\t${uid}\t`, "m"),
    );
  }
  assert.equal(Deno.statSync(server.state).uid, Number(uid));
  assert.equal(Deno.statSync(server.state).mode! & 0o777, 0o700);
});

test("an ordinary user becomes nobody else", options, async () => {
  const { code, stderr } = await cordon(["serve", "--user", "nobody", "--state", ordinaryTmp()], {
    user: "ordinary",
  });
  assert.ok(ordinaryUid !== 65534);
  assert.equal(code, 1);
  assert.match(stderr, /Only root/);
});

async function status(server: Serving, path: string): Promise<number> {
  const response = await server.request(path);
  await response.body?.cancel();
  return response.status;
}

test("a signal to the server's process group reaches nothing that runs", options, async () => {
  await using server = await serving({ flags: [], ownGroup: true });
  const word = mark();
  const answer = server.execute(`sleep ${word} & sleep 1; echo finished`);
  await until(() => sleeping(word));
  // As a terminal does it for Ctrl-C, and a service manager for all of a service.
  Deno.kill(-server.pid, "SIGINT");
  const { body } = await answer;
  assert.deepEqual([body.stdout, body.exit_code], ["finished\n", 0]);
  assert.equal((await server.status).code, 0);
});

test(
  "as root the user's executions have the limits of the configuration",
  { needs: [root, userns, groups] },
  async () => {
    const limits = '[policies.default.limits]\nmemory = "64M"\npids = 32\n[tenants';
    await using server = await serving({
      user: "caller",
      flags: ["--user", "nobody"],
      state: `${tmp()}/state`,
      config: config().replace("[tenants", limits),
    });
    const memory = await server.execute("exec head -c 300M /dev/zero | exec tail -c 200M");
    assert.match(memory.body.reason + memory.body.stderr, /memory|Killed/);
    assert.deepEqual(memory.body.not_enforced, []);
    const forks = await server.execute("for n in $(seq 100); do sleep 1 & done; wait");
    assert.match(forks.body.stderr, /[Rr]esource temporarily unavailable/);
  },
);
