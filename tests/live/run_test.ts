/** `cordon run` with real engines: output, stdin, terminal, signals, statuses, what is left behind. */
import assert from "node:assert/strict";
import { inspectContainer, listContainers, removeContainer } from "../../lib/docker/containers.ts";
import { pushImage, removeImage, tagImage } from "../../lib/docker/images.ts";
import { cordon, cordonArgv, type CordonOptions, type Outcome, tmp } from "../helpers/binary.ts";
import {
  dockerNeeds,
  IMAGE,
  podmanNeeds,
  registryNeeds,
  type RunningEngine,
  startDocker,
  startPodman,
  startRegistry,
} from "../helpers/engines.ts";
import { program, test } from "../helpers/need.ts";
import { Pty, PYTHON } from "../helpers/pty.ts";
import { baseEnv } from "../helpers/run.ts";

type Run = (args: string[], options?: CordonOptions) => Promise<Outcome>;

function runner({ endpoint }: RunningEngine): Run {
  return (args, options = {}) =>
    cordon(["run", "--host", `unix://${endpoint.path}`, ...args], { deadline: 90_000, ...options });
}

/** What every engine has to do. */
async function suite(t: Deno.TestContext, engine: RunningEngine): Promise<void> {
  const run = runner(engine);
  const none = ["--rm", "--network", "none"];
  const noneLeft = async () =>
    assert.deepEqual((await listContainers(engine.engine)).map(({ Names }) => Names), []);

  await t.step("output goes where it belongs, and the status is the command's", async () => {
    const { code, stdout, stderr } = await run([
      ...none,
      IMAGE,
      "sh",
      "-c",
      "echo out; echo err >&2; exit 7",
    ]);
    assert.deepEqual({ code, stdout, stderr }, { code: 7, stdout: "out\n", stderr: "err\n" });
    await noneLeft();
  });

  await t.step("a missing command is 127, one that cannot be executed 126, a bad option 125", async () => {
    assert.equal((await run([...none, IMAGE, "no-such-command"])).code, 127);
    assert.equal((await run([...none, IMAGE, "/etc"])).code, 126);
    assert.equal((await run(["--no-such-option", IMAGE])).code, 125);
    assert.equal((await run([])).code, 125);
    await noneLeft();
  });

  await t.step("stdin arrives with -i and is empty without", async () => {
    const megabyte = "0123456789abcde\n".repeat(1 << 16);
    const counted = await run([...none, "-i", IMAGE, "wc", "-c"], { stdin: megabyte });
    assert.deepEqual([counted.code, counted.stdout.trim()], [0, String(1 << 20)]);
    const empty = await run([...none, IMAGE, "wc", "-c"], { stdin: "something" });
    assert.deepEqual([empty.code, empty.stdout.trim()], [0, "0"]);
  });

  await t.step("a container that does not read its stdin does not hold cordon", async () => {
    const argv = cordonArgv([
      "run",
      "--host",
      `unix://${engine.endpoint.path}`,
      ...none,
      "-i",
      IMAGE,
      "true",
    ]);
    const child = new Deno.Command(argv[0]!, {
      args: argv.slice(1),
      env: baseEnv("/"),
      stdin: "piped",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    // Nothing is written, and the pipe stays open.
    assert.equal((await child.status).code, 0);
    await child.stdin.close();
  });

  await t.step("10 MB of output come through whole", async () => {
    const { code, bytes } = await run([...none, IMAGE, "sh", "-c", "head -c 10000000 /dev/zero"]);
    assert.deepEqual([code, bytes.length], [0, 10_000_000]);
  });

  await t.step("a script comes by stdin: its commands find an empty one, and it has arguments", async () => {
    const stdin = 'read -r line || echo "nothing to read"\nfor a; do echo "<$a>"; done\nexit 9\n';
    const { code, stdout, stderr } = await run([...none, "--script", "-", IMAGE, "one", "two words"], {
      stdin,
    });
    assert.deepEqual({ code, stdout, stderr }, {
      code: 9,
      stdout: "nothing to read\n<one>\n<two words>\n",
      stderr: "",
    });
    const long = `: '${"x".repeat(300_000)}'\necho end`;
    assert.equal((await run([...none, "--script=-", IMAGE], { stdin: long })).stdout, "end\n");
  });

  await t.step("directories, variables, working directory and user are the container's", async () => {
    const cwd = tmp();
    Deno.writeTextFileSync(`${cwd}/file`, "content\n");
    Deno.writeTextFileSync(`${cwd}/vars`, "B=two\n");
    const options = [
      "-v",
      "./file:/data/file:ro",
      "-e",
      "A=1",
      "--env-file",
      "vars",
      "-w",
      "/data",
      "-u",
      "1234:5",
    ];
    const script = 'cat file; echo "$A $B"; id -u; id -g; pwd; echo x >file';
    const { stdout, stderr } = await run([...none, ...options, IMAGE, "sh", "-c", script], { cwd });
    assert.equal(stdout, "content\n1 two\n1234\n5\n/data\n");
    assert.match(stderr, /Read-only file system|Permission denied/);
  });

  await t.step("without --rm the container stays, with its log", async () => {
    const { code } = await run(["--name", "stays", "--network", "none", IMAGE, "sh", "-c", "exit 4"]);
    const { State } = await inspectContainer(engine.engine, "stays");
    assert.deepEqual([code, State.ExitCode, State.Running], [4, 4, false]);
    const again = await run(["--name", "stays", "--network", "none", IMAGE, "true"]);
    assert.equal(again.code, 125);
    assert.match(again.stderr, /^cordon: Cannot create a container/);
    await removeContainer(engine.engine, "stays");
  });

  await t.step("-d prints the id and leaves it running; the file of --cidfile has it too", async () => {
    const cwd = tmp();
    const args = ["-d", "--rm", "--network", "none", "--cidfile", "id", IMAGE, "sleep", "1000"];
    const { code, stdout, stderr } = await run(args, { cwd });
    assert.deepEqual([code, stderr], [0, ""]);
    const id = stdout.trim();
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.equal(Deno.readTextFileSync(`${cwd}/id`), id);
    assert.equal((await inspectContainer(engine.engine, id)).State.Running, true);
    const again = await run(args, { cwd });
    assert.equal(again.code, 125);
    assert.match(again.stderr, /^cordon: Cannot make id, the file of --cidfile/);
    await removeContainer(engine.engine, id, { force: true });
    await run(["-d", "--cidfile", "new", "--network", "none", IMAGE, "no-such-command"], { cwd });
    assert.throws(() => Deno.statSync(`${cwd}/new`), Deno.errors.NotFound);
    await noneLeft();
  });

  await t.step(
    "signals reach the process, and the third interrupt ends one that has no ear for them",
    async () => {
      const trap =
        'trap "echo got USR1" USR1; trap "echo got TERM; exit 5" TERM; echo ready; while :; do sleep 0.1; done';
      const polite = await started(engine, [...none, IMAGE, "sh", "-c", trap]);
      await polite.until("ready\n");
      polite.child.kill("SIGUSR1");
      await polite.until("got USR1\n");
      polite.child.kill("SIGTERM");
      assert.equal(await polite.code(), 5);
      assert.match(polite.seen, /got TERM\n$/);

      const deaf = await started(engine, [
        ...none,
        IMAGE,
        "sh",
        "-c",
        'trap "" INT; echo ready; exec sleep 1000',
      ]);
      await deaf.until("ready\n");
      for (let i = 0; i < 3; i++) {
        deaf.child.kill("SIGINT");
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      assert.equal(await deaf.code(), 130);
      await noneLeft();
    },
  );

  await t.step("when the reader of the output goes, the container goes too", async () => {
    const endless = await started(engine, [...none, IMAGE, "yes"]);
    await endless.until("y\n");
    await endless.hangUp();
    assert.equal(await endless.code(), 141);
    await noneLeft();
  });

  await t.step("a limit of the engine holds", async () => {
    const eater = ["sh", "-c", "head -c 200000000 /dev/zero | tail"];
    const { code, stderr } = await run([...none, "-m", "32m", "--memory-swap", "32m", IMAGE, ...eater]);
    assert.ok(code !== 0, stderr);
  });

  await t.step("an engine that is not there is said to be not there", async () => {
    const { code, stderr } = await cordon(["run", "--host", "unix:///nonexistent/x.sock", IMAGE]);
    assert.equal(code, 125);
    assert.match(stderr, /^cordon: .*\/nonexistent\/x\.sock/);
  });
}

interface Started {
  child: Deno.ChildProcess;
  seen: string;
  until(text: string): Promise<void>;
  code(): Promise<number>;
  hangUp(): Promise<void>;
}

async function started({ endpoint }: RunningEngine, args: string[]): Promise<Started> {
  const argv = cordonArgv(["run", "--host", `unix://${endpoint.path}`, ...args]);
  const child = new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    env: baseEnv("/"),
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const self: Started = {
    child,
    seen: "",
    async until(text) {
      while (!self.seen.includes(text)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`ended without ${JSON.stringify(text)}: ${self.seen}`);
        self.seen += value;
      }
    },
    async code() {
      for (let next = await reader.read(); !next.done; next = await reader.read()) self.seen += next.value;
      return (await child.status).code;
    },
    hangUp: () => reader.cancel(),
  };
  return await Promise.resolve(self);
}

/** A person at a terminal. */
async function terminalSuite(t: Deno.TestContext, engine: RunningEngine): Promise<void> {
  const start = (...args: string[]) =>
    new Pty(
      cordonArgv(["run", "--host", `unix://${engine.endpoint.path}`, "--network", "none", ...args]),
      { user: "caller" },
    );

  await t.step("a shell on a terminal: its size, its keys, its status", async () => {
    const pty = start("-it", "--rm", IMAGE, "sh");
    await pty.expect(/[#$] /);
    await pty.resize(33, 77);
    // It takes its way through the engine.
    await pty.type("until stty size 2>/dev/null | grep '33 77'; do sleep 0.1; done\r");
    await pty.expect(/\n33 77/);
    await pty.type("sh -c 'echo run''ning; exec sleep 1000'\r");
    await pty.expect(/\nrunning/);
    await pty.type("\x03");
    await pty.type("echo sta''tus $?\r");
    await pty.expect(/status 130/);
    await pty.type("exit 6\r");
    assert.equal(await pty.ended(), 6);
    await pty.close();
    assert.deepEqual(await listContainers(engine.engine), []);
  });

  await t.step("the detach keys leave it running", async () => {
    const pty = start("-it", "--name", "left", IMAGE, "sh");
    await pty.expect(/[#$] /);
    await pty.type("\x10\x11");
    assert.equal(await pty.ended(), 0);
    await pty.close();
    assert.equal((await inspectContainer(engine.engine, "left")).State.Running, true);
    await removeContainer(engine.engine, "left", { force: true });
  });

  await t.step("the terminal is as it was afterwards", async () => {
    const line = cordonArgv([
      ...["run", "--host", `unix://${engine.endpoint.path}`, "--network", "none"],
      ...["-it", "--rm", IMAGE, "true"],
    ]);
    const pty = new Pty(["sh", "-c", 'stty -g; "$@"; stty -g', "sh", ...line], { user: "caller" });
    const [, before] = await pty.expect(/([0-9a-f:]{20,})\r\n/);
    const [, after] = await pty.expect(/([0-9a-f:]{20,})\r\n/);
    assert.equal(after, before);
    await pty.ended();
    await pty.close();
  });
}

test("cordon run with dockerd", { needs: dockerNeeds }, async (t) => {
  await using docker = await startDocker();
  await suite(t, docker);
  const run = runner(docker);

  await t.step("-t without a terminal is refused", async () => {
    const { code, stderr } = await run(["-it", IMAGE, "true"]);
    assert.deepEqual([code, stderr.split("\n")[0]], [125, "cordon: -t needs a terminal, and stdin is none"]);
  });

  await t.step("an image that is nowhere is 125, and with --pull never nothing is asked for", async () => {
    const never = await run(["--pull", "never", "cordon-test/absent:1"]);
    assert.equal(never.code, 125);
    assert.doesNotMatch(never.stderr, /Unable to find/);
    const missing = await run(["127.0.0.1:1/absent:1"]);
    assert.equal(missing.code, 125);
    assert.match(
      missing.stderr,
      /^Unable to find image '127\.0\.0\.1:1\/absent:1' locally\ncordon: Cannot pull image/,
    );
  });

  await t.step("proxies of the configuration reach the container", async () => {
    const configuration = tmp();
    const proxies = { default: { httpProxy: "http://proxy.example:3128" } };
    Deno.writeTextFileSync(`${configuration}/config.json`, JSON.stringify({ proxies }));
    const { stdout } = await run(["--rm", IMAGE, "sh", "-c", 'echo "$HTTP_PROXY $http_proxy"'], {
      env: { DOCKER_CONFIG: configuration },
    });
    assert.equal(stdout, "http://proxy.example:3128 http://proxy.example:3128\n");
  });
});

test("cordon run on a terminal", { needs: [...dockerNeeds, program(PYTHON)] }, async (t) => {
  await using docker = await startDocker();
  await terminalSuite(t, docker);
});

test("cordon run pulls what is missing", { needs: [...dockerNeeds, ...registryNeeds] }, async () => {
  await using registry = await startRegistry();
  await using docker = await startDocker();
  const { engine } = docker;
  const image = `${registry.address}/pulled:1`;
  await tagImage(engine, IMAGE, { name: image });
  for await (const _step of pushImage(engine, image));
  await removeImage(engine, image);
  const run = runner(docker);
  const first = await run(["--rm", image, "echo", "here"]);
  assert.deepEqual([first.code, first.stdout], [0, "here\n"]);
  assert.match(first.stderr, new RegExp(`^Unable to find image '${image}' locally\n`));
  assert.match(first.stderr, /Pulling from pulled/);
  const second = await run(["--rm", image, "echo", "here"]);
  assert.deepEqual([second.code, second.stdout, second.stderr], [0, "here\n", ""]);
  const quiet = await run(["--rm", "--pull", "always", "-q", image, "true"]);
  assert.deepEqual([quiet.code, quiet.stderr], [0, ""]);
});

test("cordon run with Podman", { needs: podmanNeeds }, async (t) => {
  await using podman = await startPodman();
  await suite(t, podman);
});
