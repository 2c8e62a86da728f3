import assert from "node:assert/strict";
import type { Output } from "../../../lib/docker/frames.ts";
import { signalWords, TELL_NUMBER, withoutNumber } from "../../../lib/engine/docker/box-leader.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const stdout = (text: string): Output => ({ stream: "stdout", bytes: bytes(text) });
const stderr = (text: string): Output => ({ stream: "stderr", bytes: bytes(text) });

async function read(pieces: Output[]): Promise<{ told: number[]; stdout: string; stderr: string }> {
  const seen = { told: [] as number[], stdout: "", stderr: "" };
  const source = async function* () {
    yield* pieces;
  };
  for await (const { stream, bytes } of withoutNumber(source(), (leader) => seen.told.push(leader))) {
    seen[stream] += new TextDecoder().decode(bytes);
  }
  return seen;
}

Deno.test("the first line of stdout is the number, however it comes, and nothing else is taken away", async () => {
  for (
    const pieces of [
      [stdout("12\nout\n34\n"), stderr("err\n")],
      [stderr("err\n"), stdout("1"), stdout("2"), stdout("\n"), stdout("out\n34\n")],
      [stdout("12\r\nout"), stdout("\n34\n"), stderr("err\n")],
    ]
  ) {
    assert.deepEqual(await read(pieces), { told: [12], stdout: "out\n34\n", stderr: "err\n" });
  }
});

Deno.test("where no number comes, nothing ran, and all that came is told", async () => {
  const long = "exec failed: no such file or directory\n";
  for (const text of [long, "no\n", "12", "", "12x\n", "123456789012345\n"]) {
    assert.deepEqual(await read([...text].map(stdout)), { told: [], stdout: text, stderr: "" }, text);
  }
});

Deno.test("a shell tells its number and becomes the command, and a signal reaches what runs below", async () => {
  const script = "trap 'echo seen; exit 3' USR1; sleep 600 & echo on; while :; do wait; done";
  const child = new Deno.Command("setsid", {
    args: [...TELL_NUMBER, "sh", "-c", script],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const source = async function* (): AsyncGenerator<Output> {
    for await (const bytes of child.stdout) yield { stream: "stdout", bytes };
  };
  let leader = 0, text = "";
  for await (const { bytes } of withoutNumber(source(), (number) => leader = number)) {
    text += new TextDecoder().decode(bytes);
    if (!text.endsWith("on\n")) continue;
    const [program = "", ...args] = signalWords(leader, "SIGUSR1");
    assert.equal((await new Deno.Command(program, { args }).output()).code, 0);
  }
  assert.equal(text, "on\nseen\n");
  assert.equal((await child.status).code, 3);
});
