import assert from "node:assert/strict";
import { parseIsolateSh } from "../../../cmd/legacy/isolate-sh.options.ts";
import { UsageError } from "../../../lib/errors.ts";

const DEFAULTS = {
  mounts: ".",
  mountsFrom: "default",
  verbose: false,
  network: "none",
  tmpBytes: 32 * 2 ** 20,
  quiet: false,
  command: [],
};

const CASES: { argv: string[]; env?: Record<string, string>; differs: object }[] = [
  { argv: [], differs: {} },
  { argv: ["-m", "a ro:b"], differs: { mounts: "a ro:b", mountsFrom: "-m" } },
  { argv: ["--mnt", "a", "-m", "b"], differs: { mounts: "b", mountsFrom: "-m" } },
  { argv: ["-v"], differs: { verbose: true } },
  { argv: ["-b", "/x"], differs: { baseDir: "/x" } },
  { argv: ["--no-net"], differs: { network: "host" } },
  { argv: ["--", "-v"], differs: { command: ["-v"] } },
  { argv: ["--", "--", "x"], differs: { command: ["--", "x"] } },
  { argv: ["python", "-v", "--"], differs: { command: ["python", "-v", "--"] } },
  { argv: ["-v", "--bogus", "-m", "x"], differs: { verbose: true, command: ["--bogus", "-m", "x"] } },
  { argv: ["-h"], differs: { command: ["-h"] } },
  { argv: ["-m=x"], differs: { command: ["-m=x"] } },
  { argv: [""], differs: { command: [""] } },
  { argv: ["-m", "--"], differs: { mounts: "--", mountsFrom: "-m" } },
  { argv: [], env: { MNTDIRS: "p q" }, differs: { mounts: "p q", mountsFrom: "MNTDIRS" } },
  { argv: [], env: { MNTDIRS: "" }, differs: {} },
  { argv: ["-m", "x"], env: { MNTDIRS: "p" }, differs: { mounts: "x", mountsFrom: "-m" } },
  { argv: ["-m", ""], env: { MNTDIRS: "p" }, differs: {} },
  {
    argv: [],
    env: { NI_BASEDIR: "/n", NI_TMPFS_SIZE: "1G", NI_QUIET: "1", VERBOSE: "x" },
    differs: { baseDir: "/n", tmpBytes: 2 ** 30, quiet: true, verbose: true },
  },
  { argv: ["-b", "/x"], env: { NI_BASEDIR: "/n" }, differs: { baseDir: "/x" } },
  { argv: [], env: { NI_BASEDIR: "", NI_TMPFS_SIZE: "", NI_QUIET: "", VERBOSE: "" }, differs: {} },
];
for (const { argv, env = {}, differs } of CASES) {
  Deno.test(`isolate.sh ${JSON.stringify(argv)} ${JSON.stringify(env)}`, () => {
    assert.deepEqual(parseIsolateSh(argv, env), { ...DEFAULTS, ...differs });
  });
}

Deno.test("isolate.sh: an option without its value, and a size that is none, are refused", () => {
  assert.throws(() => parseIsolateSh(["-m"], {}), UsageError);
  assert.throws(() => parseIsolateSh(["-v", "-b"], {}), UsageError);
  assert.throws(() => parseIsolateSh([], { NI_TMPFS_SIZE: "x" }), UsageError);
});

Deno.test("isolate.sh: the arguments given are left as they were", () => {
  const argv = ["-v", "x"];
  parseIsolateSh(argv, {});
  assert.deepEqual(argv, ["-v", "x"]);
});
