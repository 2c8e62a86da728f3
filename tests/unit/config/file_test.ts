import assert from "node:assert/strict";
import { readerFor } from "../../../lib/config/file.ts";
import type { Trust } from "../../../lib/config/places.ts";
import { root, test } from "../../helpers/need.ts";
import { tmp } from "../../helpers/run.ts";
import { CordonError } from "../../../lib/errors.ts";

const uid = Deno.uid() ?? 0;

// The library stays open for good: a test that opened it would count as leaking it.
readerFor(uid)({ path: "/dev/null", trust: "home" });

function read(path: string, trust: Trust): string {
  const found = readerFor(uid)({ path, trust });
  if ("bytes" in found) return new TextDecoder().decode(found.bytes);
  return "absent" in found ? "absent" : found.refused;
}

function file(mode: number): string {
  const path = `${tmp()}/cordon.toml`;
  Deno.writeTextFileSync(path, "content");
  Deno.chmodSync(path, mode);
  return path;
}

Deno.test("file: what nobody else can write is read, everywhere", () => {
  for (const trust of ["named", "home", "directory"] as const) {
    assert.equal(read(file(0o644), trust), "content");
  }
});

Deno.test("file: what others can write is read only where it was named", () => {
  for (const mode of [0o664, 0o646, 0o666]) {
    const path = file(mode);
    assert.equal(read(path, "named"), "content");
    assert.match(read(path, "home"), /others than you can write it/);
    assert.match(read(path, "directory"), /others than you can write it/);
  }
});

Deno.test("file: a link is followed at home, and not in the working directory", () => {
  const path = file(0o600);
  const link = `${tmp()}/link`;
  Deno.symlinkSync(path, link);
  assert.equal(read(link, "home"), "content");
  assert.equal(read(link, "directory"), "it is a symbolic link");
});

Deno.test("file: nothing there, a directory, a FIFO that nobody writes", async () => {
  const directory = tmp();
  assert.equal(read(`${directory}/none`, "directory"), "absent");
  assert.equal(read(`${file(0o600)}/below`, "home"), "absent");
  Deno.chmodSync(directory, 0o755);
  assert.equal(read(directory, "directory"), "it is not a file");
  const { success } = await new Deno.Command("mkfifo", { args: ["-m", "600", `${directory}/fifo`] }).output();
  assert.ok(success);
  assert.equal(read(`${directory}/fifo`, "directory"), "it is not a file");
  assert.equal(read("/dev/null", "named"), "");
});

Deno.test("file: a size that no configuration has is refused", () => {
  const path = file(0o600);
  Deno.truncateSync(path, 300_000);
  assert.throws(() => read(path, "home"), CordonError);
});

test("file: of other owners root's is read at home, and nobody's in the working directory", {
  needs: [root],
}, () => {
  const path = file(0o644);
  Deno.chownSync(path, 4242, 4242);
  assert.equal(read(path, "named"), "content");
  for (const trust of ["home", "directory"] as const) {
    assert.equal(read(path, trust), "it belongs to uid 4242, not to you");
  }
  const ofRoot = readerFor(4242);
  const own = file(0o644);
  assert.ok("bytes" in ofRoot({ path: own, trust: "home" }));
  assert.deepEqual(ofRoot({ path: own, trust: "directory" }), { refused: "it belongs to uid 0, not to you" });
});
