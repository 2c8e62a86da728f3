/** Sandboxes on kernels before Linux 5.12, emulated: what is mounted, its flags, and the attacks on them. */
import assert from "node:assert/strict";
import { cordonArgv } from "../helpers/binary.ts";
import { everyone, ok, type Person, refused, rootOnly } from "../helpers/everyone.ts";
import { ordinaryUser, userns } from "../helpers/need.ts";
import { onOldKernel } from "../helpers/old_kernel.ts";
import { run } from "../helpers/run.ts";
import { asUserArgv } from "../helpers/user.ts";
import { connect, guest, readAll, start } from "./portwrap_running.ts";
import {
  attackDirectory,
  attackProgram,
  compiler,
  NAMESPACE_ROOT,
  outside,
  quote,
  worked,
} from "./security_attack.ts";

const needs = [compiler];
const prefix = onOldKernel();

/** Where a person may mount: a namespace of the test's own. */
const namespaceOf = (p: Person) =>
  p.name === "root" ? "unshare --mount --propagation private" : NAMESPACE_ROOT;

/** One has a name that the kernel writes in octal. */
const PLACES = ["", "/plain", "/no\\exec", "/deep/er", "/stack"];
/** Mounts of several kinds below a directory, with a file that anybody may write in each. */
const prepare = (dir: string) =>
  `cd ${dir}; mkdir plain 'no\\exec' deep stack
   mount -t tmpfs none plain; mount -t tmpfs -o noexec,noatime none 'no\\exec'
   mount -t tmpfs -o nosuid,nodev none deep; mkdir deep/er; mount -t tmpfs none deep/er
   mount -t tmpfs none stack; mount -t tmpfs none stack
   for at in . plain 'no\\exec' deep deep/er stack; do
     echo 1 > "$at/file"; chmod 666 "$at/file"; chmod 777 "$at"
   done
   cd /`;
const writes = (dir: string) =>
  PLACES.flatMap((place) =>
    ["open_for_writing", "create"].map((attack) => {
      return `${attack}:${dir}${place}/${attack === "create" ? "new" : "file"}`;
    })
  );
const undoes = (dir: string) =>
  PLACES.flatMap((place) => ["remount", "set_writable"].map((attack) => `${attack}:${dir}${place}`));
/** What takes attacks and meets them in a sandbox that has the directory for reading. */
const attacker = (dir: string) => {
  const mounts = `ro:${dir} ro:${attackDirectory()}`;
  return cordonArgv(["isolate", "-m", mounts, "--workdir", "/", "--", attackProgram()], { prefix });
};
/** What is inside, as the kernel lists it: root, place, flags and type of each mount. */
const LIST = ["sed", "-E", "s/^[0-9]+ [0-9]+ [^ ]+ (.*) - ([^ ]+) .*/\\1 \\2/", "/proc/self/mountinfo"];

everyone("an old kernel: read-only holds for all that is mounted below, and cannot be undone", async (p) => {
  const dir = p.dir(), writing = writes(dir), undoing = undoes(dir);
  worked(await outside(p, writing, { prefix: NAMESPACE_ROOT, prepare: prepare(dir) }));
  await p.sh("rm -rf file new plain 'no\\exec' deep stack", dir);
  const attacks = [...undoing, ...writing];
  const sandbox = [...attacker(dir), ...attacks].map(quote).join(" ");
  const script = `${prepare(dir)}; exec ${sandbox}`;
  const out = await p.sh(`HOME=/ ${namespaceOf(p)} sh -euc ${quote(script)}`, "/");
  const wanted = [
    ...undoing.map((attack) => `${attack} EPERM`),
    ...writing.map((attack) => `${attack} EROFS`),
  ];
  assert.equal(out, wanted.join("\n"));
}, { needs });

rootOnly("an old kernel: read-only holds for mounts of root's in a user's sandbox", async (p) => {
  const dir = p.dir();
  await p.sh(`chmod 755 .; mkdir closed; echo told > told`, dir);
  const writing = writes(dir), hidden = `${dir}/closed/in`;
  const list = [...cordonArgv(["isolate", "-m", `ro:${dir}`, "--workdir", "/", "--"], { prefix }), ...LIST];
  const attack = [...attacker(dir), ...writing, `create:${hidden}/new`];
  const script = `${prepare(dir)}; mkdir ${hidden}; mount -t tmpfs -o mode=777 none ${hidden}
    chmod 700 ${dir}/closed; export HOME=/; cd /
    ${asUserArgv(attack).map(quote).join(" ")}; echo; exec ${asUserArgv(list).map(quote).join(" ")}`;
  const out = await p.sh(`unshare --mount --propagation private sh -euc ${quote(script)}`, "/");
  const [effects = "", mounts = ""] = out.split("\n\n");
  const refusals = writing.map((attack) => `${attack} EROFS`);
  assert.equal(effects.trim(), [...refusals, `create:${hidden}/new EACCES`].join("\n"));
  const flagsOf = (place: string) =>
    mounts.split("\n").filter((line) => line.split(" ")[1] === place.replace("\\", "\\134")).at(-1)?.split(
      " ",
    )[2];
  assert.equal(flagsOf(dir)?.split(",")[0], "ro");
  assert.equal(flagsOf(`${dir}/no\\exec`), "ro,nosuid,nodev,noexec,noatime");
  assert.equal(flagsOf(`${dir}/deep/er`)?.split(",").slice(0, 3).join(), "ro,nosuid,nodev");
}, { needs: [...needs, ordinaryUser, userns] });

