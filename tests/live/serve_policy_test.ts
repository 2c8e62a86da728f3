/** What the policy of cordon serve makes, in real engines: they take it, and it holds. */
import assert from "node:assert/strict";
import { inspectContainer } from "../../lib/docker/containers.ts";
import { parseRun } from "../../lib/dockerargs/run.ts";
import { readConfig } from "../../lib/serve/config/read.ts";
import { judge } from "../../lib/serve/policy/judge.ts";
import { realPlaces } from "../../lib/serve/policy/places.ts";
import type { DockerVerdict, PolicyFacts } from "../../lib/serve/policy/verdict.ts";
import { IMAGE, type RunningEngine, testEngines } from "../helpers/engines.ts";
import { HOST } from "../unit/serve/policy/policies.ts";
import { run } from "./client_suite.ts";

const MIB = 2 ** 20;

async function suite(t: Deno.TestContext, running: RunningEngine): Promise<void> {
  const { engine, work } = running;
  const [shown, written] = [`${work}/shown`, `${work}/written`];
  Deno.mkdirSync(shown);
  Deno.mkdirSync(written);
  Deno.chmodSync(written, 0o777);
  Deno.writeTextFileSync(`${shown}/file`, "data\n");
  Deno.writeTextFileSync(`${work}/secret`, "of the host\n");
  const text = `[policies.default]\nimages = ["cordon-test/*:*"]\naliases = { box = "${IMAGE}" }\n` +
    `mounts = ["${shown}", { path = "${written}", write = true }]`;
  const tenant = readConfig(text, "/etc/cordon/serve.toml").tenants[0]!;
  const facts: PolicyFacts = {
    host: HOST,
    engines: { docker: { memory: true, cpus: true, pids: true } },
    apiVersion: engine.apiVersion,
    engineName: engine.name,
    shell: "/bin/sh",
    places: realPlaces(),
  };
  const verdict = (args: string, cmd: string): DockerVerdict => {
    const answer = judge({ tenant, args, cmd }, facts);
    assert.ok("config" in answer, JSON.stringify(answer));
    return answer;
  };
  const execute = (args: string, cmd: string) => run(engine, verdict(args, cmd).config);

  await t.step("the shell, its environment and its directory are what was asked for", async () => {
    const { out, err, exitCode } = await execute(
      `-e 'A=b c' -w /tmp ${IMAGE}`,
      'echo "$A"; pwd; echo no >&2; exit 3',
    );
    assert.deepEqual([out, err, exitCode], ["b c\n/tmp\n", "no\n", 3]);
  });

  await t.step("no capability, no new privilege, a filter, no core file, no network", async () => {
    const { out } = await execute(
      "box",
      "grep -E '^(Cap(Eff|Prm|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status; ulimit -c; ls /sys/class/net",
    );
    const none = "0".repeat(16);
    assert.match(out, new RegExp(`CapPrm:\t${none}\nCapEff:\t${none}\nCapBnd:\t${none}\nCapAmb:\t${none}\n`));
    assert.match(out, /NoNewPrivs:\t1\nSeccomp:\t2\n0\nlo\n$/);
  });

  await t.step("the root is read-only; /tmp is not, runs programs and has a size", async () => {
    const { out } = await execute(
      "--tmpfs /tmp:size=1m box",
      "touch /x 2>/dev/null || echo closed; echo 'echo ran' >/tmp/x; chmod +x /tmp/x; /tmp/x; " +
        "head -c 2000000 /dev/zero >/tmp/y 2>/dev/null || echo full; touch /var/tmp/x /run/x && echo open",
    );
    assert.equal(out, "closed\nran\nfull\nopen\n");
  });

  await t.step("the engine has the limits", async () => {
    const created = Promise.withResolvers<Awaited<ReturnType<typeof inspectContainer>>>();
    const { config } = verdict("-m 64m --pids-limit 20 --cpus 0.5 box", "true");
    await run(engine, config, {
      onCreated: async (id) => created.resolve(await inspectContainer(engine, id)),
    });
    const { HostConfig, Config } = await created.promise;
    const { Memory, PidsLimit, NanoCpus, CpuQuota, CpuPeriod } = HostConfig as Record<string, number>;
    assert.deepEqual([Memory, PidsLimit], [64 * MIB, 20]);
    assert.equal(NanoCpus || CpuQuota! / CpuPeriod! * 1e9, 5e8);
    assert.equal(Config.Labels?.["cordon.serve.tenant"], "default");
  });

  await t.step("mounts: what may be read cannot be written, what may be written is somebody's", async () => {
    const read = await execute(`-v ${shown}:/d:ro box`, "cat /d/file; touch /d/x 2>/dev/null || echo closed");
    assert.equal(read.out, "data\nclosed\n");
    const write = await execute(`-u 1000:1000 -v ${written}:/w box`, "id -u; echo x >/w/new && echo done");
    assert.equal(write.out, "1000\ndone\n", write.err);
    const { uid } = Deno.statSync(`${written}/new`);
    assert.equal(uid, 1000);
  });

  await t.step("what is refused would have worked", async () => {
    const args = ["-v", "/:/h:ro", IMAGE, "cat", `/h${work}/secret`];
    const { config } = parseRun(args, { cwd: "/", env: {}, readFile: () => new Uint8Array() });
    config.HostConfig = { ...config.HostConfig, NetworkMode: "none" };
    assert.equal((await run(engine, config)).out, "of the host\n");
    const answer = judge({ tenant, args: `-v /:/h:ro ${IMAGE}`, cmd: `cat /h${work}/secret` }, facts);
    assert.ok("refused" in answer && answer.rule === "mount");
  });
}

testEngines((name) => `the policy's containers in ${name}`, suite);
