/** What Dockyter gets wrong, and what may go wrong: told, and never an exception. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { formatEndpoint } from "../../lib/docker/endpoint.ts";
import { pushImage, removeImage, tagImage } from "../../lib/docker/images.ts";
import { executable } from "../helpers/binary.ts";
import { dockerNeeds, IMAGE, registryNeeds, startDocker, startRegistry } from "../helpers/engines.ts";
import { test, userns } from "../helpers/need.ts";
import { run, tmp } from "../helpers/run.ts";
import {
  type CellOutput,
  environment,
  notebookNeeds,
  notebooks,
  runNotebook,
  text as plain,
} from "./magics_setup.ts";

const needs = [...notebookNeeds, userns];
const LOAD = "%load_ext cordon\n%docker_backend namespaces";
/** With what is red marked as such. */
function marked(text: string): string {
  return text.replaceAll("\x1b[91m", "<red>").replaceAll("\x1b[0m", "</red>");
}

function text(output: CellOutput | undefined, stream?: string): string {
  return marked(plain(output, stream));
}

/** Nothing listens there. */
const NOWHERE = { DOCKER_HOST: "unix:///nonexistent/engine.sock" };

test(
  "! in containers: Python's variables, kept output and statuses are as in IPython itself",
  { needs },
  async () => {
    const { cells } = await notebooks();
    const cases = [
      "x = 'hello'\n!echo {x} $x {x.upper()}",
      "kept = !echo $x; echo error >&2\nkept",
      "whole = get_ipython().getoutput('echo a; echo b', split=False)\nwhole, whole.n, type(kept).__name__",
      "def f():\n    inner = 'local'\n    kept = !echo {inner}\n    !echo $inner\n    return kept\nf()",
      "!!echo $x",
      "!exit 3\n_exit_code",
      "!true\n_exit_code",
      "!kill -9 $$\n_exit_code",
      "!echo '{not python}' $NOT_PYTHON '$$x'",
      "for i in range(2):\n    !echo $i",
    ];
    const raising = "get_ipython().system_raise_on_error = True\n!exit 5";
    const [there, here] = await Promise.all([cells([LOAD, "%docker host", ...cases, raising]), cells(cases)]);
    assert.deepEqual(there.slice(2, -1), here);
    // ipykernel's own ! does not know that setting, IPython's does.
    assert.deepEqual(there.at(-1), [[
      "CalledProcessError",
      "Command 'exit 5' returned non-zero exit status 5.",
    ]]);
    assert.equal(text(here[0]), "hello hello HELLO\n");
  },
);

test("%%docker: the status is kept, and the cell is not Python's to fill in", { needs }, async () => {
  const { cells } = await notebooks();
  const outputs = await cells([
    LOAD,
    "%%docker host\nx=1; echo {x} $x; exit 7",
    "_exit_code",
    "%%docker host\ncat <<'END'\nit's \"quoted\" \\n $HOME\nEND",
    "get_ipython().run_cell_magic('docker', 'host', 'printf x # ' + 'y' * 300_000)",
  ]);
  assert.deepEqual(outputs.slice(1), [
    [["stdout", "{x} 1\n"]],
    [["result", "7"]],
    [["stdout", 'it\'s "quoted" \\n $HOME\n']],
    [["stdout", "x"]],
  ]);
});

test(
  "%docker twice and %docker_off: ! is this machine's again; so it is after %unload_ext",
  { needs },
  async () => {
    const { cells, home } = await notebooks();
    const here = `!test -e ${home}/venv && echo here || echo in a container`;
    const outputs = await cells([
      LOAD,
      "%load_ext cordon\n%load_ext dockyter",
      "%docker host\n%docker host\n%docker_on",
      here,
      `%docker_off\n${here}`,
      `%docker_off\n${here}\n'system' in vars(get_ipython())`,
      `%docker_on\n${here}`,
      `%reload_ext cordon\n${here}`,
      "%docker_status",
      `%docker_backend namespaces\n%docker host\n${here}`,
      `%unload_ext cordon\n${here}`,
      "%docker host",
      "%load_ext cordon\n%docker_backend namespaces\n%docker host",
    ]);
    const said = outputs.map((cell) => text(cell));
    assert.match(said[1]!, /already loaded/);
    assert.equal(said[2], "Connected\nConnected\n");
    assert.equal(said[3], "in a container\n");
    assert.equal(said[4], "here\n");
    assert.deepEqual(outputs[5], [["stdout", "here\n"], ["result", "False"]]);
    assert.equal(said[6], "in a container\n");
    assert.equal(said[7], "here\n");
    assert.match(said[8]!, /type: Docker\n[^]*redirection for '!': off\n$/);
    assert.match(said[9]!, /Connected\nin a container\n$/);
    assert.equal(said[10], "here\n");
    assert.match(said[11]!, /Line magic function `%docker` not found/);
    assert.match(said[12]!, /Connected\n$/);
  },
);

