/** `cordon kernel setup`, list, remove and gc on the executable, each person with a home of their own. */
import assert from "node:assert/strict";
import type { ListedKernel } from "../../cmd/kernel-list.ts";
import type { KernelJson } from "../../lib/jupyter/kernelspec.ts";
import { executable } from "../helpers/binary.ts";
import { everyone, ok, type Person } from "../helpers/everyone.ts";
import { type FakeCall, FakeEngine } from "../helpers/fake-engine.ts";
import { program, python as testPython, pythonModule, test } from "../helpers/need.ts";
import { run, tmp } from "../helpers/run.ts";

const DEBIAN = "/usr/bin/python3";
const needs = [program(DEBIAN)];
/** What is said of an executable in a temporary directory, as that of the tests is. */
const PASSING = /^cordon: warning: the kernel starts .*, and files there do not outlive a restart: .*\n/;

interface Desk {
  person: Person;
  home: string;
  env: Record<string, string>;
}

/** A person at a home of this test's own, of which nothing outside it is seen. */
function desk(person: Person): Desk {
  const home = person.dir();
  return { person, home, env: { HOME: home, PATH: "/usr/bin:/bin" } };
}

function cordon({ person, home, env }: Desk, args: string[], more: Record<string, string> = {}) {
  return person.cordon(args, { cwd: home, env: { ...env, ...more } });
}

/** A virtual environment in which a package called ipykernel can be imported. */
async function fakePython(at: Desk, name = "env"): Promise<string> {
  const root = `${at.home}/${name}`;
  await at.person.sh(
    `${DEBIAN} -m venv --without-pip '${root}'
     cd '${root}'/lib/python3*/site-packages
     mkdir ipykernel; touch ipykernel/__init__.py ipykernel/kernelapp.py`,
    at.home,
  );
  return root;
}

function readKernel(directory: string): KernelJson {
  return JSON.parse(Deno.readTextFileSync(`${directory}/kernel.json`));
}

const userKernels = ({ home }: Desk) => `${home}/.local/share/jupyter/kernels`;

