/** The status: the target's own passes, and what cordon says when there is none. */
import assert from "node:assert/strict";
import { cordonArgv, executable } from "../helpers/binary.ts";
import { everyone, ok, type Person, refused } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";
import { PYTHON } from "../helpers/pty.ts";

/** Saves a sandbox that runs `sh -c $1`'s text from a file in `dir`: hundreds of starts are then quick. */
async function saved(p: Person, dir: string): Promise<string> {
  ok(await p.cordon(["isolate", "--emit", "image", "--core", "0", "--", "sh", "./script"], { cwd: dir }));
  return `${dir}/image`;
}

everyone("every exit status passes", async (p) => {
  const dir = p.dir();
  await saved(p, dir);
  const loop = 'i=0; while [ $i -lt 256 ]; do echo "exit $i" >script; ./image; echo $?; i=$((i+1)); done';
  assert.equal(await p.sh(`set +e; ${loop}`, dir), Array.from({ length: 256 }, (_, i) => i).join("\n"));
});

for (const status of [0, 1, 2, 124, 125, 126, 127, 128, 137, 255]) {
  everyone(`exit ${status} passes through the executable`, async (p) => {
    const { code, signal, stderr } = await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", `exit ${status}`]);
    assert.deepEqual({ code, signal, stderr }, { code: status, signal: null, stderr: "" });
  });
}

/** Prints wait(2)'s view of each death: `signal core`. */
const WAITER = `
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores these two
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)[1:] * 2)
for number in map(int, sys.argv[2].split(",")):
    with open("script", "w") as file:
        file.write("kill -%d $$" % number)
    pid = os.fork()
    if pid == 0:
        os.execvp(sys.argv[1], [sys.argv[1]] + sys.argv[3:])
    _, status = os.waitpid(pid, 0)
    print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -1, int(os.WCOREDUMP(status)))
`;
/** Those that end a process; the last two are real-time signals. */
const DEADLY = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31, 34, 64];

everyone("death by each signal passes, without a core file of cordon's own", async (p) => {
  const dir = p.dir();
  await saved(p, dir);
  await Deno.writeTextFile(`${dir}/waiter.py`, WAITER);
  const out = await p.sh(`${PYTHON} waiter.py ./image ${DEADLY.join(",")}`, dir);
  assert.deepEqual(out.split("\n"), DEADLY.map((signal) => `${signal} 0`));
  assert.deepEqual([...Deno.readDirSync(dir)].filter(({ name }) => name.startsWith("core")), []);
  // The fault: whoever dies in the target's way by default may leave a core of its own, of the monitor's memory.
  const plain = await p.sh(
    `ulimit -c unlimited && ${PYTHON} waiter.py sh 11 ./script || echo no cores here`,
    dir,
  );
  assert.match(plain, /^11 [01]$|no cores here/m);
}, { needs: [program(PYTHON)] });

everyone("a shell sees 128 + N", async (p) => {
  const out = await p.sh(
    `${executable()} isolate -m ro:/usr -- sh -c 'kill -15 $$' 2>/dev/null || echo $?`,
    p.dir(),
  );
  assert.equal(out, "143");
  const inner = await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", "sh -c 'kill -11 $$'; exit $?"]);
  assert.deepEqual([inner.code, inner.signal], [139, null]);
});

// ---------------------------------------------------------------------------------------------- finding the program

everyone("a program that is not there: 127", async (p) => {
  for (const name of ["no-such-program", "/no/such/program", "./no-such-program", "/usr/bin/true/x"]) {
    const { code, stdout, stderr } = await p.isolate(["-m", "ro:/usr", "--", name]);
    assert.deepEqual([code, stdout, stderr], [127, "", `cordon: ${name} is not found inside the sandbox\n`]);
  }
});

everyone("a program that cannot be executed: 126, with the reason", async (p) => {
  const dir = p.dir();
  await p.sh(
    "echo text >plain; mkdir directory; printf '#!/no/such/sh\\n' >script; printf '\\177ELF' >broken",
    dir,
  );
  await p.sh("chmod +x script broken", dir);
  const cases: [string, string][] = [
    ["./plain", "permission denied"],
    ["./directory", "permission denied"],
    ["./broken", "not a program of this machine"],
    ["./script", "the interpreter or loader it names is not inside the sandbox"],
  ];
  for (const [name, why] of cases) {
    const { code, stderr } = await p.isolate(["--", name], { cwd: dir });
    assert.deepEqual([code, stderr], [126, `cordon: ${name} cannot be executed: ${why}\n`]);
  }
});

everyone("a script without #! runs in sh, with its arguments", async (p) => {
  const dir = p.dir();
  await p.sh("echo 'echo script $0 $#: $1 $2' >tool; chmod +x tool", dir);
  assert.equal(
    ok(await p.isolate(["--", "./tool", "one", "two words"], { cwd: dir })),
    "script ./tool 2: one two words",
  );
  const env = { PATH: `${dir}:/usr/bin:/bin` };
  assert.equal(ok(await p.isolate(["--", "tool"], { cwd: dir, env })), `script ${dir}/tool 0:`);
});

