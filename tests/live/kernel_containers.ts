/** Kernels in containers: the suite of every kernel, and what is the engine's own. Run by kernel_*_test.ts. */
import assert from "node:assert/strict";
import { info, isRootless } from "../../lib/docker/system.ts";
import type { RunningEngine } from "../helpers/engines.ts";
import { executable, executableAs } from "../helpers/binary.ts";
import { IMAGE, KERNEL_IMAGE } from "../helpers/engines.ts";
import { python } from "../helpers/need.ts";
import { Jupyter, kernelSuite } from "./kernel_suite.ts";

const PYTHON = "/usr/bin/python3";

export async function containerSuite(
  t: Deno.TestContext,
  running: RunningEngine,
  { uid, rootless = false }: {
    uid: number; /** The engine is the ordinary user's own. */
    rootless?: boolean;
  },
): Promise<void> {
  const { path } = running.endpoint;
  // What a member of the engine's group has: the socket, and no more.
  if (uid !== Deno.uid() && !rootless) {
    Deno.chmodSync(running.directory, 0o711);
    Deno.chmodSync(path, 0o666);
  }
  const image = ["--image", KERNEL_IMAGE, "--host", `unix://${path}`];
  const jupyter = await Jupyter.with({ uid, setup: [...image, "--python", PYTHON], socket: path, rootless });
  const { home, work } = jupyter;
  const play = (name: string, ...args: string[]) =>
    jupyter.run([python, `${home}/kernel_kinds.py`, name, ...args]);

  /** Sets a kernel up whose launches write a result, and tells that. */
  const setupTold = async (name: string, more: string[]) => {
    await jupyter.setup(name, [...image, "--python", PYTHON, ...more]);
    const file = `${home}/.local/share/jupyter/kernels/${name}/kernel.json`;
    const json = JSON.parse(Deno.readTextFileSync(file));
    json.argv.splice(json.argv.indexOf("launch") + 1, 0, "--result", `${work}/result.json`);
    Deno.writeTextFileSync(file, JSON.stringify(json));
  };
  const result = () => JSON.parse(Deno.readTextFileSync(`${work}/result.json`));

  await kernelSuite((name, body) => t.step(name, body), jupyter);

  await t.step("one whose files are partly hidden, on a copy, elsewhere", async () => {
    await jupyter.run([
      "sh",
      "-ec",
      `mkdir answers ${home}/data; echo 42 >answers/one; echo 1,2 >data.csv; echo 3 >kept; echo data >${home}/data/d`,
    ]);
    await jupyter.setup("hidden", [
      ...[...image, "--python", PYTHON, "--copy-workdir", "--workdir", "/course"],
      ...["--hide", "*.csv", "--hide", "answers", "--env", "COLOUR=blue", "--mount", `${home}/data:/data:ro`],
      ...["--mount", `${home}/data:/mine:copy`],
    ]);
    const code = `import os, pathlib
there = lambda name: pathlib.Path(name).read_text().strip() if os.path.isfile(name) else None
pathlib.Path('new').write_text('x')
print(os.getcwd(), there('kept'), there('answers/one'), there('data.csv') or None, os.environ['COLOUR'])
print(there('/data/d'), os.access('/data/d', os.W_OK), os.access('/data', os.W_OK))
print(pathlib.Path('/mine/d').write_text('changed'))`;
    const { stdout, stderr } = await play("hidden", code, "import time; time.sleep(600)");
    const said = "/course 3 None None blue\ndata False False\n7\n";
    assert.deepEqual([stdout, stderr], [JSON.stringify([said, [], ""]) + "\n", ""]);
    assert.throws(() => Deno.statSync(`${work}/new`), Deno.errors.NotFound);
    assert.equal(Deno.readTextFileSync(`${home}/data/d`), "data\n");
  });

  await t.step("its privileges", async () => {
    const code = `import os, re
status = open('/proc/self/status').read()
print(re.findall('(?:CapEff|CapBnd|NoNewPrivs):\\\\s*(\\\\S+)', status))
def writes(path):
    try:
        open(path, 'w').close()
        return True
    except OSError:
        return False
print([path for path in ('/usr/x', '/etc/x', '/x', '/run/cordon-launcher/x', '/run/cordon-launcher/init', '/proc/1/mem', '/proc/sys/kernel/core_pattern') if writes(path)])`;
    const { stdout, stderr } = await play("isolated", code, "import time; time.sleep(600)");
    const none = "0000000000000000";
    const said = `['${none}', '${none}', '1']\n[]\n`;
    assert.deepEqual([stdout, stderr], [JSON.stringify([said, [], ""]) + "\n", ""]);
  });

  await t.step("one that speaks TCP alone", async () => {
    await jupyter.setup("tcp", [...image, "--python", PYTHON, "--transport", "tcp"]);
    const { stdout, stderr } = await play("tcp", "print(6 * 7)", "import time; time.sleep(600)");
    assert.deepEqual([stdout, stderr], [JSON.stringify(["42\n", [], ""]) + "\n", ""]);
  });

  await t.step("a client that uses ipc itself", async () => {
    const { stdout, stderr } = await play("isolated", "print(6 * 7)", "import time; time.sleep(600)", "ipc");
    assert.deepEqual([stdout, stderr], [JSON.stringify(["42\n", [], ""]) + "\n", ""]);
  });

  // It has the engine's own network, for which a rootless engine needs a tun device.
  if (!rootless) {
    await t.step("one that the old name starts", async () => {
      const directory = `${home}/.local/share/jupyter/kernels/old`;
      const argv = [
        executableAs("jupyter_docker_kernel.py"),
        "--image",
        KERNEL_IMAGE,
        "--mount",
        `${work}:/data:ro`,
      ];
      const kernel = [PYTHON, "-m", "ipykernel_launcher", "-f", "{connection_file}"];
      Deno.mkdirSync(directory);
      const json = { argv: [...argv, ...kernel], display_name: "Old", language: "python" };
      Deno.writeTextFileSync(`${directory}/kernel.json`, JSON.stringify(json));
      Deno.writeTextFileSync(`${work}/there`, "");
      const code = "import os; print(os.path.exists('/data/there'), os.access('/data', os.W_OK))";
      const { stdout, stderr } = await jupyter.run(
        [python, `${home}/kernel_kinds.py`, "old", code, "import time; time.sleep(600)"],
        { DOCKER_HOST: `unix://${path}` },
      );
      assert.deepEqual([stdout, stderr], [JSON.stringify(["True False\n", [], ""]) + "\n", ""]);
    });
  }

  await t.step("one that means harm to its launcher", async () => {
    assert.deepEqual(await jupyter.play("harm"), {
      "through the relay": "",
      "a file there": [28, true],
      "left": [],
      "said": "",
    });
  });

  await t.step("what is left when the keeper dies too is collected", async () => {
    const found = await jupyter.play("gc", {
      gc: [executable(), "kernel", "gc", "--json", "--host", `unix://${path}`],
    });
    assert.deepEqual(found, {
      "while it runs": [],
      "kinds": ["container", "directory"],
      "left": [],
      "alive": "2",
    });
  });

  await t.step("the image's Python is asked at setup", async () => {
    await jupyter.setup("found", image);
    const json = JSON.parse(Deno.readTextFileSync(`${home}/.local/share/jupyter/kernels/found/kernel.json`));
    assert.equal(json.argv[json.argv.indexOf("--") + 1], PYTHON);
    assert.equal(json.metadata.debugger, true);
    const setup = (...args: string[]) =>
      jupyter.run([executable(), "kernel", "setup", "--user", "--name", "none", ...args]);
    const absent = await setup(...image, "--python", "/usr/bin/python4");
    assert.equal(absent.code, 1);
    assert.match(absent.stderr, /^cordon: Image cordon-test\/kernel:1 has no \/usr\/bin\/python4\n/);
    const empty = await setup("--image", IMAGE, "--host", `unix://${path}`);
    assert.match(
      empty.stderr,
      /has no \/opt\/conda\/bin\/python3 and no python3\n.*\n\nhint: .*--python PATH\n$/,
    );
    // A Python that does not know where its packages are.
    Deno.mkdirSync(`${home}/bare`);
    Deno.writeTextFileSync(`${home}/bare/python`, `#!/bin/sh\nexec ${PYTHON} -S "$@"\n`, { mode: 0o755 });
    const bare = await setup(...image, "--mount", `${home}/bare:/bare:ro`, "--python", "/bare/python");
    assert.match(
      bare.stderr,
      /^cordon: Python \/usr\/bin\/python3 of image .* has no ipykernel\n.*\n\nhint: /,
    );
  });

  await t.step("its result, whatever it puts in that place", async () => {
    await setupTold("told", ["--cpu-time", "60"]);
    Deno.writeTextFileSync(`${work}/victim`, "precious");
    const code = "import os, sys; os.symlink('victim', 'result.json'); os._exit(3)";
    const { stdout, stderr } = await jupyter.run([python, `${home}/kernel_memory.py`, "told", code]);
    assert.equal(stdout, '[3, ""]\n', stderr);
    assert.equal(Deno.readTextFileSync(`${work}/victim`), "precious");
    const { wallMs, userMs, systemMs, maxRssBytes, limits, ...rest } = result();
    assert.deepEqual(rest, { reason: "exited", exitCode: 3, signal: null, engine: running.engine.name });
    assert.ok(
      wallMs > 0 && userMs + systemMs > 0 && maxRssBytes > 2 ** 20,
      `${wallMs} ${userMs} ${maxRssBytes}`,
    );
    assert.deepEqual(limits.cpuSeconds, { value: 60, by: "rlimit" });
    assert.deepEqual(limits.pids, { value: 4096, by: "engine", byDefault: true });
  });

  await t.step("its result, when its time is over", async () => {
    await setupTold("late", ["--time", "5"]);
    // A child of the kernel counts too.
    const code = "import subprocess; subprocess.run(['sh', '-c', 'while :; do :; done'])";
    const { stdout, stderr } = await jupyter.run([python, `${home}/kernel_memory.py`, "late", code]);
    assert.equal(stdout, '[124, "cordon: the time limit ended the kernel\\n"]\n', stderr);
    const { reason, exitCode, signal, wallMs, userMs, systemMs, maxRssBytes } = result();
    assert.deepEqual([reason, exitCode, signal], ["timeout", null, null]);
    assert.ok(
      wallMs >= 5000 && userMs > 0 && systemMs > 0 && maxRssBytes > 2 ** 20,
      `${wallMs} ${userMs} ${systemMs} ${maxRssBytes}`,
    );
  });

  await t.step("beyond its limits", async () => {
    await jupyter.setup("small", [
      ...[...image, "--python", PYTHON, "--memory", "300m", "--pids", "200", "--cpus", "1.5"],
    ]);
    if (await enforcesLimits(running)) {
      const grow = "x = bytearray(600 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1";
      const memory = await jupyter.run([python, `${home}/kernel_memory.py`, "small", grow]);
      assert.equal(memory.stdout, '[137, "cordon: the memory limit ended the kernel\\n"]\n', memory.stderr);
    } else {
      const { stdout } = await jupyter.run([python, `${home}/kernel_refused.py`, "small"]);
      assert.match(
        stdout,
        /^\[125, "cordon: The engine does not enforce a limit that was asked for\\n--memory /,
      );
    }
    await jupyter.setup("busy", [
      ...[...image, "--python", PYTHON, "--cpu-time", "5", "--file-size", "1M"],
    ]);
    const busy = `
try:
    open('large', 'wb').write(bytes(2 << 20))
except OSError as error:
    assert error.errno == 27
    while True: pass`;
    const cpu = await jupyter.run([python, `${home}/kernel_memory.py`, "busy", busy]);
    assert.equal(cpu.stdout, '[152, ""]\n', cpu.stderr); // 128 + SIGXCPU
    await jupyter.setup("short", [...image, "--python", PYTHON, "--time", "4"]);
    const wait = "import time; time.sleep(600)";
    const time = await jupyter.run([python, `${home}/kernel_memory.py`, "short", wait]);
    assert.equal(time.stdout, '[124, "cordon: the time limit ended the kernel\\n"]\n', time.stderr);
  });

  await t.step("a launch that cannot be", async () => {
    await jupyter.setup("nothing", [
      ...["--image", "cordon-test/none:1", "--pull", "never", "--host", `unix://${path}`, "--python", PYTHON],
    ]);
    await jupyter.setup("down", [
      ...["--image", KERNEL_IMAGE, "--pull", "never", "--host", `unix://${home}/no.sock`, "--python", PYTHON],
    ]);
    const command = "/usr/bin/python4 -m ipykernel_launcher -f {connection_file}";
    await jupyter.setup("without", [...image, "--language", "python", "--kernel-cmd", command]);
    const cases: [string, number, RegExp][] = [
      [
        "nothing",
        125,
        /^cordon: Image cordon-test\/none:1 is not on this engine\n.*never pulls.*\n\nhint: \w+ pull /,
      ],
      ["down", 125, /^cordon: Cannot connect to the engine at .*no\.sock.*\nThere is no such socket/],
      ["without", 127, /^cordon: \/usr\/bin\/python4 is not found inside the sandbox\n/],
    ];
    for (const [name, status, said] of cases) {
      const { stdout } = await jupyter.run([python, `${home}/kernel_refused.py`, name]);
      const [code, stderr] = JSON.parse(stdout) as [number, string];
      assert.equal(code, status, stderr);
      assert.match(stderr, said);
    }
  });
}

/** Rootless engines drop limits without a word where cgroups are not v2. */
async function enforcesLimits({ engine }: RunningEngine): Promise<boolean> {
  const facts = await info(engine);
  return !isRootless(facts) || facts.CgroupVersion === "2";
}
