import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { program, test, userns } from "../helpers/need.ts";
import { ESSENTIAL, pathOf } from "../helpers/path.ts";
import { type Outcome, run, tmp } from "../helpers/run.ts";
import { asUser, ordinaryHome } from "../helpers/user.ts";

const SCRIPT = Deno.readTextFileSync(new URL("../../install.sh", import.meta.url));
const FILE = `cordon-linux-${Deno.build.arch}`;
const OLD_NAMES = ["isolate.sh", "jupyter_docker_kernel.py", "portwrap"];

/** A release that starts: what install.sh asks of one is `--version`. */
const GOOD = '#!/bin/sh\necho "cordon 9.9.9"\n';

type Reply = string | ((connection: Deno.Conn) => Promise<void>);

/** A web server on loopback that knows the given paths and answers 404 to others. */
async function serving(files: Record<string, Reply>, body: (base: string) => Promise<void>): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served: Promise<void>[] = [];
  const loop = (async () => {
    for await (const connection of listener) served.push(answer(connection, files));
  })();
  try {
    await body(`http://127.0.0.1:${listener.addr.port}/release`);
  } finally {
    listener.close();
    await loop;
    await Promise.all(served);
  }
}

async function answer(connection: Deno.Conn, files: Record<string, Reply>): Promise<void> {
  const request = new Uint8Array(8192);
  const length = await connection.read(request) ?? 0;
  const path = new TextDecoder().decode(request.subarray(0, length)).split(" ")[1] ?? "";
  const reply = files[path.replace("/release/", "")];
  try {
    if (typeof reply === "function") return await reply(connection);
    const [status, content] = reply === undefined ? ["404 Not Found", "none"] : ["200 OK", reply];
    const head = `HTTP/1.1 ${status}\r\nContent-Length: ${content.length}\r\nConnection: close\r\n\r\n`;
    await connection.write(new TextEncoder().encode(head + content));
  } finally {
    connection.close();
  }
}

function sum(content: string): string {
  return createHash("sha256").update(content).digest("hex");
}

/** A release of `content` with its right checksum. */
function release(content: string): Record<string, Reply> {
  return { [FILE]: content, [`${FILE}.sha256`]: `${sum(content)}  ${FILE}\n` };
}

function install(
  home: string,
  base: string,
  options: { args?: string[]; path?: string } = {},
): Promise<Outcome> {
  const env = { HOME: home, CORDON_BASE_URL: base, ...(options.path ? { PATH: options.path } : {}) };
  return run(["sh", "-s", "--", ...options.args ?? []], { cwd: home, env, stdin: SCRIPT });
}

/** Every path below `directory`, sorted. */
function below(directory: string, prefix = ""): string[] {
  return [...Deno.readDirSync(directory)].flatMap((entry) => [
    prefix + entry.name,
    ...(entry.isDirectory ? below(`${directory}/${entry.name}`, `${prefix}${entry.name}/`) : []),
  ]).sort();
}

const INSTALLED = [".local", ".local/bin", ".local/bin/cordon"];

for (const tool of ["curl", "wget"]) {
  test(
    `install.sh installs for one user with ${tool} alone`,
    { needs: [program(tool)] },
    () =>
      serving(release(GOOD), async (base) => {
        const home = tmp();
        const outcome = await install(home, base, { path: pathOf([...ESSENTIAL, tool]) });
        assert.equal(outcome.code, 0, outcome.stderr);
        assert.match(
          outcome.stdout,
          /^cordon 9\.9\.9 installed as .*\/\.local\/bin\/cordon\n.* is not on PATH/,
        );
        assert.deepEqual(below(home), INSTALLED);
        assert.equal(Deno.readTextFileSync(`${home}/.local/bin/cordon`), GOOD);
        assert.equal((Deno.statSync(`${home}/.local/bin/cordon`).mode ?? 0) & 0o777, 0o755);
      }),
  );
}

