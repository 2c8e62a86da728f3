import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { BrokenConnectionError } from "../../../lib/docker/errors.ts";
import { demultiplex } from "../../../lib/docker/frames.ts";
import { withoutNote } from "../../../lib/docker/podman-note.ts";
import { frame } from "../../helpers/fake-engine.ts";

const NOTE = "Error: write unixpacket @->/proc/self/fd/14/attach: write: connection reset by peer\n";

async function rest(...frames: Uint8Array[]): Promise<string[]> {
  const seen: string[] = [];
  const output = demultiplex(ReadableStream.from([Buffer.concat(frames)]), { tty: false });
  for await (const { stream, bytes } of withoutNote(output)) {
    seen.push(`${stream}: ${new TextDecoder().decode(bytes)}`);
  }
  return seen;
}

Deno.test("Podman's own last word is not the container's; the same words before other output are", async () => {
  const done = frame(1, "done\n"), note = frame(2, NOTE);
  assert.deepEqual(await rest(done, note), ["stdout: done\n"]);
  assert.deepEqual(await rest(done, note, note), ["stdout: done\n", `stderr: ${NOTE}`]);
  assert.deepEqual(await rest(note, done), [`stderr: ${NOTE}`, "stdout: done\n"]);
  assert.deepEqual(await rest(frame(1, NOTE)), [`stdout: ${NOTE}`]);
  assert.deepEqual(await rest(frame(2, "Error: no such file\n")), ["stderr: Error: no such file\n"]);
});

Deno.test("two of them mixed end the output, other bytes that are no frames are an error", async () => {
  const mixed = frame(2, NOTE);
  mixed[7] = mixed[7]! - 13;
  assert.deepEqual(await rest(frame(1, "done\n"), mixed), ["stdout: done\n"]);
  await assert.rejects(rest(frame(1, "done\n"), Buffer.from("no frames")), BrokenConnectionError);
});