everyone("the path inside is searched: order, what cannot be executed, empty entries", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a b; echo 'echo a' >a/tool; echo 'echo b' >b/tool; echo 'echo here' >tool", dir);
  const at = (...path: string[]) => p.isolate(["--", "tool"], { cwd: dir, env: { PATH: path.join(":") } });
  // Found, and not executable: remembered, unless there is another further on.
  const { code, stderr } = await at(`${dir}/a`, "/usr/bin");
  assert.deepEqual([code, stderr], [126, "cordon: tool cannot be executed: permission denied\n"]);
  await p.sh("chmod +x b/tool", dir);
  assert.equal(ok(await at(`${dir}/none`, `${dir}/a`, `${dir}/b`, "/bin")), "b");
  await p.sh("chmod +x a/tool tool", dir);
  assert.equal(ok(await at(`${dir}/a`, `${dir}/b`, "/bin")), "a");
  assert.equal(ok(await at("/nowhere", "", "/bin")), "here");
  assert.equal(ok(await at("/bin", ".")), "here");
});

everyone("without a path, or with an empty one, the usual directories are searched", async (p) => {
  for (const PATH of [undefined, ""]) {
    const argv = [
      "env",
      ...(PATH === undefined ? ["-u", "PATH"] : ["PATH="]),
      ...cordonArgv(["isolate", "--", "true"]),
    ];
    assert.equal(await p.sh(`${argv.join(" ")}; echo $?`, p.dir()), "0");
  }
});

everyone("an argument list of 1 MiB arrives; one that is too long is said to be", async (p) => {
  const words = Array.from({ length: 10_500 }, (_, i) => `${i}`.padStart(99, "x"));
  const out = await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", 'echo $# "$1" ${#*}', "sh", ...words]);
  assert.equal(ok(out), `10500 ${words[0]} ${10_500 * 100 - 1}`);
  const long = "x".repeat(131_070); // the longest single argument: MAX_ARG_STRLEN of execve(2)
  assert.equal(ok(await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", "echo ${#1}", "sh", long])), "131070");
  const script = `ulimit -s 512; ${executable()} isolate -m ro:/usr -- sh -c 'exit 0' sh $(seq 9000)`;
  const { code, stderr } = await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", "true"]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(await p.sh(`(${script}) 2>&1; echo $?`, p.dir()), /^0$|126$/);
});

// ---------------------------------------------------------------------------------------------- failures of set-up

const TOUCH = ["--", "touch", "ran"];

everyone("a set-up that fails says so in one line and never runs the target", async (p) => {
  const dir = p.dir();
  refused(
    await p.isolate(["--workdir", "/no/such", ...TOUCH], { cwd: dir }),
    /^cordon: Enter \/no\/such: ENOENT \(.*\)\n$/,
  );
  refused(
    await p.isolate(["--keep-fd", "77", ...TOUCH], { cwd: dir }),
    /^cordon: Keep descriptor 77: EBADF \(.*\)\n$/,
  );
  refused(await p.isolate(["-b", "/no/such", ...TOUCH], { cwd: dir }), /\/no\/such/);
  assert.deepEqual([...Deno.readDirSync(dir)], []);
});

everyone("too few descriptors or processes: one line, and the target does not run", async (p) => {
  const dir = p.dir();
  const emit = ["isolate", "--emit", "image", "--time", "9", "--output", "1M", "--", "touch", "ran"];
  ok(await p.cordon(emit, { cwd: dir }));
  const seen = new Set<string>();
  for (let n = 3; n < 20; n++) {
    const out = await p.sh(`(ulimit -n ${n}; exec ./image) 2>&1 && echo "status 0" || echo "status $?"`, dir);
    const ran = await p.sh("test -e ran && rm ran && echo ran || :", dir);
    if (ran === "ran") {
      assert.equal(out, "status 0", `with ${n} descriptors`);
      continue;
    }
    assert.match(
      out,
      /^cordon: [^\n]+: (EMFILE|EBADF|EINVAL) \([^\n]*\)\nstatus 125$/,
      `with ${n} descriptors`,
    );
    seen.add(out);
  }
  assert.ok(seen.size >= 3, `several steps fail: ${[...seen].join("\n")}`);
  if (p.name === "root") return; // the kernel exempts root
  const out = await p.sh(`bash -c "ulimit -u 1; exec ./image" 2>&1 || echo "status $?"`, dir);
  assert.match(out, /^cordon: (Create namespaces|Start [^\n]+): EAGAIN \([^\n]*\)\nstatus 125$/);
  assert.equal(await p.sh("test -e ran && echo ran || echo not", dir), "not");
});

everyone("--verbose tells each step, on stderr", async (p) => {
  const dir = p.dir();
  const { code, stdout, stderr } = await p.isolate(["-v", "--", "echo", "hello"], { cwd: dir });
  assert.equal(code, 0);
  assert.equal(stdout, "hello\n");
  const lines = stderr.trim().split("\n");
  for (const line of lines) assert.match(line, /^cordon: \S/);
  for (
    const step of ["create namespaces", `mount ${dir}`, "make it the root", "install the seccomp filter"]
  ) {
    assert.ok(lines.includes(`cordon: ${step}`), step);
  }
  assert.equal(lines.filter((line) => line === "cordon: start the target").length, 1);
  const often = lines.filter((line) => lines.filter((other) => other === line).length > 10);
  assert.deepEqual(often, []);
});

everyone("--verbose through a file says no more than on a pipe", async (p) => {
  const dir = p.dir();
  await p.sh(
    `${executable()} isolate -v -- sh -c 'for i in 1 2 3 4 5 6; do echo $i; sleep 0.01; done' >out 2>err`,
    dir,
  );
  assert.equal(Deno.readTextFileSync(`${dir}/out`), "1\n2\n3\n4\n5\n6\n");
  assert.doesNotMatch(Deno.readTextFileSync(`${dir}/err`), /Write to stdout/);
});
