/**
 * The documents hold. Each ```sh block of README.md and docs/ is run, in order, in one private directory for the
 * document; where a block ```output follows, that is what it must print, `…` standing for anything. Blocks ```sh no-test
 * are not run and begin with a comment that says why.
 */
import assert from "node:assert/strict";
import { parse as parseToml } from "smol-toml";
import { ISOLATE_TABLE } from "../../cmd/isolate.table.ts";
import { executable } from "../helpers/binary.ts";
import { ordinaryUser, program, python, pythonModule, test, userns } from "../helpers/need.ts";
import { baseEnv, run } from "../helpers/run.ts";
import { asUserArgv, ordinaryTmp, ordinaryUid } from "../helpers/user.ts";

const CHECKOUT = new URL("../../", import.meta.url).pathname;
const DOCUMENTS = [
  "README.md",
  ...[...Deno.readDirSync(`${CHECKOUT}docs`)].map(({ name }) => `docs/${name}`).filter((name) =>
    name.endsWith(".md")
  ).sort(),
];

const INFOS = ["sh", "sh no-test", "output", "json", "python", "toml", "ini", "nginx", "text"];

function read(path: string): string {
  return Deno.readTextFileSync(CHECKOUT + path);
}

interface Block {
  info: string;
  text: string;
  line: number;
}

function blocks(document: string): Block[] {
  const found: Block[] = [];
  let open: Block | undefined;
  for (const [index, line] of read(document).split("\n").entries()) {
    if (open === undefined) {
      if (line.startsWith("```")) open = { info: line.slice(3).trim(), text: "", line: index + 1 };
    } else if (line === "```") {
      found.push(open);
      open = undefined;
    } else open.text += line + "\n";
  }
  assert.equal(open, undefined, `${document}: a block is not closed`);
  return found;
}

/** Python modules that a document wants on the reader's machine: it begins with a comment `needs: NAME…`. */
function modulesFor(document: string): string[] {
  return /^<!-- needs: (.+) -->/.exec(read(document))?.[1]?.split(" ") ?? [];
}

/** What the reader sees: a user ada with uid 1000, at home in /home/ada. */
function asWritten(text: string, home: string): string {
  return text.replaceAll(home, "/home/ada").replaceAll(`${ordinaryUid}`, "1000").replaceAll(
    /\(\w+\)/g,
    "(ada)",
  );
}

function pattern(output: string): RegExp {
  return new RegExp(`^${output.split("…").map((text) => RegExp.escape(text)).join("[^]*")}$`);
}

for (const document of DOCUMENTS) {
  const all = blocks(document);
  if (!all.some(({ info }) => info === "sh")) continue;
  const modules = modulesFor(document);
  test(`${document}: its commands do what it says`, {
    needs: [ordinaryUser, userns, program("python3"), program("hostname"), ...modules.map(pythonModule)],
  }, async () => {
    const home = ordinaryTmp();
    const work = `${home}/work`;
    const prepare =
      `mkdir -p work/build .local/bin && ln -s "$1" work/cordon && ln -s "$1" work/build/cordon &&
      ln -s "$1" .local/bin/cordon`;
    const bin = modules.length > 0 ? `${python.replace(/\/python$/, "")}:` : "";
    const env = { ...baseEnv(home), PATH: `${home}/.local/bin:${bin}${baseEnv(home)["PATH"]}`, USER: "ada" };
    const made = await run(asUserArgv(["sh", "-euc", prepare, "sh", executable()]), { cwd: home, env });
    assert.equal(made.code, 0, made.stderr);
    for (const [index, block] of all.entries()) {
      if (block.info !== "sh") continue;
      const where = `${document}:${block.line}`;
      const script = `exec 2>&1\n${block.text}`;
      // nbgrader on a busy machine.
      const options = { cwd: work, env, deadline: 300_000 };
      const { code, stdout } = await run(asUserArgv(["sh", "-euc", script]), options);
      assert.equal(code, 0, `${where}\n${stdout}`);
      const next = all[index + 1];
      const wanted = next?.info === "output" ? next.text : "";
      const got = asWritten(stdout, home);
      assert.ok(pattern(wanted).test(got), `${where}: it printed\n${got}`);
    }
  });
}

