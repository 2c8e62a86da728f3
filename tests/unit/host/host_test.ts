import assert from "node:assert/strict";
import {
  describeUser,
  gatherHost,
  INFINITY,
  parseEnviron,
  parseGroups,
  parseKernel,
  parseRlimits,
  parseTasks,
} from "../../../lib/host/host.ts";
import { encodeOs } from "../../../lib/host/bytes.ts";

// libc stays open for the process; opened inside a test it would count as leaked.
gatherHost();

const utf8 = new TextEncoder();
const PASSWD =
  "root:x:0:0:root:/root:/bin/bash\nann:x:1000:100:Ann:/u/ann:/bin/zsh\nbob:x:1001:1000::/u/bob:\n";
const GROUP = "root:x:0:\nusers:x:100:ann\nstudents:x:1000:\n";

Deno.test("the environment keeps bytes that are not UTF-8, and entries with several equals signs", () => {
  const bytes = new Uint8Array([...utf8.encode("A=1=2\0B="), 0xff, 0x41, 0, ...utf8.encode("C=ü\0D=")]);
  const env = parseEnviron(bytes);
  assert.deepEqual({ ...env }, { A: "1=2", B: "\udcffA", C: "ü", D: "" });
  assert.deepEqual([...encodeOs(env["B"]!)], [0xff, 0x41]);
});

Deno.test("the first of a repeated variable counts, and names of object properties are plain names", () => {
  const env = parseEnviron(utf8.encode("A=1\0A=2\0__proto__=x\0toString=y\0junk\0=z\0"));
  assert.deepEqual(Object.entries(env), [["A", "1"], ["__proto__", "x"], ["toString", "y"]]);
});

Deno.test("an empty environment is empty", () => {
  assert.deepEqual(Object.keys(parseEnviron(new Uint8Array())), []);
});

Deno.test("supplementary groups are read from the status file", () => {
  assert.deepEqual(parseGroups("Gid:\t1\t1\t1\t1\nFDSize:\t64\nGroups:\t4 100 1000 \nNStgid:\t1\n"), [
    4,
    100,
    1000,
  ]);
  assert.deepEqual(parseGroups("Groups:\t\n"), []);
});

Deno.test("names come from the user database by number, not by a number elsewhere in the line", () => {
  const described = describeUser({ uid: 1000, gid: 1000, env: {}, passwd: PASSWD, groupFile: GROUP });
  assert.deepEqual(described, { user: "ann", group: "students", home: "/u/ann", shell: "/bin/zsh" });
});

Deno.test("HOME and SHELL of the session win over the user database", () => {
  const env = { HOME: "/m/home/ann", SHELL: "/usr/bin/fish", USER: "other" };
  const described = describeUser({ uid: 1000, gid: 100, env, passwd: PASSWD, groupFile: GROUP });
  assert.deepEqual(described, { user: "ann", group: "users", home: "/m/home/ann", shell: "/usr/bin/fish" });
});

Deno.test("a user of a directory service is named by the environment", () => {
  const from = { uid: 70000, gid: 70000, passwd: PASSWD, groupFile: GROUP };
  assert.equal(describeUser({ ...from, env: { USER: "carol" } }).user, "carol");
  assert.equal(describeUser({ ...from, env: { USER: "a:b", LOGNAME: "dave" } }).user, "dave");
  assert.deepEqual(describeUser({ ...from, env: { HOME: "relative" } }), {
    user: "user",
    group: "user",
    home: "/",
    shell: "/bin/sh",
  });
});

Deno.test("an account without a shell has /bin/sh", () => {
  assert.equal(
    describeUser({ uid: 1001, gid: 1, env: {}, passwd: PASSWD, groupFile: GROUP }).shell,
    "/bin/sh",
  );
});

Deno.test("kernel releases of distributions are understood", () => {
  assert.deepEqual(parseKernel("4.18.0-553.el8_10.x86_64"), {
    release: "4.18.0-553.el8_10.x86_64",
    major: 4,
    minor: 18,
  });
  assert.throws(() => parseKernel("nonsense"), /"nonsense"/);
});

Deno.test("resource limits keep soft and hard, unlimited included", () => {
  const limits = parseRlimits(
    "Limit                     Soft Limit           Hard Limit           Units     \n" +
      "Max core file size        0                    unlimited            bytes     \n" +
      "Max processes             4096                 96365                processes \n",
  );
  assert.deepEqual(limits.CORE, { soft: 0n, hard: INFINITY });
  assert.deepEqual(limits.NPROC, { soft: 4096n, hard: 96365n });
  assert.deepEqual(limits.DATA, { soft: INFINITY, hard: INFINITY });
});

Deno.test("all tasks of the machine are the second number of the load", () => {
  assert.equal(parseTasks("0.10 0.20 0.30 2/1234 5678\n"), 1234);
});

Deno.test("this machine describes itself as id(1) and uname(1) do", () => {
  const run = (program: string, ...args: string[]) =>
    new TextDecoder().decode(new Deno.Command(program, { args }).outputSync().stdout).trim();
  const host = gatherHost();
  assert.equal(host.uid, Number(run("id", "-u")));
  assert.equal(host.gid, Number(run("id", "-g")));
  const groups = run("id", "-G").split(" ").map(Number);
  assert.deepEqual(new Set([host.gid, ...host.groups]), new Set(groups));
  assert.equal(host.kernel.release, run("uname", "-r"));
  assert.equal(host.arch, run("uname", "-m"));
  assert.equal(host.cwd, Deno.cwd());
  assert.equal(host.env["PATH"], Deno.env.get("PATH"));
  assert.ok(host.tasks > 0);
});
