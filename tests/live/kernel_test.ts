/** Kernels in namespaces, with Jupyter from PyPI. */
import assert from "node:assert/strict";
import { everyone } from "../helpers/everyone.ts";
import { type Need, python, pythonModule } from "../helpers/need.ts";
import { Jupyter, KERNEL, kernelNeeds, kernelSuite } from "./kernel_suite.ts";

/** Debian's package tells Jupyter of it. */
const rKernel: Need = {
  what: "the R kernel of Debian's r-cran-irkernel",
  met: () => {
    try {
      return Deno.statSync("/usr/share/jupyter/kernels/ir/kernel.json").isFile;
    } catch {
      return "not installed";
    }
  },
};

const SETUP = ["--python", python];

everyone("kernels in namespaces", async (p, t) => {
  const jupyter = await Jupyter.with({ uid: p.uid, setup: SETUP });
  await kernelSuite((name, body) => t.step(name, body), jupyter);
}, { needs: kernelNeeds });

const USUAL = { transport: "tcp", ip: "127.0.0.1", key: "k", signature_scheme: "hmac-sha256" };
const CHANNELS = ["shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"];

/** A connection file with ports that were free just now. */
function connectionFile(directory: string, members: Record<string, unknown> = {}): string {
  const listeners = CHANNELS.map(() => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map(({ addr }, i) => [CHANNELS[i]!, (addr as Deno.NetAddr).port]);
  for (const listener of listeners) listener.close();
  const path = `${directory}/connection.json`;
  Deno.writeTextFileSync(path, JSON.stringify({ ...USUAL, ...Object.fromEntries(ports), ...members }));
  Deno.chmodSync(path, 0o644);
  return path;
}

/** What `cordon kernel launch` says of a connection file; it says so at once and the kernel never starts. */
const REFUSALS: [string, (directory: string) => string, RegExp][] = [
  [
    "a file that is not there",
    (d) => `${d}/none.json`,
    /^cordon: Connection file \/.*none\.json cannot be read\n/,
  ],
  ["a directory", (d) => d, /^cordon: Connection file .* cannot be read\n/],
  [
    "what is not JSON",
    (d) => (Deno.writeTextFileSync(`${d}/x.json`, "{"), Deno.chmodSync(`${d}/x.json`, 0o644), `${d}/x.json`),
    /is not JSON\n/,
  ],
  [
    "a port that is none",
    (d) => connectionFile(d, { hb_port: 70_000 }),
    /has no usable hb_port\nit is 70000/,
  ],
  [
    "a registration file",
    (d) => {
      const path = `${d}/registration.json`;
      const members = { kernel_protocol_version: "5.6", registration_port: 4000, session_id: "s" };
      Deno.writeTextFileSync(path, JSON.stringify({ ...USUAL, ...members }));
      Deno.chmodSync(path, 0o644);
      return path;
    },
    /has no usable shell_port\n.*registration file\) is not supported\n\nhint: /,
  ],
  [
    "an address of the outer world",
    (d) => connectionFile(d, { ip: "192.0.2.7" }),
    /expects the kernel at 192\.0\.2\.7\n.*loopback.*\n\nhint: /,
  ],
];

everyone("a launch that cannot be says why", async (p, t) => {
  const launch = (file: string, kernel: string[]) =>
    p.cordon(["kernel", "launch", "-f", file, "--", ...kernel, "-f", file], { cwd: p.dir() });
  for (const [name, make, expected] of REFUSALS) {
    await t.step(name, async () => {
      const file = make(p.dir());
      const { code, stdout, stderr } = await launch(file, ["touch", "started"]);
      assert.deepEqual({ code, stdout }, { code: 125, stdout: "" }, stderr);
      assert.match(stderr, expected);
    });
  }
  await t.step("a port that is taken", async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = taken.addr as Deno.NetAddr;
    const { code, stderr } = await launch(connectionFile(p.dir(), { iopub_port: port }), ["true"]);
    assert.equal(code, 125);
    assert.match(stderr, new RegExp(`^cordon: Cannot listen on 127.0.0.1 port ${port}: EADDRINUSE`));
  });
  await t.step("a Python without ipykernel", async () => {
    const { code, stderr } = await launch(connectionFile(p.dir()), [
      "/usr/bin/python3",
      "-m",
      "ipykernel_launcher",
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /^\/usr\/bin\/python3: No module named ipykernel_launcher\n$/);
  });
  await t.step("a program that is not there", async () => {
    const { code, stderr } = await launch(connectionFile(p.dir()), ["/nonexistent/python"]);
    assert.equal(code, 127);
    assert.match(stderr, /^cordon: .*\/nonexistent\/python.*\n/);
  });
});

