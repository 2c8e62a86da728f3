import assert from "node:assert/strict";
import { isolate, readIsolate } from "../../../cmd/isolate.options.ts";
import { DEFAULT_TMP_BYTES } from "../../../cmd/shared.options.ts";
import { parseCommand } from "../../../lib/cli/parse.ts";
import { UsageError } from "../../../lib/errors.ts";

function read(argv: string[], env: Record<string, string> = {}) {
  const result = parseCommand(isolate, argv);
  assert.ok("parsed" in result);
  return readIsolate(result.parsed, env);
}

Deno.test("nothing typed: the safe defaults", () => {
  assert.deepEqual(read([]), {
    mounts: [{ list: ".", from: "default" }],
    verbose: false,
    mapRoot: false,
    env: [],
    keepEnv: [],
    keepFds: [],
    rawStdio: false,
    network: "none",
    allow: [],
    nested: false,
    sys: false,
    limits: { tmpBytes: DEFAULT_TMP_BYTES, bestEffort: false },
    action: { kind: "run" },
    command: [],
  });
});

Deno.test("every option arrives", () => {
  const argv = [
    ...[
      "-m",
      "a ro:b",
      "--mount",
      '{"dest":"/c d"}',
      "-m=e",
      "-b",
      "/base",
      "-v",
      "--workdir",
      "w",
      "--map-root",
    ],
    ...[
      "--hostname",
      "box",
      "--env",
      "A=1",
      "--env",
      "B",
      "--keep-env",
      "S_*",
      "--keep-fd",
      "5",
      "--keep-fd",
      "5",
    ],
    ...["--raw-stdio", "--network", "pasta", "--allow", "h:1", "--seccomp", "s.json", "--nested", "--sys"],
    ...[
      "--memory",
      "64M",
      "--pids",
      "9",
      "--cpus",
      "0.5",
      "--file-size",
      "1K",
      "--time",
      "2m",
      "--cpu-time",
      "1.5",
    ],
    ...[
      "--output",
      "1M",
      "--tmp-size",
      "1G",
      "--core",
      "0",
      "--best-effort",
      "--result",
      "fd:4",
      "--emit",
      "f",
    ],
    ...["prog", "--memory", "-m"],
  ];
  assert.deepEqual(read(argv), {
    mounts: [
      { list: "a ro:b", from: "--mnt" },
      { json: '{"dest":"/c d"}', from: "--mount" },
      { list: "e", from: "--mnt" },
    ],
    baseDir: "/base",
    verbose: true,
    workdir: "w",
    mapRoot: true,
    hostname: "box",
    env: [{ name: "A", value: "1" }, { name: "B" }],
    keepEnv: ["S_*"],
    keepFds: [5],
    rawStdio: true,
    network: "pasta",
    allow: ["h:1"],
    seccompFile: "s.json",
    nested: true,
    sys: true,
    limits: {
      memoryBytes: 64 * 2 ** 20,
      pids: 9,
      cpus: 0.5,
      fileBytes: 1024,
      wallSeconds: 120,
      cpuSeconds: 1.5,
      outputBytes: 2 ** 20,
      tmpBytes: 2 ** 30,
      coreBytes: 0,
      bestEffort: true,
    },
    result: { fd: 4 },
    action: { kind: "emit", file: "f" },
    command: ["prog", "--memory", "-m"],
  });
});

const OLD = { MNTDIRS: "x ro:y", NI_BASEDIR: "/nb", NI_TMPFS_SIZE: "8M", VERBOSE: "1" };

Deno.test("the original's variables are defaults", () => {
  const options = read([], OLD);
  assert.deepEqual(options.mounts, [{ list: "x ro:y", from: "MNTDIRS" }]);
  assert.equal(options.baseDir, "/nb");
  assert.equal(options.limits.tmpBytes, 8 * 2 ** 20);
  assert.equal(options.verbose, true);
});

Deno.test("explicit options win over the variables", () => {
  const options = read(["-m", "z", "-b", "/b", "--tmp-size", "1M"], OLD);
  assert.deepEqual(options.mounts, [{ list: "z", from: "--mnt" }]);
  assert.equal(options.baseDir, "/b");
  assert.equal(options.limits.tmpBytes, 2 ** 20);
  assert.deepEqual(read(["--mount", "{}"], OLD).mounts, [{ json: "{}", from: "--mount" }]);
});

Deno.test("empty variables are no variables", () => {
  const options = read([], { MNTDIRS: " ", NI_BASEDIR: "", NI_TMPFS_SIZE: "", VERBOSE: "" });
  assert.deepEqual(options, read([]));
});

const REFUSED: { argv: string[]; env?: Record<string, string>; message: RegExp; hint?: string }[] = [
  { argv: ["--no-net", "true"], message: /--no-net/, hint: "cordon isolate --network host" },
  { argv: ["-m", ""], message: /Cannot use "" for -m/ },
  { argv: ["-m="], message: /Cannot use "" for -m/ },
  { argv: ["-m", "  "], message: /for -m/ },
  { argv: ["-b", ""], message: /"" for -b/ },
  { argv: ["--workdir", ""], message: /--workdir/ },
  { argv: ["--network", "bridge"], message: /"bridge" for --network/ },
  { argv: ["--memory", "-1"], message: /"-1" for --memory/ },
  { argv: ["--memory", "0"], message: /"0" for --memory/ },
  { argv: ["--tmp-size", "0"], message: /"0" for --tmp-size/ },
  { argv: ["--pids", "4194305"], message: /--pids/ },
  { argv: ["--time", "0"], message: /--time/ },
  { argv: ["--keep-fd", "1"], message: /"1" for --keep-fd/ },
  { argv: ["--explain", "--check"], message: /--explain and --check/ },
  { argv: ["--emit", "f", "--explain"], message: /--explain and --emit/ },
  { argv: ["--memroy", "1M"], message: /Unknown option "--memroy"/ },
  { argv: [], env: { NI_TMPFS_SIZE: "lots" }, message: /"lots" for NI_TMPFS_SIZE/ },
];
for (const { argv, env, message, hint } of REFUSED) {
  Deno.test(`refused: ${JSON.stringify(argv)} ${env ? JSON.stringify(env) : ""}`, () => {
    assert.throws(() => read(argv, env), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      if (hint !== undefined) assert.equal(error.hint, hint);
      return true;
    });
  });
}
