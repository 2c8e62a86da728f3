/** The line that turns a waiting shell into the one that runs a script, tried with the shells there are. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { handover, waitingCommand } from "../../../lib/engine/docker/handover.ts";
import { which } from "../../helpers/path.ts";

async function run(
  argv: string[],
  { input, env }: { input: Uint8Array | undefined; env: Record<string, string> },
) {
  const child = new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    clearEnv: true,
    env,
    cwd: "/",
    stdin: input ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (input) {
    const writer = child.stdin.getWriter();
    await writer.write(input);
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  return { code, stdout: Buffer.from(stdout).toString(), stderr: Buffer.from(stderr).toString() };
}

/** The shell of the container; its path decides whether there is bash. */
async function waiting(
  shell: string[],
  wait: { script: string; stdin?: string; env: Record<string, string> },
) {
  const { script, stdin, env } = wait;
  const line = handover(script, {
    stdin: stdin !== undefined,
    env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
  });
  const input = Buffer.concat([line, Buffer.from(stdin ?? "")]);
  return await run([...shell, ...waitingCommand().slice(1)], { input, env });
}

const PATH = "/usr/bin:/bin";
const SHELLS = [["/bin/sh"], ["/bin/bash"], ["/bin/dash"], ["/bin/busybox", "sh"]]
  .filter(([path]) => which(path!.split("/").at(-1)!) !== undefined);

/** As for a container that was made ahead. */
const NO_CORE = ["/bin/sh", "-c", 'ulimit -c 0; exec "$@"', "sh"];

const SCRIPTS: Record<string, string> = {
  surroundings: "env | sort; pwd; echo $0 $# $- $SHLVL; umask; ulimit -a; trap; jobs; set -o; ls /proc/$$/fd",
  "command line": "tr '\\0' '\\n' </proc/$$/cmdline",
  signals: "grep '^Sig[^Q]' /proc/$$/status",
  quotes: "echo 'it'\\''s' \"$HOME\" \\\\ `echo x` $(echo y) '$n' \"a\tb\"",
  newlines: "\n\ncat <<E\n  a\n\n  b  \nE\n",
  "no trailing newline": "printf %s end",
  "unicode": "echo 'ünïcödé 🙂'",
  "a syntax error": "if",
  status: "exit 42",
  empty: "",
  "a dash first": "-e",
  "many lines": Array.from({ length: 500 }, (_, i) => `echo ${i}`).join("\n"),
};

for (const shell of SHELLS) {
  Deno.test(`a script handed to a waiting ${shell.join(" ")} runs as one that was there from the start`, async () => {
    for (const [name, script] of Object.entries(SCRIPTS)) {
      for (const env of [{ PATH, A: "1" }, { PATH, PWD: "/tmp", OLDPWD: "/x" }]) {
        const direct = await run([...NO_CORE, "/bin/bash", "-lc", script], { input: undefined, env });
        const handed = await waiting(shell, { script, env });
        assert.deepEqual(comparable(handed), comparable(direct), `${name} with ${JSON.stringify(env)}`);
      }
    }
  });

  Deno.test(`what follows the line is the script's input with ${shell.join(" ")}`, async () => {
    const stdin = "first\nsecond\n\0bytes";
    const env = { PATH };
    const handed = await waiting(shell, { script: 'read -r x; echo "<$x>"; cat', stdin, env });
    assert.deepEqual([handed.code, handed.stdout], [0, "<first>\nsecond\n\0bytes"]);
    assert.equal((await waiting(shell, { script: "cat", env })).stdout, "");
    assert.equal((await waiting(shell, { script: "cat", stdin: "", env })).stdout, "");
  });

  Deno.test(`without a line ${shell.join(" ")} ends by itself`, async () => {
    const argv = [...shell, ...waitingCommand().slice(1)];
    assert.deepEqual(await run(argv, { input: undefined, env: { PATH } }), {
      code: 0,
      stdout: "",
      stderr: "",
    });
  });
}

/** How bash names itself in messages, and numbers that no two processes share. */
function comparable({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) {
  const neutral = (text: string) =>
    text.replace(/^(\/bin\/)?bash: /gm, "").replace(/^(\/bin\/)?bash\b/gm, "bash");
  return { code, stdout: neutral(stdout), stderr: neutral(stderr) };
}
