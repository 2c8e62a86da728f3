/** `cordon magics install` and `remove`: what is written, where, and that it goes again; and what `status` says. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { cordon, type CordonOptions, executable, type Outcome, tmp } from "../helpers/binary.ts";
import { listing } from "../helpers/everyone.ts";
import { program, test } from "../helpers/need.ts";
import { run } from "../helpers/run.ts";

const needs = [program("python3")];

interface Venv {
  directory: string;
  python: string;
  packages: string;
}

/** A virtual environment of the system's Python, without any package. */
async function venv(): Promise<Venv> {
  const directory = join(tmp(), "venv");
  const python = `${directory}/bin/python`;
  assert.equal((await run(["python3", "-m", "venv", "--without-pip", directory])).code, 0);
  const { stdout } = await run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]);
  return { directory, python, packages: stdout.trim() };
}

function magics(...argv: string[]): Promise<Outcome> {
  return cordon(["magics", ...argv]);
}

function importsAs(python: string, name: string, options: CordonOptions = {}): Promise<Outcome> {
  const question = `import importlib.util as u; print(u.find_spec(${JSON.stringify(name)}).origin)`;
  return run([python, "-c", question], { cwd: "/", ...options });
}

test(
  "magics install: a module and Dockyter's name for it, into the packages of a Python",
  { needs },
  async () => {
    const { directory, python, packages } = await venv();
    const before = await listing(directory);
    const { code, stdout, stderr } = await magics("install", "--python", python);
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      RegExp(`^Saved ${packages}/cordon\\.py\nSaved ${packages}/dockyter\\.py\nPython 3\\.`),
    );
    assert.match(stderr, /has no IPython yet/);
    for (const name of ["cordon", "dockyter"]) {
      assert.equal((await importsAs(python, name)).stdout, `${packages}/${name}.py\n`);
      assert.equal(Deno.statSync(`${packages}/${name}.py`).mode! & 0o777, 0o644);
    }
    const module = Deno.readTextFileSync(`${packages}/cordon.py`);
    assert.ok(module.includes(`\nCORDON = "${executable()}"\n`));
    assert.equal(Deno.readTextFileSync(`${packages}/dockyter.py`).trimEnd().split("\n").length, 2);
    // Again is the same.
    assert.equal((await magics("install", "--python", python)).stdout, stdout);
    // What Python compiled goes, too.
    const compiled = await run([python, "-m", "compileall", "-q", packages]);
    assert.equal(compiled.code, 0, compiled.stderr);
    const removed = await magics("remove", "--python", python);
    assert.equal(
      removed.stdout,
      `Removed ${packages}/cordon.py\nRemoved ${packages}/dockyter.py\n`,
      removed.stderr,
    );
    assert.equal(await listing(directory), before);
    const nothing = await magics("remove", "--python", python);
    assert.deepEqual([nothing.code, nothing.stdout], [1, ""]);
    assert.match(nothing.stderr, /^cordon: There are no magics of cordon in Python /);
  },
);

test("magics install: what others wrote is left alone", { needs }, async () => {
  const { python, packages } = await venv();
  Deno.mkdirSync(`${packages}/dockyter`);
  Deno.writeTextFileSync(`${packages}/dockyter/__init__.py`, "# the real one\n");
  assert.doesNotMatch((await magics("install", "--python", python)).stdout, /dockyter/);
  assert.equal((await importsAs(python, "dockyter")).stdout, `${packages}/dockyter/__init__.py\n`);
  assert.equal((await magics("remove", "--python", python)).stdout, `Removed ${packages}/cordon.py\n`);
  Deno.writeTextFileSync(`${packages}/cordon.py`, "# somebody else's\n");
  for (const [command, why] of [["install", /cordon did not write it/], ["remove", /no magics/]] as const) {
    const { code, stderr } = await magics(command, "--python", python);
    assert.equal(code, 1);
    assert.match(stderr, why);
  }
  assert.equal(Deno.readTextFileSync(`${packages}/cordon.py`), "# somebody else's\n");
});

test("magics install --user: the caller's packages, where the Python looks at them", { needs }, async () => {
  const { python } = await venv();
  const home = tmp();
  const refused = await cordon(["magics", "install", "--user", "--python", python], { env: { HOME: home } });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /does not look at the user's packages/);
  const { code, stdout, stderr } = await cordon(["magics", "install", "--user"], { env: { HOME: home } });
  assert.equal(code, 0, stderr);
  const saved = /^Saved (\S+)\/cordon\.py$/m.exec(stdout)![1]!;
  assert.ok(saved.startsWith(`${home}/.local/lib/python3.`), saved);
  assert.equal(
    (await importsAs("python3", "cordon", { env: { HOME: home } })).stdout,
    `${saved}/cordon.py\n`,
  );
  // Without a scope, remove looks in both places.
  const removed = await cordon(["magics", "remove"], { env: { HOME: home } });
  assert.equal(removed.stdout, `Removed ${saved}/cordon.py\nRemoved ${saved}/dockyter.py\n`, removed.stderr);
});