everyone("kernel setup: a virtual environment becomes a kernel that launch takes", async (person) => {
  const at = desk(person);
  const root = await fakePython(at, "my env");
  await person.sh("mkdir work", at.home);
  const args = ["kernel", "setup", "--name", "Graded", "--user", "--time", "10m", "--env", "A=b"];
  const done = await cordon(at, [...args, "--mount", "work:/data:ro", "--python", "my env/bin/python3"]);
  assert.equal(done.code, 0, done.stderr);
  const directory = `${userKernels(at)}/graded`;
  assert.match(done.stdout, new RegExp(`^Kernel graded saved to ${directory}\nPython 3[.\\d]+ `));
  // Nothing else is warned of: the trial start in a sandbox with these mounts worked.
  assert.equal(done.stderr.replace(PASSING, ""), "");
  const json = readKernel(directory);
  assert.equal(json.argv[0], executable());
  const rootMount = JSON.stringify({ dest: root, source: root, flags: ["ro"] });
  assert.deepEqual(json.argv.slice(1), [
    ...["kernel", "launch", "--engine", "namespaces", "--mount", rootMount],
    ...[
      "--mount",
      `${at.home}/work:/data:ro`,
      "--env",
      "A",
      "--time",
      "10m",
      "-f",
      "{connection_file}",
      "--",
    ],
    ...[`${root}/bin/python3`, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "--HistoryManager.hist_file=:memory:",
  ]);
  assert.deepEqual(json.env, { A: "b" });
  assert.equal(json.interrupt_mode, "signal");
  assert.equal(json.metadata!["kernel_provisioner"], undefined);

  // The command line works as Jupyter would call it.
  const connection = `${at.home}/c.json`;
  const ports = ["shell", "iopub", "stdin", "control", "hb"].map((name, i) => [`${name}_port`, 40001 + i]);
  await person.sh(
    `cat > c.json <<'EOT'\n${JSON.stringify(Object.fromEntries(ports))}\nEOT`,
    at.home,
  );
  const argv = json.argv.map((word) => word.replace("{connection_file}", connection));
  argv.splice(3, 0, "--explain");
  const explained = await cordon(at, argv.slice(1), { A: "b" });
  assert.equal(explained.code, 0, explained.stderr);
  assert.ok(explained.stdout.includes(`"source": "${root}"`), explained.stdout);
}, { needs });

everyone(
  "kernel setup: python3 on PATH is taken when it has ipykernel, passed over when not",
  async (person) => {
    const at = desk(person);
    const root = await fakePython(at);
    await person.sh(`${DEBIAN} -m venv --without-pip bare`, at.home);
    const path = { PATH: `${at.home}/bare/bin:${root}/bin:/bin` };
    const done = await cordon(at, ["kernel", "setup", "--name", "k", "--user"], path);
    assert.equal(done.code, 0, done.stderr);
    assert.ok(readKernel(`${userKernels(at)}/k`).argv.includes(`${root}/bin/python3`));

    const refused = await cordon(at, [
      "kernel",
      "setup",
      "--name",
      "k",
      "--user",
      "--python",
      "bare/bin/python3",
    ]);
    assert.equal(refused.code, 1);
    assert.equal(
      refused.stderr,
      `cordon: Python ${at.home}/bare/bin/python3 has no ipykernel\n` +
        "ipykernel is the package that makes a Jupyter kernel of it\n\n" +
        `hint: ${at.home}/bare/bin/python3 -m pip install ipykernel\n`,
    );
  },
  { needs },
);

everyone("kernel setup: --prefix, --sys-prefix, and a place that may not be written", async (person) => {
  const at = desk(person);
  const root = await fakePython(at);
  const args = ["kernel", "setup", "--name", "k", "--python", `${root}/bin/python3`];
  for (const [option, place] of [[["--prefix", "p"], `${at.home}/p`], [["--sys-prefix"], root]] as const) {
    const done = await cordon(at, [...args, ...option], { PATH: `${root}/bin:/bin` });
    assert.equal(done.code, 0, done.stderr);
    assert.equal(readKernel(`${place}/share/jupyter/kernels/k`).language, "python");
  }
  if (person.uid === 0) return;
  const denied = await cordon(at, [...args, "--prefix", "/usr"]);
  assert.equal(denied.code, 1);
  assert.match(
    denied.stderr,
    /^cordon: Kernelspec cannot be saved as \/usr\/share.*\n.* may not write .*\n\nhint: .*--user\n$/,
  );
}, { needs });

everyone("kernel setup: a kernel of another language is wrapped with its logos", async (person) => {
  const at = desk(person);
  const specs = `${at.home}/specs`;
  const wrapped = {
    argv: ["tool/bin/run", "--dir={resource_dir}", "{connection_file}"],
    display_name: "Tool",
    language: "tool",
    interrupt_mode: "message",
    env: { TOOL: "${HOME}/t" },
    metadata: { debugger: false, kernel_provisioner: { provisioner_name: "local-provisioner" } },
  };
  wrapped.argv[0] = `${at.home}/${wrapped.argv[0]}`;
  await person.sh(
    `mkdir -p specs/kernels/tool tool/bin tool/lib
     printf '#!/bin/sh\\n' > tool/bin/run; chmod +x tool/bin/run
     printf png > specs/kernels/tool/logo-64x64.png
     cat > specs/kernels/tool/kernel.json <<'EOT'\n${JSON.stringify(wrapped)}\nEOT`,
    at.home,
  );
  const env = { JUPYTER_PATH: specs };
  const args = ["kernel", "setup", "--name", "safe-tool", "--user"];
  const done = await cordon(at, [...args, "--from-kernel", "tool"], env);
  assert.equal(done.code, 0, done.stderr);
  const directory = `${userKernels(at)}/safe-tool`;
  const json = readKernel(directory);
  assert.deepEqual(json.argv.slice(3), [
    ...["--engine", "namespaces", "--mnt", `ro:${at.home}/tool`, "--mount", `${directory}:${directory}:ro`],
    ...["--env", "TOOL", "-f", "{connection_file}", "--", ...wrapped.argv],
  ]);
  const { argv: _, ...rest } = json;
  assert.deepEqual(rest, {
    display_name: "Tool (isolated)",
    language: "tool",
    interrupt_mode: "message",
    env: { TOOL: "${HOME}/t" },
    metadata: {
      debugger: false,
      cordon: { version: rest.metadata!["cordon"] && version(rest), engine: "namespaces", from: "tool" },
    },
  });
  assert.equal(Deno.readTextFileSync(`${directory}/logo-64x64.png`), "png");

  const again = await cordon(at, [...args, "--from-kernel", "safe-tool"], env);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /^cordon: Kernel safe-tool is isolated already\n/);
  const missing = await cordon(at, [...args, "--from-kernel", "tol"], env);
  assert.match(missing.stderr, /^cordon: There is no kernel tol\nDid you mean tool\?\n/);
});