Deno.test("documents: commands that are not run say why, and there are no other kinds of block", () => {
  for (const document of DOCUMENTS) {
    for (const { info, text, line } of blocks(document)) {
      assert.ok(INFOS.includes(info), `${document}:${line}: ${info}`);
      if (info === "sh no-test") assert.match(text, /^# /, `${document}:${line}`);
      if (info === "toml") assert.doesNotThrow(() => parseToml(text), `${document}:${line}`);
    }
  }
});

test("documents: what is Python can be read by Python", { needs: [program("python3")] }, async () => {
  for (const document of DOCUMENTS) {
    for (const { text, line } of blocks(document).filter(({ info }) => info === "python")) {
      const compiles = ["python3", "-c", "import sys; compile(sys.stdin.read(), 'block', 'exec')"];
      const { code, stderr } = await run(compiles, { stdin: text });
      assert.equal(code, 0, `${document}:${line}: ${stderr}`);
    }
  }
});

Deno.test("documents: links lead somewhere", () => {
  for (const document of DOCUMENTS) {
    for (const [, target = ""] of read(document).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
      assert.ok(
        Deno.statSync(new URL(target, `file://${CHECKOUT}${document}`)).isFile,
        `${document}: ${target}`,
      );
    }
  }
});

Deno.test("docs/security.md: each promise names tests that exist", () => {
  const tests = [...Deno.readDirSync(`${CHECKOUT}tests/cli`)].filter(({ name }) =>
    name.startsWith("security_")
  )
    .map(({ name }) => read(`tests/cli/${name}`)).join("\n");
  const rows = read("docs/security.md").split("\n").filter((line) => /^\| [^-]/.test(line));
  const promises = rows.map((row) => row.split("|")[2] ?? "").filter((cell) => cell.trim() !== "Tests");
  assert.ok(promises.length > 20);
  for (const cell of promises) {
    const names = [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);
    assert.ok(names.length > 0, cell);
    for (const name of names) {
      if (name.startsWith("tests/")) assert.ok(Deno.statSync(CHECKOUT + name).isFile);
      else assert.ok(tests.includes(`"${name}"`), `no test is called: ${name}`);
    }
  }
});

Deno.test("docs/isolate.md: every option is there", () => {
  const text = read("docs/isolate.md");
  for (const { long, short } of ISOLATE_TABLE.options) {
    assert.ok(text.includes(`--${long}`) || (short && text.includes(`-${short} `)), `--${long}`);
  }
});

Deno.test("docs/migration.md: every option, variable, command and file of the old tools is there", () => {
  const old = `-m --mnt -b -v --no-net MNTDIRS NI_BASEDIR NI_TMPFS_SIZE NI_QUIET METHOD VERBOSE
    setup --name --image --user --prefix --replace --mount --workdir --copy-workdir --python -f
    -p -P --host-port --guest-port --portwrap-path --port %load_ext %%docker %docker %docker_on %docker_off
    %docker_status %docker_profile %docker_backend DOCKYTER_CONFIG dockyter.toml ~/.dockyter.toml
    ~/.config/dockyter/config.toml /health /execute`;
  const commands = [...read("docs/migration.md").matchAll(/^\| ([^|]+) \|/gm)]
    .flatMap(([, cell = ""]) =>
      [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, code = ""]) => code.split(/[ =]/))
    );
  for (const word of old.split(/\s+/)) assert.ok(commands.includes(word), word);
});

Deno.test("README.md: it leads to every guide", () => {
  const readme = read("README.md");
  for (const document of DOCUMENTS.slice(1)) {
    // What stands before the server is linked from the guide to it.
    if (document !== "docs/serve-http.md") assert.ok(readme.includes(`(${document})`), document);
  }
});