Deno.test("install.sh works for an ordinary user, into a prefix with a space, with the old names", () =>
  serving(release(GOOD), async (base) => {
    const home = ordinaryHome();
    const outcome = await asUser(
      ["sh", "-s", "--", "--base-url", base, "--prefix", `${home}/my tools`, "--old-names"],
      { stdin: SCRIPT },
    );
    assert.equal(outcome.code, 0, outcome.stderr);
    const bin = `${home}/my tools/bin`;
    assert.deepEqual(below(bin), ["cordon", ...OLD_NAMES]);
    for (const name of OLD_NAMES) assert.equal(Deno.readLinkSync(`${bin}/${name}`), "cordon");
    assert.match(outcome.stdout, /cordon portwrap --install-batchspawner \//);
  }));

Deno.test("install.sh replaces an older cordon and its links, and leaves a program of somebody else's", () =>
  serving(release(GOOD), async (base) => {
    const home = tmp();
    Deno.mkdirSync(`${home}/bin`);
    Deno.writeTextFileSync(`${home}/bin/cordon`, "old");
    Deno.symlinkSync("/somewhere/cordon", `${home}/bin/isolate.sh`);
    Deno.writeTextFileSync(`${home}/bin/portwrap`, "the original");
    const outcome = await install(home, base, { args: [`--prefix=${home}`, "--old-names"] });
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal(Deno.readTextFileSync(`${home}/bin/cordon`), GOOD);
    assert.equal(Deno.readLinkSync(`${home}/bin/isolate.sh`), "cordon");
    assert.equal(Deno.readTextFileSync(`${home}/bin/portwrap`), "the original");
    assert.match(outcome.stderr, /bin\/portwrap exists and is not cordon's/);
  }));

const HEAD = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n#!/bin/sh\n";

/** Says it sends 1,000 bytes, sends ten and hangs up. */
async function truncated(connection: Deno.Conn): Promise<void> {
  await connection.write(new TextEncoder().encode(HEAD));
}

const FAILURES: {
  what: string;
  files: Record<string, Reply>;
  says: RegExp;
  args?: string[];
  code?: number;
}[] = [
  { what: "no release there", files: {}, says: /cannot download .*\.sha256/ },
  {
    what: "a checksum file without the file",
    files: { [`${FILE}.sha256`]: sum(GOOD) },
    says: /cannot download/,
  },
  {
    what: "a wrong checksum",
    files: { ...release(GOOD), [FILE]: GOOD + "#" },
    says: /does not have the checksum/,
  },
  { what: "an empty checksum", files: { ...release(GOOD), [`${FILE}.sha256`]: "" }, says: /sha256 is empty/ },
  {
    what: "a page instead of a checksum",
    files: { ...release(GOOD), [`${FILE}.sha256`]: "<html>sign in</html>" },
    says: /is not a checksum/,
  },
  {
    what: "a shorter sum",
    files: { ...release(GOOD), [`${FILE}.sha256`]: "abcd" },
    says: /not a sha256 checksum/,
  },
  { what: "a truncated download", files: { ...release(GOOD), [FILE]: truncated }, says: /cannot download/ },
  {
    what: "an executable that does not start",
    files: release("#!/bin/sh\necho no glibc >&2\nexit 1\n"),
    says: /does not start here: no glibc/,
  },
  { what: "an unknown option", files: {}, args: ["--system"], says: /usage:/, code: 2 },
  { what: "a missing value", files: {}, args: ["--prefix"], says: /--prefix needs a value/ },
];

for (const { what, files, says, args = [], code = 1 } of FAILURES) {
  Deno.test(`install.sh leaves nothing behind after ${what}`, () =>
    serving(files, async (base) => {
      const home = tmp();
      const outcome = await install(home, base, { args });
      assert.equal(outcome.code, code);
      assert.match(outcome.stderr, says);
      assert.deepEqual(below(home), []);
    }));
}

Deno.test("install.sh keeps the cordon that was there when the new one is bad", () =>
  serving({ ...release(GOOD), [FILE]: "bad" }, async (base) => {
    const home = tmp();
    Deno.mkdirSync(`${home}/.local/bin`, { recursive: true });
    Deno.writeTextFileSync(`${home}/.local/bin/cordon`, "old");
    assert.equal((await install(home, base)).code, 1);
    assert.deepEqual(below(home), INSTALLED);
    assert.equal(Deno.readTextFileSync(`${home}/.local/bin/cordon`), "old");
  }));

Deno.test("install.sh cut off while it is downloaded does nothing", async () => {
  const lines = SCRIPT.split("\n");
  for (const kept of [40, 80, lines.length - 2]) {
    const home = tmp();
    const env = { HOME: home, CORDON_BASE_URL: "http://127.0.0.1:1" };
    await run(["sh"], { cwd: home, env, stdin: lines.slice(0, kept).join("\n") });
    assert.deepEqual(below(home), [], `after ${kept} lines`);
  }
});

test(
  "install.sh leaves nothing behind when the disk is full",
  { needs: [userns] },
  () =>
    serving(release(GOOD + "#".repeat(2 << 20)), async (base) => {
      // A file system of 1 MiB in a namespace of its own; what is left in it is listed before it goes.
      const outcome = await asUser([
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs -o size=1m none "$1" && cd "$1" && { sh -s -- --base-url "$2" --prefix "$1"; echo "code $?"; ls -A; }',
        "sh",
        ordinaryHome(),
        base,
      ], { stdin: SCRIPT });
      assert.match(outcome.stderr, /install\.sh: cannot download .*no space/);
      assert.equal(outcome.stdout, "code 1\n");
    }),
);

for (const signal of ["INT", "TERM", "HUP"]) {
  Deno.test(`install.sh leaves nothing behind after SIG${signal} in the middle of the download`, async () => {
    const home = tmp();
    let interrupted: string[] = [];
    const stalled = async (connection: Deno.Conn) => {
      await connection.write(new TextEncoder().encode(HEAD));
      interrupted = below(home); // what there is to clean up
      const group = Deno.readTextFileSync(`${home}/group`).trim();
      const killed = await run(["sh", "-c", `kill -s ${signal} -- -${group}`]);
      assert.equal(killed.stderr, "");
      // Until curl is gone, which may leave by a reset.
      await connection.read(new Uint8Array(1)).catch((error) => {
        if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
      });
    };
    await serving({ ...release(GOOD), [FILE]: stalled }, async (base) => {
      // A session of its own, so that the signal reaches the whole pipeline, as Ctrl-C does, and nobody else.
      const argv = [
        "setsid",
        "--wait",
        "sh",
        "-c",
        'echo $$ >group; exec sh -s -- --base-url "$1"',
        "sh",
        base,
      ];
      const outcome = await run(argv, { cwd: home, env: { HOME: home }, stdin: SCRIPT });
      assert.notEqual(outcome.code, 0);
    });
    assert.ok(interrupted.some((path) => path.includes(".cordon-install.")), interrupted.join(" "));
    assert.deepEqual(below(home), ["group"]);
  });
}