function version(json: Pick<KernelJson, "metadata">): string {
  return (json.metadata!["cordon"] as { version: string }).version;
}

everyone("kernel setup: a command line of any language, and what it cannot be", async (person) => {
  const at = desk(person);
  const args = ["kernel", "setup", "--name", "sh", "--user", "--language", "bash"];
  const done = await cordon(at, [...args, "--kernel-cmd", "sh -c 'echo \"$1\"' x {connection_file}"]);
  assert.equal(done.code, 0, done.stderr);
  const { argv, display_name } = readKernel(`${userKernels(at)}/sh`);
  assert.equal(display_name, "bash (isolated)");
  const command = argv.slice(argv.indexOf("--") + 1);
  assert.deepEqual(command, ["/usr/bin/sh", "-c", 'echo "$1"', "x", "{connection_file}"]);

  const missing = await cordon(at, [...args, "--kernel-cmd", "no-such-kernel {connection_file}"]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^cordon: Program no-such-kernel is not on PATH\nlooked in /);
});

everyone("kernel setup: a writable home is warned of, at setup only", async (person) => {
  const at = desk(person);
  const args = ["kernel", "setup", "--name", "k", "--user", "--language", "bash", "--mount", "~:/h"];
  const done = await cordon(at, [...args, "--kernel-cmd", "sh {connection_file}"]);
  assert.equal(done.code, 0, done.stderr);
  assert.match(
    done.stderr.replace(PASSING, ""),
    /^cordon: warning: .* is writable inside and holds the home/,
  );
});

everyone("kernel setup: what is mounted and not there is warned of", async (person) => {
  const at = desk(person);
  const args = ["kernel", "setup", "--name", "k", "--user", "--language", "bash", "--mount"];
  const command = ["--kernel-cmd", "sh {connection_file}"];
  const done = await cordon(at, [...args, "/no/such/data:/data:ro", ...command]);
  assert.equal(done.code, 0, done.stderr);
  const warning = "cordon: warning: /no/such/data is not there: no kernel will start until it is\n";
  assert.equal(done.stderr.replace(PASSING, ""), warning);
});

everyone("kernel setup: a kernelspec is replaced", async (person) => {
  const at = desk(person);
  const args = ["kernel", "setup", "--name", "k", "--user", "--language", "x", "--kernel-cmd"];
  ok({ ...await cordon(at, [...args, "sh 1 {connection_file}"]), stderr: "" });
  const again = await cordon(at, [...args, "sh 2 {connection_file}"]);
  assert.match(again.stdout, /^Kernel k replaced in /);
  assert.ok(readKernel(`${userKernels(at)}/k`).argv.includes("2"));
  assert.deepEqual(Array.from(Deno.readDirSync(userKernels(at)), ({ name }) => name), ["k"]);
});

