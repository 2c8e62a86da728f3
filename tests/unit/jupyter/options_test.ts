import assert from "node:assert/strict";
import { kernelLaunch, readKernelLaunch } from "../../../cmd/kernel-launch.options.ts";
import { kernelSetup, readKernelSetup } from "../../../cmd/kernel-setup.options.ts";
import { parseJupyterDockerKernel } from "../../../cmd/legacy/jupyter-docker-kernel.options.ts";
import { parseCommand } from "../../../lib/cli/parse.ts";
import { shellWords } from "../../../lib/cli/shellwords.ts";
import { CordonError, UsageError } from "../../../lib/errors.ts";

function setup(...argv: string[]) {
  const result = parseCommand(kernelSetup, argv);
  assert.ok("parsed" in result);
  return readKernelSetup(result.parsed);
}

function launch(...argv: string[]) {
  const result = parseCommand(kernelLaunch, argv);
  assert.ok("parsed" in result);
  return readKernelLaunch(result.parsed);
}

const KERNEL = ["-f", "/k.json", "--", "python3", "-f", "/k.json"];

Deno.test("launch: what clients append belongs to the kernel", () => {
  const { command, connectionFile, limits } = launch("--memory", "1G", ...KERNEL, "--memory", "2G");
  assert.equal(connectionFile, "/k.json");
  assert.deepEqual(command, ["python3", "-f", "/k.json", "--memory", "2G"]);
  assert.equal(limits.memoryBytes, 2 ** 30);
});

Deno.test("launch: nothing said is a closed network, the working directory as it is, namespaces", () => {
  assert.deepEqual(launch(...KERNEL), {
    engine: "namespaces",
    mounts: [],
    copyWorkdir: false,
    env: [],
    hide: [],
    network: { mode: "none", allow: [] },
    limits: { tmpBytes: 256 * 2 ** 20, bestEffort: false },
    transport: "auto",
    connectionFile: "/k.json",
    explain: false,
    command: ["python3", "-f", "/k.json"],
  });
});

const REFUSED_LAUNCHES: string[][] = [
  ["--", "python3"],
  ["-f", "", "--", "python3"],
  ["-f", "k"],
  ["--engine", "docker", ...KERNEL],
  ["--engine", "namespaces", "--image", "a", ...KERNEL],
  ["--image", "", ...KERNEL],
  ["--gpus", "all", ...KERNEL],
  ["--image", "a", "--gpus", "some", ...KERNEL],
  ["--host", "/x.sock", ...KERNEL],
  ["--image", "a", "--mnt", "/x", ...KERNEL],
  ["--image", "a", "--mount", '{"dest":"/x","flags":["tmp"]}', ...KERNEL],
  ["--image", "a", "--network", "pasta", ...KERNEL],
  ["--image", "a", "--transport", "tcp", "--network", "host", ...KERNEL],
  ["--transport", "tcp", "--network", "host", ...KERNEL],
  ["--image", "a", "--allow", "h:1", ...KERNEL],
  ["--workdir", "rel", ...KERNEL],
  ["--hide", "/etc", ...KERNEL],
  ["--hide", "a/../../b", ...KERNEL],
  ["--mount", "{", ...KERNEL],
  ["--mnt", " ", ...KERNEL],
  ["--mnt", "odd:/x", ...KERNEL],
  ["--output", "1", ...KERNEL],
  ["--pull", "never", ...KERNEL],
];
for (const argv of REFUSED_LAUNCHES) {
  Deno.test(`launch refuses ${argv.join(" ")}`, () => assert.throws(() => launch(...argv), UsageError));
}

Deno.test("setup: options of the sandbox are passed on as typed, in order", () => {
  const options = setup(
    ...["--name", "K", "--user", "--memory", "1.5G", "--hide", "*.csv", "--network=host", "--hide", "b"],
    ...["--copy-workdir", "--env", "A=1", "--mount", "/a:/b"],
  );
  assert.equal(options.name, "k");
  assert.deepEqual(options.scope, { kind: "user" });
  assert.deepEqual(options.program, { kind: "python" });
  assert.deepEqual(options.passed, [
    ...["--memory", "1.5G", "--hide", "*.csv", "--network", "host", "--hide", "b", "--copy-workdir"],
  ]);
  assert.deepEqual(options.sandbox.env, [{ name: "A", value: "1" }]);
});

Deno.test("setup: programs", () => {
  const program = (...argv: string[]) => setup("--name", "k", ...argv).program;
  assert.deepEqual(program("--python", "/p"), { kind: "python", python: "/p" });
  assert.deepEqual(program("--from-kernel", "IR"), { kind: "kernelspec", name: "ir" });
  const line = "R -e 'IRkernel::main()' --args {connection_file}";
  assert.deepEqual(program("--kernel-cmd", line, "--language", "R"), {
    kind: "command",
    argv: ["R", "-e", "IRkernel::main()", "--args", "{connection_file}"],
  });
});