test("forbidden flags are found in every spelling, and nothing runs", { needs: notebookNeeds }, async () => {
  const { cells } = await notebooks(NOWHERE);
  const spellings = [
    ...["--privileged", "--privileged=true", "--privileged=1", "--rm --privileged=t -e A=1"],
    ...["--network=host", "--network host", "--net=host", "--net host", "--network=name=host"],
  ];
  const outputs = await cells([
    "%load_ext cordon",
    ...spellings.map((flag) => `%%docker ${flag} image\necho ran`),
  ]);
  for (const [i, flag] of spellings.entries()) {
    const wanted = flag.includes("priv") ? "--privileged" : "--network=host";
    assert.deepEqual(
      text(outputs[i + 1]),
      `<red>cordon: Forbidden Docker flag detected: ${wanted}</red>\n`,
      flag,
    );
  }
});

test("no Docker, no API, no cordon: each is told in red, and ! does not fall back to this machine", {
  needs: notebookNeeds,
}, async () => {
  const { home, python, packages } = await environment();
  const copy = join(home, "cordon");
  Deno.copyFileSync(executable(), copy);
  Deno.chmodSync(copy, 0o755);
  const installed = await cordonAt(copy, ["magics", "install", "--python", python]);
  assert.match(installed, /Saved/);
  assert.ok(Deno.readTextFileSync(`${packages}/cordon.py`).includes(`CORDON = "${copy}"`));
  const outputs = await runNotebook(python, {
    home,
    env: { HOME: home, ...NOWHERE, PATH: `${tmp()}:/bin` },
    job: {
      cells: [
        "%load_ext cordon",
        "%%docker image\necho ran",
        "_exit_code",
        "%docker image",
        "!echo ran",
        "kept = !echo ran\nkept",
        "%docker_status",
        "%docker_backend api http://me:hidden-token@127.0.0.1:1",
        "!echo ran",
        `%%docker ${"'"}image\necho ran`,
        "import os; os.remove(" + JSON.stringify(copy) + ")",
        "!echo ran",
        "%docker_status",
        "%docker_profile some",
        "%docker_off",
      ],
    },
  });
  const everything = JSON.stringify(outputs);
  assert.doesNotMatch(everything, /"(?!stdout|stderr|result)\w+(Error|Exception|Interrupt)"/);
  assert.doesNotMatch(everything, /\bran\\n|hidden-token/);
  const engine = /^<red>cordon: Cannot connect to the engine at unix:\/\/\/nonexistent\/engine\.sock/;
  for (const i of [1, 3, 4]) assert.match(text(outputs[i], "stderr"), engine);
  assert.deepEqual(outputs[2], [["result", "125"]]);
  assert.match(text(outputs[5], "stderr"), engine);
  assert.equal(text(outputs[5], "result"), "[]");
  assert.match(text(outputs[6]), /^Dockyter backend status: unavailable\nDockyter backend status: Docker /m);
  assert.match(text(outputs[6]), /^Dockyer redirection for '!': on\nCurrent docker args: image\n/m);
  assert.match(text(outputs[7]), /^Switched backend to APIBackend \(http:\/\/me:\*\*\*@127\.0\.0\.1:1\)\.$/m);
  assert.match(text(outputs[7]), /^Dockyter backend status: API backend unreachable at http:/m);
  assert.match(
    text(outputs[8], "stderr"),
    /^<red>cordon: Cannot (reach|talk to) the API at http:\/\/me:\*\*\*@/,
  );
  assert.match(text(outputs[9], "stderr"), /^<red>cordon: Cannot read "'image": No closing quotation/);
  for (const i of [11, 12, 13]) {
    assert.match(text(outputs[i], "stderr"), /^<red>cordon: Cannot start \S+\/cordon: .*No such file/);
  }
});

test(
  "wrong words to the magics are answered as Dockyter answers them",
  { needs: notebookNeeds },
  async () => {
    const { cells } = await notebooks(NOWHERE);
    const outputs = await cells([
      "%load_ext cordon",
      "%docker_backend",
      "%docker_backend api",
      "%docker_backend kubernetes",
      "%docker_profile",
      "%docker_profile none",
      "%docker_off",
      "%docker",
      "%%docker\necho ran",
    ]);
    assert.deepEqual(outputs.slice(1, 7).map((output) => text(output, "stderr")), [
      "<red>Usage: %docker_backend <docker|api|namespaces> [api_url]</red>\n",
      "<red>Usage: %docker_backend api <api_url></red>\n",
      "<red>Unknown backend. Use docker, api or namespaces.</red>\n",
      "<red>Usage: %docker_profile <name>. No profiles configured.</red>\n",
      "<red>No args found for docker profile 'none'. No profiles configured.</red>\n",
      "",
    ]);
    for (const i of [7, 8]) assert.match(text(outputs[i], "stderr"), /^<red>cordon: .*\bimage\b/i);
  },
);