everyone("kernel list and remove: cordon's own kernels, and no others", async (person) => {
  const at = desk(person);
  const kernels = userKernels(at);
  await person.sh(
    `mkdir -p '${kernels}/other' '${kernels}/stale'
     echo '{"argv": ["x"], "display_name": "Other", "language": "x"}' > '${kernels}/other/kernel.json'
     echo '{"argv": ["/nowhere/cordon", "kernel", "launch", "--new-option"], "language": "x"}' \
       > '${kernels}/stale/kernel.json'`,
    at.home,
  );
  const setup = ["kernel", "setup", "--name", "k", "--user", "--language", "x", "--memory", "1G"];
  ok({ ...await cordon(at, [...setup, "--kernel-cmd", "sh {connection_file}"]), stderr: "" });
  const listed = JSON.parse(ok(await cordon(at, ["kernel", "list", "--json"]))) as {
    kernels: ListedKernel[];
  };
  const mine = listed.kernels.filter(({ directory }) => directory.startsWith(at.home));
  assert.deepEqual(mine, [
    {
      name: "k",
      directory: `${kernels}/k`,
      display_name: "x (isolated)",
      language: "x",
      engine: "namespaces",
      image: null,
      network: "none",
      limits: { memory: "1G" },
      executable: executable(),
      executable_exists: true,
      problem: null,
    },
    {
      name: "stale",
      directory: `${kernels}/stale`,
      display_name: "",
      language: "x",
      engine: null,
      image: null,
      network: null,
      limits: {},
      executable: "/nowhere/cordon",
      executable_exists: false,
      problem: "/nowhere/cordon does not exist",
    },
  ]);
  const text = ok(await cordon(at, ["kernel", "list"]));
  assert.ok(text.includes(`k  namespaces, network none, memory 1G\n  ${kernels}/k\n`), text);
  assert.ok(text.includes("  /nowhere/cordon does not exist"), text);

  const refused = await cordon(at, ["kernel", "remove", "k", "other"]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^cordon: Kernel other is not removed\ncordon did not make it /);
  assert.equal(readKernel(`${kernels}/k`).language, "x"); // nothing was removed before all were looked at
  ok(await cordon(at, ["kernel", "remove", "K", "stale"]));
  assert.deepEqual(Array.from(Deno.readDirSync(kernels), ({ name }) => name), ["other"]);
  assert.equal((await cordon(at, ["kernel", "remove", "k"])).code, 1);
});

const jupyterNeeds = [pythonModule("jupyter_client"), pythonModule("ipykernel")];

/** Starts the kernel as Jupyter does, and prints what one line of Python prints inside. */
const CLIENT = `
import sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name=sys.argv[1], startup_timeout=60)
try:
    client.execute_interactive(sys.argv[2], timeout=60)
finally:
    client.stop_channels()
    manager.shutdown_kernel()
`;

test("kernel setup: Jupyter finds the kernel and starts it", { needs: jupyterNeeds }, async () => {
  const home = tmp();
  const env = { HOME: home, PATH: "/usr/bin:/bin", GUARDED: "token" };
  const args = ["kernel", "setup", "--name", "python3-isolated", "--user", "--python", testPython];
  const done = await run([executable(), ...args], { env });
  assert.equal(done.code, 0, done.stderr);
  assert.equal(done.stderr.replace(PASSING, ""), "");

  const listed = await run([testPython, "-m", "jupyter_client.kernelspecapp", "list", "--json"], { env });
  assert.doesNotMatch(listed.stderr, /[Ii]nvalid/);
  const found = JSON.parse(listed.stdout).kernelspecs["python3-isolated"];
  assert.equal(found.resource_dir, `${home}/.local/share/jupyter/kernels/python3-isolated`);
  assert.equal(found.spec.display_name, "Python 3 (isolated)");

  const course = `${home}/course`;
  Deno.mkdirSync(course);
  Deno.writeTextFileSync(`${home}/secret`, "");
  const code = `import os; print(os.getcwd(), os.path.exists('${home}/secret'), os.environ.get('GUARDED'))`;
  const ran = await run([testPython, "-c", CLIENT, "python3-isolated", code], { env, cwd: course });
  assert.deepEqual({ code: ran.code, stdout: ran.stdout, stderr: ran.stderr }, {
    code: 0,
    stdout: `${course} False None\n`,
    stderr: "",
  });
});