const REFUSED_SETUPS: string[][] = [
  [],
  ["--name", "a/b"],
  ["--name", "k", "--user", "--prefix", "/p"],
  ["--name", "k", "--user", "--sys-prefix"],
  ["--name", "k", "--prefix", "/p", "--sys-prefix"],
  ["--name", "k", "--prefix", ""],
  ["--name", "k", "--pull", "never"],
  ["--name", "k", "--image", "a", "--pull", "often"],
  ["--name", "k", "--kernel-cmd", "x {connection_file}"],
  ["--name", "k", "--kernel-cmd", "x", "--language", "l"],
  ["--name", "k", "--kernel-cmd", "{connection_file}", "--language", "l"],
  ["--name", "k", "--kernel-cmd", "x '{connection_file}", "--language", "l"],
  ["--name", "k", "--kernel-cmd", "x {connection_file}", "--language", "l", "--python", "/p"],
  ["--name", "k", "--kernel-cmd", "x {connection_file}", "--language", "l", "--from-kernel", "ir"],
  ["--name", "k", "--display-name", " "],
  ["--name", "k", "--result", "x"],
];
for (const argv of REFUSED_SETUPS) {
  Deno.test(`setup refuses ${argv.join(" ")}`, () => assert.throws(() => setup(...argv), UsageError));
}

Deno.test("words of a command line, as sh reads them", () => {
  assert.deepEqual(shellWords(`a  'b c' "d \\" \\x" e\\ f ''`), ["a", "b c", 'd " \\x', "e f", ""]);
  assert.deepEqual(shellWords(`--x='y'"z"`), ["--x=yz"]);
  assert.deepEqual(shellWords(""), []);
  for (const open of ["'a", '"a', "a\\", `"a\\"`]) assert.equal(shellWords(open), undefined);
});

function legacy(...argv: string[]) {
  const request = parseJupyterDockerKernel(argv);
  assert.ok(request.kind !== "help");
  return request;
}

Deno.test("the old setup: its example, its defaults, the engine's network", () => {
  const { kind, options } = legacy(
    ...["setup", "--name=Python3secure", "--image=a/b:1", "--user", "--mount", "/x:/y:ro", "--copy"],
    ...["--workdir", "/w"],
  );
  assert.ok(kind === "setup");
  assert.equal(options.name, "python3secure");
  assert.deepEqual(options.scope, { kind: "user" });
  assert.deepEqual(options.program, { kind: "python" });
  assert.deepEqual(options.passed, ["--workdir", "/w", "--copy-workdir", "--network", "auto"]);
  assert.deepEqual(options.sandbox.mounts, [{ host: "/x", dest: "/y", mode: "ro" }]);
  assert.equal(options.sandbox.image, "a/b:1");
  assert.deepEqual(legacy("setup", "--name", "k", "--im", "a", "--prefix", "/p").options, {
    ...legacy("setup", "--name", "k", "--image", "a").options,
    scope: { kind: "prefix", path: "/p" },
  });
});

Deno.test("the old launch: options end at the Python, the connection file is among the kernel's arguments", () => {
  const { kind, options } = legacy(
    ...["--image", "a", "-m", "/x:/y:copy", "-m/z:/z", "--copy-workdir"],
    ...["/opt/conda/bin/python3", "-m", "ipykernel_launcher", "-f", "/k.json", "--image", "b"],
  );
  assert.ok(kind === "launch");
  assert.equal(options.image, "a");
  assert.equal(options.connectionFile, "/k.json");
  assert.deepEqual(options.mounts, [
    { host: "/x", dest: "/y", mode: "copy" },
    { host: "/z", dest: "/z", mode: "rw" },
  ]);
  assert.deepEqual(options.command, [
    ...["/opt/conda/bin/python3", "-m", "ipykernel_launcher", "-f", "/k.json", "--image", "b"],
  ]);
  assert.deepEqual(options.network, { mode: "auto", allow: [] });
});

const REFUSED_LEGACY: string[][] = [
  [],
  ["setup"],
  ["setup", "--name", "k"],
  ["setup", "--image", "a"],
  ["setup", "--name", "k", "--image", "a", "--user", "--prefix", "/p"],
  ["setup", "--name", "k", "--image", "a", "--user=yes"],
  ["setup", "--name", "k", "--image", "a", "more"],
  ["setup", "--name", "k", "--image", "a", "--privileged"],
  ["setup", "--name", "k", "--image"],
  ["setup", "--name", "k", "--image", "a", "--p", "x"],
  ["--image", "a", "python3"],
  ["--image", "a", "python3", "-f"],
  ["--image", "a", "--name", "k", "python3", "-f", "k"],
  ["--workdir", "/w", "python3", "-f", "k"],
  ["--image", "a", "--workdir", "w", "python3", "-f", "k"],
];
for (const argv of REFUSED_LEGACY) {
  Deno.test(`jupyter_docker_kernel.py refuses ${argv.join(" ")}`, () => {
    assert.throws(() => parseJupyterDockerKernel(argv), CordonError);
  });
}

Deno.test("jupyter_docker_kernel.py --help", () => {
  assert.deepEqual(parseJupyterDockerKernel(["setup", "--help"]), { kind: "help" });
  assert.deepEqual(parseJupyterDockerKernel(["-h"]), { kind: "help" });
});
