import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { demultiplex, FrameDecoder } from "../../../lib/docker/frames.ts";
import { BrokenConnectionError, type EngineError } from "../../../lib/docker/errors.ts";
import { frame } from "../../helpers/fake-engine.ts";

const STREAM = Buffer.concat([
  frame(1, "Grüße, 世界\n"),
  frame(2, "warning\n"),
  frame(1, ""),
  frame(0, "echo"),
  frame(2, "x".repeat(300)),
]);

async function collect(pieces: Uint8Array[], tty = false): Promise<{ stdout: string; stderr: string }> {
  const seen = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  for await (const { stream, bytes } of demultiplex(from(pieces), { tty })) seen[stream].push(bytes);
  return { stdout: Buffer.concat(seen.stdout).toString(), stderr: Buffer.concat(seen.stderr).toString() };
}

async function* from(pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

const EXPECTED = { stdout: "Grüße, 世界\necho", stderr: `warning\n${"x".repeat(300)}` };

Deno.test("frames come apart wherever the transport has split them", async () => {
  for (let at = 0; at <= STREAM.length; at++) {
    assert.deepEqual(
      await collect([STREAM.subarray(0, at), STREAM.subarray(at)]),
      EXPECTED,
      `split at ${at}`,
    );
  }
});

Deno.test("frames come apart byte by byte", async () => {
  assert.deepEqual(await collect([...STREAM].map((byte) => Uint8Array.of(byte))), EXPECTED);
});

Deno.test("a frame of 4 GiB is passed on as it comes, not collected", () => {
  const decoder = new FrameDecoder();
  const header = Uint8Array.of(1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff);
  assert.deepEqual([...decoder.push(header)], []);
  for (let i = 0; i < 3; i++) {
    assert.deepEqual([...decoder.push(new Uint8Array(1000))], [{
      stream: "stdout",
      bytes: new Uint8Array(1000),
    }]);
  }
  assert.throws(() => decoder.end(), (error: BrokenConnectionError) => {
    return /4294964295 bytes of a frame missing/.test(error.why ?? "");
  });
});

Deno.test("a stream that ends anywhere but between frames is an error", async () => {
  const whole = frame(1, "abc");
  for (let at = 1; at < whole.length; at++) {
    await assert.rejects(collect([whole, whole.subarray(0, at)]), BrokenConnectionError, `cut at ${at}`);
  }
});

Deno.test("bytes that are no frames are an error that shows them", async () => {
  const raw = Buffer.from("plain text, as a terminal sends it");
  await assert.rejects(collect([raw]), (error: BrokenConnectionError) => {
    assert.match(error.why ?? "", /112 108 97 105/);
    return error instanceof BrokenConnectionError;
  });
});

Deno.test("an error frame of the engine comes after the output before it", async () => {
  const seen: string[] = [];
  const pieces = [Buffer.concat([frame(1, "out"), frame(3, "disk full\n")])];
  await assert.rejects(async () => {
    for await (const { bytes } of demultiplex(from(pieces), { tty: false })) {
      seen.push(Buffer.from(bytes).toString());
    }
  }, (error: EngineError) => error.engineMessage === "disk full");
  assert.deepEqual(seen, ["out"]);
});

Deno.test("a terminal's bytes are all stdout, frames or not", async () => {
  const { stdout, stderr } = await collect([STREAM.subarray(0, 5), STREAM.subarray(5)], true);
  assert.deepEqual(stdout, STREAM.toString());
  assert.equal(stderr, "");
});