const DIGEST = `sha256:${"0".repeat(64)}`;
const PING = (call: FakeCall) =>
  call.send("HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK");
const IMAGE = (call: FakeCall) =>
  call.json(200, { Id: DIGEST, RepoTags: ["team/nb:1"], RepoDigests: [`team/nb@${DIGEST}`], Size: 1 });

/** An engine that the person may reach. */
function engineFor(person: Person, routes: ConstructorParameters<typeof FakeEngine>[0]): FakeEngine {
  const fake = new FakeEngine({ "GET /_ping": PING, ...routes });
  const { path } = fake.endpoint;
  Deno.chmodSync(path.slice(0, path.lastIndexOf("/")), 0o755);
  Deno.chmodSync(path, 0o777);
  assert.ok(person.uid >= 0);
  return fake;
}

everyone("kernel setup --image: pinned by digest, the endpoint kept where one was chosen", async (person) => {
  const at = desk(person);
  await using fake = engineFor(person, { "GET /images/team/nb%3A1/json": IMAGE });
  const host = `unix://${fake.endpoint.path}`;
  const args = ["kernel", "setup", "--name", "c", "--user", "--image", "team/nb:1", "--gpus", "all"];
  const done = await cordon(at, args, { DOCKER_HOST: host });
  // This engine makes no container in which the image's Python could be asked.
  assert.match(done.stderr, /^cordon: warning: the image's Python was not tried: /);
  ok({ ...done, stderr: "" });
  const json = readKernel(`${userKernels(at)}/c`);
  assert.deepEqual(json.argv.slice(3), [
    ...["--engine", "docker", "--image", `team/nb@${DIGEST}`, "--host", host, "--gpus", "all"],
    ...["-f", "{connection_file}", "--", "/opt/conda/bin/python3", "-m", "ipykernel_launcher"],
    ...["-f", "{connection_file}", "--HistoryManager.hist_file=:memory:"],
  ]);
  assert.equal(json.display_name, "Docker kernel of team/nb:1");
  assert.deepEqual(fake.asked.slice(0, 2), ["GET /_ping", "GET /images/team/nb%3A1/json"]);
});

everyone(
  "kernel setup --image: a missing image is pulled, or only warned of with --pull never",
  async (person) => {
    const at = desk(person);
    let pulled = false;
    await using fake = engineFor(person, {
      "GET /images/team/nb%3A1/json": (call) =>
        pulled ? IMAGE(call) : call.json(404, { message: "No such image: team/nb:1" }),
      "POST /images/create": async (call) => {
        pulled = true;
        await call.text(200, '{"status":"Pull complete"}\n', "application/json");
      },
    });
    const args = ["kernel", "setup", "--name", "c", "--user", "--image", "team/nb:1"];
    const host = ["--host", `unix://${fake.endpoint.path}`];
    const warned = await cordon(at, [...args, ...host, "--pull", "never"]);
    assert.equal(warned.code, 0, warned.stderr);
    assert.match(
      warned.stderr,
      /^cordon: warning: Image team\/nb:1 is not on this engine: no kernel will start/,
    );
    assert.equal(readKernel(`${userKernels(at)}/c`).argv[6], "team/nb:1");
    assert.ok(!pulled);
    ok({ ...await cordon(at, [...args, ...host]), stderr: "" });
    assert.ok(pulled);
    assert.equal(readKernel(`${userKernels(at)}/c`).argv[6], `team/nb@${DIGEST}`);
  },
);

everyone("kernel setup --image: without an engine there is no kernelspec", async (person) => {
  const at = desk(person);
  const args = ["kernel", "setup", "--name", "c", "--user", "--image", "a", "--host", `${at.home}/no.sock`];
  const failed = await cordon(at, args);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /^cordon: Cannot connect to the engine at unix:.*no\.sock/);
  const distant = await cordon(at, [...args.slice(0, -1), "tcp://192.0.2.1:2375"]);
  assert.match(
    distant.stderr,
    /^cordon: A kernel cannot run on the engine at tcp:.*\nit needs one on a Unix /,
  );
  assert.throws(() => Deno.statSync(userKernels(at)), Deno.errors.NotFound);
});