test(
  "a broken configuration is told with its line when the magics are loaded",
  { needs: notebookNeeds },
  async () => {
    const { cells, home } = await notebooks(NOWHERE);
    Deno.writeTextFileSync(`${home}/dockyter.toml`, '[backend]\nmode = "api\n');
    const outputs = await cells([
      "%load_ext cordon",
      "%%docker image\necho ran",
      "%docker_status",
      "%docker_profile a",
    ]);
    for (const output of outputs) {
      assert.match(text(output, "stderr"), /^<red>cordon: .*dockyter\.toml\b.*\b2\b/m);
      assert.deepEqual(output.map(([kind]) => kind), ["stderr"]);
    }
  },
);

test("the configuration beside a notebook counts, wherever the notebook goes", { needs }, async () => {
  const { cells, home } = await notebooks();
  Deno.writeTextFileSync(
    `${home}/dockyter.toml`,
    '[backend]\nmode = "namespaces"\n[docker]\ndefault_args = "-e A=default host"\n[profiles]\np = "-e A=profile host"\n',
  );
  Deno.mkdirSync(`${home}/data`);
  const outputs = await cells([
    "%load_ext cordon\nimport os\nos.chdir('data')",
    "%%docker\necho $A",
    "%%docker -v .:/here -w /here host\npwd; touch made",
    "%docker_profile p\n!echo $A",
    "%docker_status",
  ]);
  assert.deepEqual(outputs.slice(1, 4).map((output) => text(output)), [
    "default\n",
    "/here\n",
    "Connected\nprofile\n",
  ]);
  assert.match(text(outputs[4]), /type: Namespaces\n[^]*\nCurrent docker args: -e A=profile host\n$/);
  // Directories are those of where it stands.
  assert.ok(Deno.statSync(`${home}/data/made`).isFile);
});

test("much output and bytes that are no text leave a notebook that can be kept", { needs }, async () => {
  const { cells } = await notebooks();
  const outputs = await cells([
    LOAD,
    "%%docker host\nyes 0123456789 | head -c 30000000; echo; echo the end",
    "%%docker host\nhead -c 200000 /dev/urandom; head -c 200000 /dev/urandom >&2",
    String.raw`%%docker host` + "\n" +
    String.raw`printf '\303'; sleep 0.3; printf '\251\0\377 \033[31mred\033[0m\n'`,
    "lines = !yes 0123456789 | head -n 300000\nlen(lines)",
    "%docker host\nlines = !yes 0123456789 | head -n 300000\nlen(lines)",
    "%config Cordon.shown = 5\n!echo 0123456789; seq 100000",
  ]);
  const [much, binary, split, , all, little] = outputs.slice(1);
  const shown = text(much, "stdout");
  assert.ok(shown.length > 1_000_000 && shown.length < 1_020_000, `${shown.length}`);
  assert.ok(shown.endsWith("\nthe end\n"));
  assert.match(text(much, "stderr"), /cordon: 2\d{7} characters of output are not shown/);
  assert.ok(text(binary, "stdout").includes("\ufffd") && text(binary, "stderr").includes("\ufffd"));
  assert.deepEqual(split, [["stdout", "é\0\ufffd \x1b[31mred\x1b[0m\n"]]);
  assert.equal(text(all, "result"), "300000");
  assert.match(text(little, "stdout"), /^01234[^]*\n100000\n$/);
});

test("an image that is missing is pulled before the cell's eyes", {
  needs: [...notebookNeeds, ...dockerNeeds, ...registryNeeds],
}, async () => {
  await using docker = await startDocker();
  await using registry = await startRegistry();
  const { engine } = docker;
  const image = `${registry.address}/lab/busybox:1`;
  await tagImage(engine, IMAGE, { name: image });
  for await (const _ of pushImage(engine, image)) { /* to its end */ }
  await removeImage(engine, image);
  await removeImage(engine, IMAGE);
  const { cells } = await notebooks({ DOCKER_HOST: formatEndpoint(docker.endpoint) });
  const outputs = await cells([
    "%load_ext cordon",
    `%%docker ${registry.address}/lab/none:1\necho ran`,
    `%%docker ${image}\necho ran`,
    `%docker ${image}`,
    // An engine does not tell which of two streams was written to first.
    "kept = !nosuchcommand; echo kept\nsorted(kept), _exit_code",
  ]);
  const missing = text(outputs[1]);
  assert.match(missing, /^Unable to find image '\S+\/lab\/none:1' locally\n<red>cordon: .*\n/);
  assert.doesNotMatch(missing, /^ran$/m);
  const progress = text(outputs[2], "stderr");
  assert.match(progress, /^Unable to find image '\S+' locally\n.*Pulling from lab\/busybox\n/);
  assert.match(progress, /Pull complete\n/);
  assert.equal(text(outputs[2], "stdout"), "ran\n");
  assert.match(text(outputs[4], "result"), /^\(\['kept', 'sh: .*nosuchcommand: not found'\], 0\)$/);
});

async function cordonAt(path: string, argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await run([path, ...argv]);
  assert.equal(code, 0, stderr);
  return stdout;
}