test("magics install --autoload: a configuration of IPython's, unless there is one", { needs }, async () => {
  const { directory, python } = await venv();
  const before = await listing(directory);
  const config = `${directory}/etc/ipython/ipython_config.py`;
  const { code, stdout } = await magics("install", "--autoload", "--sys-prefix", "--python", python);
  assert.equal(code, 0);
  assert.match(stdout, RegExp(`^Saved ${config}$`, "m"));
  assert.match((await magics("remove", "--python", python)).stdout, RegExp(`^Removed ${config}$`, "m"));
  assert.equal(await listing(directory), before);
  Deno.mkdirSync(`${directory}/etc/ipython`, { recursive: true });
  Deno.writeTextFileSync(config, "# the site's\n");
  const taken = await magics("install", "--autoload", "--python", python);
  assert.equal(taken.code, 1);
  assert.match(
    taken.stderr,
    /^cordon: Cannot write .*ipython_config\.py\nAdd to it: .*extensions\.append\("cordon"\)$/m,
  );
  assert.equal((await magics("remove", "--python", python)).code, 1);
});

test("magics install --autoload --user: a file of IPython's startup directory", { needs }, async () => {
  const home = tmp();
  const { code, stdout, stderr } = await cordon(["magics", "install", "--autoload", "--user"], {
    env: { HOME: home },
  });
  assert.equal(code, 0, stderr);
  const file = `${home}/.ipython/profile_default/startup/50-cordon.py`;
  assert.match(stdout, RegExp(`^Saved ${file}$`, "m"));
  assert.match(
    (await cordon(["magics", "remove", "--user"], { env: { HOME: home } })).stdout,
    RegExp(`^Removed ${file}$`, "m"),
  );
});

test("magics install: a Python that is none, and words that do not go together", { needs }, async () => {
  const cases: [argv: string[], code: number, stderr: RegExp][] = [
    [["--python", "/nonexistent/python3"], 1, /^cordon: Cannot use the Python \/nonexistent\/python3$/m],
    [["--python", "/bin/true"], 1, /^cordon: Cannot use the Python \/bin\/true$/m],
    [["--python", "/bin/false"], 1, /It ended with status 1/],
    [["--user", "--sys-prefix"], 2, /cannot be given together/],
    [["--python", ""], 2, /--python/],
  ];
  for (const [argv, code, stderr] of cases) {
    const outcome = await magics("install", ...argv);
    assert.deepEqual([outcome.code, outcome.stdout], [code, ""], argv.join(" "));
    assert.match(outcome.stderr, stderr);
  }
  const none = await cordon(["magics", "install"], { env: { PATH: tmp() } });
  assert.match(none.stderr, /^cordon: There is no python3 on PATH$/m);
});

test("magics status: the lines of %docker_status", {}, async () => {
  const env = { DOCKER_HOST: "unix:///nonexistent.sock", PATH: "/nonexistent" };
  const docker = await cordon(
    ["magics", "status", "--switched", "--redirected", "--args", "-e 'A=1' image"],
    { env },
  );
  assert.deepEqual(docker.stdout.replace(/\(Cannot.*\)/, "(…)").split("\n"), [
    "Switched backend to Docker (local daemon).",
    "=== Dockyter Backend Status ===",
    "Dockyter backend type: Docker",
    "Dockyter backend status: unavailable",
    "Dockyter backend status: Docker is not installed or not available in the system PATH. (…)",
    "Dockyer redirection for '!': on",
    "Current docker args: -e 'A=1' image",
    "",
  ]);
  assert.deepEqual([docker.code, docker.stderr], [0, ""]);
  const api = await cordon(["magics", "status", "--switched"], {
    env: { CORDON_API: "http://u:secret@127.0.0.1:1/x/" },
  });
  assert.match(api.stdout, /^Switched backend to APIBackend \(http:\/\/u:\*\*\*@127\.0\.0\.1:1\/x\)\.$/m);
  assert.match(api.stdout, /^Dockyter backend type: API$/m);
  assert.match(
    api.stdout,
    /^Dockyter backend status: API backend unreachable at http:\/\/u:\*\*\*@127\.0\.0\.1:1\/x: /m,
  );
  const wrong = await cordon(["magics", "status"], { env: { CORDON_API: "ftp://secret@x" } });
  assert.match(wrong.stdout + wrong.stderr, /CORDON_API/);
  assert.doesNotMatch(wrong.stdout + wrong.stderr, /secret/);
  const namespaces = await cordon(["magics", "status", "--engine", "namespaces"], { env });
  assert.match(namespaces.stdout, /^Dockyter backend type: Namespaces$/m);
});

test(
  "run --unprivileged: privileges and the host's network are refused however they are spelled",
  {},
  async () => {
    const forbidden = [
      ["--privileged"],
      ["--privileged=true"],
      ["--privileged=T"],
      ["--network=host"],
      ["--network", "host"],
      ["--net=host"],
      ["--net", "host"],
      ["--network", "name=host"],
    ];
    for (const engine of ["docker", "namespaces"]) {
      for (const flags of forbidden) {
        const { code, stderr } = await cordon([
          "run",
          "--unprivileged",
          "--engine",
          engine,
          ...flags,
          "host",
          "true",
        ]);
        assert.equal(code, 125, flags.join(" "));
        assert.match(stderr, /^cordon: Forbidden Docker flag detected: --(privileged|network=host)\n/);
      }
    }
    const { stderr } = await cordon([
      "run",
      "--unprivileged",
      "--privileged=false",
      "--network=none",
      "image",
    ], {
      env: { DOCKER_HOST: "unix:///nonexistent.sock" },
    });
    assert.match(stderr, /nonexistent\.sock/);
  },
);