everyone(
  "jupyter_docker_kernel.py setup: the old command line makes a kernel of the new kind",
  async (person) => {
    const at = desk(person);
    await using fake = engineFor(person, { "GET /images/team/nb%3A1/json": IMAGE });
    const args = ["setup", "--name=python3secure", "--image=team/nb:1", "--user", "--mount=/srv:/data"];
    const env = { ...at.env, DOCKER_HOST: `unix://${fake.endpoint.path}` };
    const done = await person.cordon(args, { argv0: "jupyter_docker_kernel.py", cwd: at.home, env });
    assert.equal(done.code, 0, done.stderr);
    const { argv } = readKernel(`${userKernels(at)}/python3secure`);
    assert.equal(argv[0], executable());
    assert.deepEqual(argv.slice(1, 3), ["kernel", "launch"]);
    assert.equal(argv[argv.indexOf("--mount") + 1], "/srv:/data:rw");
    assert.equal(argv[argv.indexOf("--network") + 1], "auto");
  },
);

everyone("kernel gc: containers and directories of dead launchers go, the others stay", async (person) => {
  const at = desk(person);
  const namespace = Deno.readLinkSync("/proc/self/ns/pid").replace(/\D/g, "");
  const container = (id: string, launcher: string) => ({
    Id: id.repeat(64),
    Labels: { "cordon.kind": "kernel", "cordon.owner": String(person.uid), "cordon.launcher": launcher },
  });
  let asked = "";
  const removed: string[] = [];
  await using fake = engineFor(person, {
    "GET /containers/json": (call) => {
      asked = call.query.get("filters") ?? "";
      return call.json(200, [
        container("a", `${namespace}:4194303:1`),
        container("b", `${namespace}:${Deno.pid}:${ownStart()}`),
        container("c", "1:4194303:1"),
      ]);
    },
    "DELETE /containers/*": async (call) => {
      removed.push(call.path);
      await call.send("HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n");
    },
  });
  const runtime = person.dir();
  const dead = `cordon-${namespace}-4194303-1-0123456789abcdef`;
  const alive = `cordon-${namespace}-${Deno.pid}-${ownStart()}-0123456789abcdef`;
  await person.sh(`mkdir -p ${dead}/run ${alive} cordon-other`, runtime);
  const args = ["kernel", "gc", "--json", "--host", `unix://${fake.endpoint.path}`];
  const swept = JSON.parse(ok(await cordon(at, args, { XDG_RUNTIME_DIR: runtime, TMPDIR: runtime })));
  assert.deepEqual(JSON.parse(asked), {
    label: ["cordon.kind=kernel", `cordon.owner=${person.uid}`],
  });
  assert.deepEqual(removed, [`/containers/${"a".repeat(64)}`]);
  // Other tests may leave control groups and directories in /tmp at the same time.
  const ours = swept.removed.filter(({ kind, name }: { kind: string; name: string }) =>
    kind === "container" || name.startsWith(runtime)
  );
  assert.deepEqual(ours, [
    { kind: "container", name: "a".repeat(12) },
    { kind: "directory", name: `${runtime}/${dead}` },
  ]);
  assert.deepEqual(Array.from(Deno.readDirSync(runtime), ({ name }) => name).sort(), [alive, "cordon-other"]);
});

function ownStart(): string {
  const stat = Deno.readTextFileSync("/proc/self/stat");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]!;
}

everyone("kernel gc: without any engine it is content", async (person) => {
  const at = desk(person);
  const done = await cordon(at, ["kernel", "gc"], { DOCKER_HOST: `unix://${at.home}/no.sock` });
  assert.deepEqual({ code: done.code, removed: done.stdout.includes("container") }, {
    code: 0,
    removed: false,
  });
  const asked = await cordon(at, ["kernel", "gc", "--host", `unix://${at.home}/no.sock`]);
  assert.equal(asked.code, 1);
  assert.match(asked.stderr, /^cordon: Cannot connect to the engine at /);
});
