/** `cordon run --api` against `cordon serve`. */
import assert from "node:assert/strict";
import { cordon, cordonArgv, tmp } from "../helpers/binary.ts";
import { ordinaryUser, test, userns } from "../helpers/need.ts";
import { eventually, withArgument } from "../helpers/processes.ts";
import { baseEnv } from "../helpers/run.ts";
import { ordinaryHome } from "../helpers/user.ts";

const TOKEN = "a-token-of-the-tests";

const run = (argv: string[], stdin?: string) =>
  cordon(["run", ...argv], stdin === undefined ? {} : { stdin });

function tokenFile(): string {
  const path = `${tmp()}/token`;
  Deno.writeTextFileSync(path, `${TOKEN}\n`);
  return path;
}

/** `cordon serve` as an ordinary user, on a free port, with the token {@link TOKEN}. */
async function serving(): Promise<AsyncDisposable & { url: string }> {
  const file = tokenFile();
  const [program = "", ...args] = cordonArgv(["serve", "--listen", "127.0.0.1:0", "--token-file", file], {
    user: "ordinary",
  });
  const child = new Deno.Command(program, {
    args,
    clearEnv: true,
    env: baseEnv(ordinaryHome()),
    cwd: ordinaryHome(),
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const listening = Promise.withResolvers<string>();
  const reading = (async () => {
    let said = "";
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said += text;
      const url = /listening on (http:\S+)\n/.exec(said)?.[1];
      if (url) listening.resolve(url);
    }
    listening.reject(new Error(`cordon serve ended: ${said}`));
  })();
  return {
    url: await listening.promise,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await reading;
      await child.status;
    },
  };
}

test(
  "with cordon serve: commands, scripts, statuses, refusals",
  { needs: [ordinaryUser, userns] },
  async () => {
    await using server = await serving();
    const api = ["--api", server.url, "--token-file", tokenFile()];
    const { code, stdout, stderr } = await run([
      ...api,
      "host",
      "sh",
      "-c",
      "echo 'out'; echo err >&2; exit 3",
    ]);
    assert.deepEqual({ code, stdout, stderr }, { code: 3, stdout: "out\n", stderr: "err\n" });
    const script = 'cd /tmp; pwd; for a; do echo "<$a>"; done; cat; exit 9\n';
    const scripted = await run([...api, "--script", "-", "host", "one", "two words"], script);
    assert.deepEqual([scripted.code, scripted.stdout], [9, "/tmp\n<one>\n<two words>\n"]);
    assert.equal((await run([...api, "host", "no-such-command"])).code, 127);
    const refused = await run([...api, "--privileged", "host", "true"]);
    assert.equal(refused.code, 125);
    assert.match(refused.stderr, /privileged/);
    const stranger = await run(["--api", server.url, "host", "true"]);
    assert.equal(stranger.code, 125);
    assert.match(stranger.stderr, /401 Unauthorized/);
  },
);

test("with cordon serve: an interrupt ends the command", { needs: [ordinaryUser, userns] }, async () => {
  await using server = await serving();
  const mark = `${Deno.pid}${Date.now()}`.slice(0, 15);
  const api = ["--api", server.url, "--token-file", tokenFile()];
  const [file = "", ...args] = cordonArgv(["run", ...api, "host", "sleep", mark]);
  const child = new Deno.Command(file, {
    args,
    env: baseEnv("/"),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const sleeping = () => withArgument(mark).some(({ comm }) => comm === "sleep");
  await eventually("the command runs", sleeping);
  child.kill("SIGINT");
  assert.equal((await child.status).code, 130);
  await eventually("the command is gone", () => !sleeping());
});
