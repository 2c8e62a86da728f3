import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { readTar, type TarEntry, writeTar } from "../../../lib/docker/tar.ts";
import { CordonError } from "../../../lib/errors.ts";

const LONG = `deep/${"ü".repeat(80)}/${"x".repeat(120)}`;
const ENTRIES: TarEntry[] = [
  { name: "etc/", type: "directory", mode: 0o700, uid: 1000, gid: 1001, mtime: 1_700_000_000 },
  { name: "etc/motd", type: "file", mode: 0o644, uid: 0, gid: 0, mtime: 0, data: Buffer.from("héllo\n") },
  { name: "etc/block", type: "file", mode: 0o755, uid: 0, gid: 0, mtime: 0, data: Buffer.alloc(512, "a") },
  { name: "link", type: "symlink", mode: 0o777, uid: 0, gid: 0, mtime: 0, target: "etc/motd" },
  { name: LONG, type: "file", mode: 0o600, uid: 0, gid: 0, mtime: 0, data: Buffer.from("deep") },
];

const plain = (entries: Iterable<TarEntry>) =>
  [...entries].map(({ data, ...rest }) => ({ ...rest, data: data && Buffer.from(data).toString() }));

Deno.test("what is written is read back", () => {
  assert.deepEqual(plain(readTar(writeTar(ENTRIES))), plain(ENTRIES));
});

Deno.test("tar(1) reads what is written, and its archives are read", async () => {
  const directory = await Deno.makeTempDir({ prefix: "cordon-tar-" });
  try {
    await Deno.writeFile(join(directory, "a.tar"), writeTar(ENTRIES));
    const tar = async (...args: string[]) => {
      const { success, stdout, stderr } = await new Deno.Command("tar", { args, cwd: directory }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      return stdout;
    };
    await tar("-xf", "a.tar", "--no-same-owner");
    assert.equal(await Deno.readTextFile(join(directory, "link")), "héllo\n");
    assert.equal(await Deno.readTextFile(join(directory, LONG)), "deep");
    const made = await tar("-cf", "-", "--format=pax", "link", LONG, "etc/motd");
    const names = [...readTar(made)].map(({ name }) => name);
    assert.deepEqual(names, ["link", LONG, "etc/motd"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("what is no archive is refused", () => {
  assert.throws(() => [...readTar(new Uint8Array(1024).fill(65))], CordonError);
  const whole = writeTar(ENTRIES);
  assert.throws(() => [...readTar(whole.subarray(0, 512 + 512 + 3))], CordonError);
  assert.deepEqual([...readTar(new Uint8Array(0))], []);
});