everyone("an old kernel: the same sandbox comes of it as on a new one", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a b a/in here; echo 1 > f; echo 1 > a/f; ln -s in a/link; ln -s /srv a/far", dir);
  const kinds =
    `ro:${dir}/a ${dir}/b ro:/f=${dir}/f tmp:/t copy:/c=${dir}/a copy:/cf=${dir}/f ro,copy:/rc=${dir}/b ` +
    `/h=none ${dir}/a/link=${dir}/b tmp:${dir}/a/far/../in ${dir}/a/f=none try:${dir}/absent dev:/z=/dev/zero`;
  const cases = [[], ["-m", kinds], ["--map-root", "--network", "host"]];
  for (const args of cases) {
    const look = async (options: { prefix?: string[] }) =>
      ok(await p.isolate([...args, "--workdir", "/", "--", ...LIST], { cwd: `${dir}/here`, ...options }))
        .split("\n")
        .sort();
    assert.deepEqual(await look({ prefix }), await look({}), args.join(" "));
  }
  const script = "cat /c/f /cf /f; cat /c/in/x 2>/dev/null; echo 2 >> /cf; cat /cf; id -u";
  const said = await p.isolate(["-m", kinds, "sh", "-c", script], { cwd: `${dir}/here`, prefix });
  assert.equal(ok(said), `1\n1\n1\n1\n2\n${p.uid}`);
  assert.equal(Deno.readTextFileSync(`${dir}/f`), "1\n");
});

everyone("an old kernel: a place that a mount came to after planning is not used", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir d d/sub", dir);
  const emit = ["isolate", "--emit", "image", "-m", `ro:${dir}/d`, "--", "echo", "ran"];
  const again = `${[...cordonArgv(emit, { prefix })].map(quote).join(" ")}; ./image
    mount -t tmpfs none d/sub; ./image 2>&1 || echo "status $?"`;
  const out = await p.sh(`HOME=/ ${namespaceOf(p)} sh -euc ${quote(again)}`, dir);
  assert.match(out, /^ran\ncordon: Something has been mounted [^\n]+\nstatus 125$/);
});

everyone("an old kernel: a server's port is carried", async (p) => {
  await using running = await start(p, guest("c.sendall(b'told')"), { prefix });
  using connection = await connect(running.ports[0]!);
  assert.equal(new TextDecoder().decode(await readAll(connection)), "told");
  running.signal("SIGTERM");
  assert.notEqual((await running.status).code, 0);
});

everyone("an old kernel: what it cannot do is told, and doctor finds nothing missing", async (p) => {
  const dir = p.dir();
  refused(
    await p.isolate(["-m", `overlay:${dir}`, "true"], { cwd: dir, prefix }),
    /cannot be an overlay on this machine/,
    /5\.12/,
  );
  const { code, stdout } = await p.isolate(["--check"], { cwd: dir, prefix });
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^ok +Read-only trees of mounts/m);
});

rootOnly("an old kernel: device nodes of the host keep their mode", async (p) => {
  const attack = ["isolate", "-m", `ro:${attackDirectory()}`, "--", attackProgram(), "change_mode_of_stdin"];
  const argv = cordonArgv(attack, { prefix }).map(quote).join(" ");
  for (const device of ["/dev/zero", "/dev/null"]) {
    assert.equal(await p.sh(`${argv} < ${device}`, "/"), "change_mode_of_stdin EROFS", device);
  }
}, { needs });

rootOnly("the emulation answers as an old kernel", async () => {
  const script = "import ctypes, sys; c = ctypes.CDLL(None, use_errno=True)\n" +
    "for call in (424, 435, 436, 437, 442): assert c.syscall(call, -1, 0, 0, 0, 0) == -1; print(ctypes.get_errno())";
  for (const argv of [["/usr/bin/python3", "-c", script], asUserArgv(["/usr/bin/python3", "-c", script])]) {
    assert.equal(ok(await run([...prefix, ...argv], { cwd: "/" })), "38\n38\n38\n38\n38");
  }
}, { needs: [ordinaryUser] });