everyone("kernels of other kinds in namespaces", async (p, t) => {
  const jupyter = await Jupyter.with({ uid: p.uid, setup: SETUP });
  const play = (name: string, ...args: string[]) =>
    jupyter.run([python, `${jupyter.home}/kernel_kinds.py`, name, ...args]);
  const cases: [string, string[], string[], string][] = [
    ["r", ["--from-kernel", "ir"], ["cat(6 * 7, R.version$language)", "Sys.sleep(600)"], "42 R"],
    [
      "bash",
      ["--language", "bash", "--kernel-cmd", `${python} -m bash_kernel -f {connection_file}`],
      ["echo $((6 * 7))", "sleep 600"],
      "42\n",
    ],
    ["plain-tcp", [...SETUP, "--transport", "tcp"], ["print(6 * 7)", "import time; time.sleep(600)"], "42\n"],
  ];
  for (const [name, setup, [code, long], expected] of cases) {
    await t.step(name, async () => {
      await jupyter.setup(name, setup);
      const { stdout, stderr } = await play(name, code!, long!);
      // R may still say this when the interrupt that begins a shutdown meets it.
      const said = name === "r" ? stdout.replace(String.raw`\nExecution halted\n`, "") : stdout;
      assert.deepEqual([said, stderr], [JSON.stringify([expected, [], ""]) + "\n", ""]);
    });
  }
  await t.step("a client that uses ipc itself", async () => {
    const { stdout, stderr } = await play(KERNEL, "print(6 * 7)", "import time; time.sleep(600)", "ipc");
    assert.deepEqual([stdout, stderr], [JSON.stringify(["42\n", [], ""]) + "\n", ""]);
  });
  await t.step("one whose files are partly hidden, on a copy, elsewhere", async () => {
    Deno.mkdirSync(`${jupyter.work}/answers`);
    Deno.writeTextFileSync(`${jupyter.work}/answers/one`, "42");
    Deno.writeTextFileSync(`${jupyter.work}/data.csv`, "1,2");
    Deno.writeTextFileSync(`${jupyter.work}/kept`, "3");
    await jupyter.setup("hidden", [
      ...[...SETUP, "--copy-workdir", "--workdir", "/course", "--hide", "*.csv", "--hide", "answers"],
      ...["--env", "COLOUR=blue", "--mount", `${jupyter.home}/data:/data:ro`],
      ...["--mount", `${jupyter.home}/data:/mine:copy`],
    ]);
    const code =
      "import os, pathlib; there = lambda n: pathlib.Path(n).read_text() if os.path.isfile(n) else None\n" +
      "pathlib.Path('new').write_text('x')\n" +
      "print(os.getcwd(), there('kept'), there('answers/one'), there('data.csv') or None, os.environ['COLOUR'])\n" +
      "print(open('/data/d').read(), os.access('/data/d', os.W_OK))\n" +
      "print(pathlib.Path('/mine/d').write_text('changed'))";
    Deno.mkdirSync(`${jupyter.home}/data`);
    Deno.writeTextFileSync(`${jupyter.home}/data/d`, "data");
    const { stdout, stderr } = await play("hidden", code, "import time; time.sleep(600)");
    const said = "/course 3 None None blue\ndata False\n7\n";
    assert.deepEqual([stdout, stderr], [JSON.stringify([said, [], ""]) + "\n", ""]);
    assert.throws(() => Deno.statSync(`${jupyter.work}/new`), Deno.errors.NotFound);
    assert.equal(Deno.readTextFileSync(`${jupyter.home}/data/d`), "data");
  });
}, { needs: [...kernelNeeds, pythonModule("bash_kernel"), rKernel] });

everyone("a kernel beyond its memory limit", async (p) => {
  const jupyter = await Jupyter.with({ uid: p.uid, setup: SETUP });
  await jupyter.setup("small", [...SETUP, "--memory", "300m", "--best-effort"]);
  const code = "x = bytearray(600 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1";
  const { stdout, stderr } = await jupyter.run([python, `${jupyter.home}/kernel_memory.py`, "small", code]);
  const [ended, said] = JSON.parse(stdout || `["${stderr.replaceAll(/["\n]/g, " ")}", ""]`);
  // As root a control group ends it; elsewhere the allocation fails.
  if (ended === "MemoryError") return assert.equal(said, "");
  assert.equal(ended, 137);
  assert.match(said, /^cordon: .*memory/);
});
