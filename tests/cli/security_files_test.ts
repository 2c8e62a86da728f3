/** Reaching files that were not given, or writing to those given for reading: works outside, fails inside. */
import assert from "node:assert/strict";
import { cordonArgv } from "../helpers/binary.ts";
import { everyone, ok, rootOnly, userOnly } from "../helpers/everyone.ts";
import { root } from "../helpers/need.ts";
import {
  attackDirectory,
  attackProgram,
  compiler,
  inside,
  NAMESPACE_ROOT,
  outside,
  quote,
  worked,
} from "./security_attack.ts";

const needs = [compiler];

/** Every attack meets this. */
function all(attacks: readonly string[], effect: string): Record<string, string> {
  return Object.fromEntries(attacks.map((attack) => [attack, effect]));
}

everyone("files that were not named are not there", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir shown; echo secret > secret; echo told > shown/told", dir);
  const attacks = [
    `read_file:${dir}/secret`,
    `read_file:${dir}/shown/../secret`,
    `read_file:/proc/self/root${dir}/secret`,
    `read_file:/proc/self/cwd/../secret`,
    "read_file:/etc/fstab",
    "read_file:/etc/shadow",
    "read_file:/boot/.",
    "read_file:/sys/.",
  ];
  const own = attacks.filter((attack) => attack.includes("secret"));
  worked(await outside(p, own, { cwd: `${dir}/shown` }));
  assert.deepEqual(
    await inside(p, attacks, { args: ["-m", "."], cwd: `${dir}/shown` }),
    all(attacks, "ENOENT"),
  );
}, { needs });

everyone("links in a shown directory lead nowhere", async (p) => {
  const dir = p.dir();
  await p.sh(
    `mkdir shown; echo secret > secret; cd shown
     ln -s ${quote(dir)}/secret absolute; ln -s ../secret relative; ln -s .. above
     ln -s /proc/self/root${quote(dir)}/secret magic; ln -s /proc/1/root${quote(dir)}/secret init`,
    dir,
  );
  const attacks = ["absolute", "relative", "above/secret", "magic"].map((name) =>
    `read_file:${dir}/shown/${name}`
  );
  const init = `read_file:${dir}/shown/init`;
  worked(await outside(p, attacks));
  assert.deepEqual(await inside(p, [...attacks, init], { args: ["-m", `${dir}/shown`] }), {
    ...all(attacks, "ENOENT"),
    [init]: "EACCES",
  });
}, { needs });

everyone("what is shown read-only stays so, with everything mounted in it", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir sub; echo 1 > file", dir);
  const attacks = ["", "/sub"].flatMap((sub) => [
    `open_for_writing:${dir}${sub}/file`,
    `create:${dir}${sub}/new`,
    `change_mode:${dir}${sub}/file`,
  ]);
  const undo = ["", "/sub"].flatMap((sub) => [`remount:${dir}${sub}`, `set_writable:${dir}${sub}`]);
  // A second mount inside the first, in a mount namespace of the test's own.
  const prepare = `mount -t tmpfs none ${dir}/sub; echo 2 > ${dir}/sub/file`;
  worked(await outside(p, attacks, { prefix: NAMESPACE_ROOT, prepare }));
  // Outside, root of the namespace takes "read-only" back.
  const readOnly = `${prepare}; mount --bind ${dir} ${dir}; mount -o remount,bind,ro ${dir}; ` +
    `mount -t tmpfs none ${dir}/sub; mount -o remount,bind,ro ${dir}/sub`;
  worked(await outside(p, undo, { prefix: NAMESPACE_ROOT, prepare: readOnly }));

  const sandbox = cordonArgv(["isolate", "-m", `ro:${dir} ro:${attackDirectory()}`, "--", attackProgram()]);
  const script = `${prepare}; exec ${[...sandbox, ...undo, ...attacks].map(quote).join(" ")}`;
  const namespace = p.name === "root" ? "unshare --mount --propagation private" : NAMESPACE_ROOT;
  const out = await p.sh(`HOME=/ ${namespace} sh -euc ${quote(script)}`, "/");
  const wanted = { ...all(undo, "EPERM"), ...all(attacks, "EROFS") };
  assert.equal(out, Object.entries(wanted).map((pair) => pair.join(" ")).join("\n"));
  assert.equal(Deno.readTextFileSync(`${dir}/file`), "1\n");
}, { needs });

everyone("what hides a file cannot be taken off", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir d; echo secret > d/file; echo secret > file", dir);
  const attacks = [`uncover:${dir}/d`, `uncover:${dir}/file`];
  const reads = [`read_file:${dir}/d/file`, `read_file:${dir}/file`];
  const prepare = `mount -t tmpfs none ${dir}/d; mount --bind /dev/null ${dir}/file`;
  const uncovered = `umount ${dir}/d; umount ${dir}/file`;
  worked(await outside(p, attacks, { prefix: NAMESPACE_ROOT, prepare }));
  worked(await outside(p, reads, { prefix: NAMESPACE_ROOT, prepare: `${prepare}; ${uncovered}` }));
  const found = await inside(p, [...attacks, ...reads], {
    args: ["-m", `${dir} ${dir}/d=none ${dir}/file=none`],
  });
  assert.deepEqual(found, {
    ...all(attacks, "EPERM"),
    [`read_file:${dir}/d/file`]: "ENOENT",
    [`read_file:${dir}/file`]: "ENODATA",
  });
}, { needs });

everyone("no hard link carries a read-only file into a writable place", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir data work; echo 1 > data/file", dir);
  const attacks = [`hard_link:${dir}/data/file`];
  worked(await outside(p, attacks, { cwd: `${dir}/work` }));
  const args = ["-m", `ro:${dir}/data .`];
  assert.deepEqual(await inside(p, attacks, { args, cwd: `${dir}/work` }), all(attacks, "EXDEV"));
  const byDescriptor = [`hard_link_by_descriptor:${dir}/data/file`];
  worked(await outside(p, byDescriptor, { cwd: `${dir}/work` }));
  assert.deepEqual(await inside(p, byDescriptor, { args, cwd: `${dir}/work` }), all(byDescriptor, "EXDEV"));
}, { needs });

everyone("a directory held open by the caller is not inherited", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir empty", dir);
  const attack = "climb_descriptor:7";
  worked(await outside(p, [attack], { prepare: `exec 7<${dir}` }));
  const run = cordonArgv(["isolate", "-m", `ro:${attackDirectory()}`, "--", attackProgram(), attack]);
  assert.equal(await p.sh(`exec 7<${dir}; ${run.map(quote).join(" ")}`, "/"), `${attack} EBADF`);
  // Where it is asked for, or stands on stdin, it is refused.
  const kept = cordonArgv(["isolate", "-m", "ro:/usr", "--keep-fd", "7", "--", "true"]).map(quote).join(" ");
  assert.match(await p.sh(`exec 7<${dir}; ${kept} 2>&1 || echo $?`, "/"), /is a directory.*\n125$/);
  const stdin = cordonArgv(["isolate", "-m", "ro:/usr", "--", "true"]).map(quote).join(" ");
  assert.match(await p.sh(`${stdin} 2>&1 < ${dir} || echo $?`, "/"), /is a directory.*\n125$/);
}, { needs });

everyone("a file on stdin cannot be opened again for writing", async (p) => {
  const dir = p.dir();
  const rewrite = "echo spoilt > /proc/self/fd/0";
  await p.sh(`echo fine > file; sh -c ${quote(rewrite)} < file; grep -q spoilt file; echo fine > file`, dir);
  const run = cordonArgv(["isolate", "-m", "ro:/usr", "--", "sh", "-c", `${rewrite}; cat`]).map(quote);
  await p.sh(`${run.join(" ")} < file || :`, dir);
  assert.equal(Deno.readTextFileSync(`${dir}/file`), "fine\n");
});

everyone("devices lying in a shown directory do not open, and none can be made", async (p) => {
  const dir = p.dir();
  // Made by root, which only the tests' root can; a full /dev/zero and a loop device.
  for (const [name, ...device] of [["zero", "c", "1", "5"], ["loop", "b", "7", "0"]]) {
    const made = new Deno.Command("mknod", { args: ["-m", "0666", `${dir}/${name}`, ...device] })
      .outputSync();
    assert.ok(made.success, new TextDecoder().decode(made.stderr));
  }
  const attacks = [`read_file:${dir}/zero`, `open_for_writing:${dir}/zero`];
  worked(await outside(p, attacks));
  const more = [`read_file:${dir}/loop`, `open_for_writing:${dir}/loop`];
  assert.deepEqual(
    await inside(p, [...attacks, ...more], { args: ["-m", dir] }),
    all([...attacks, ...more], "EACCES"),
  );
  const make = ["create_block_device:/tmp/b", "create_character_device:/tmp/c"];
  assert.deepEqual(await inside(p, make), all(make, "EPERM"));
}, { needs: [...needs, root] });

userOnly("setuid programs give no other user", async (p) => {
  const dir = p.dir();
  Deno.copyFileSync(attackProgram(), `${dir}/setuid`);
  Deno.chownSync(`${dir}/setuid`, 0, 0);
  Deno.chmodSync(`${dir}/setuid`, 0o4755);
  assert.equal(await p.sh(`${dir}/setuid become_root`, "/"), "become_root done");
  // uid 0 is not even mapped there: EINVAL.
  assert.equal(ok(await p.isolate(["-m", dir, `${dir}/setuid`, "become_root"])), "become_root EINVAL");
}, { needs: [...needs, root] });

everyone("no setuid program is left behind for others to run as the caller", async (p) => {
  const names = "chmod fchmod fchmodat fchmodat2 open tmpfile mknod".split(" ").map((name) =>
    `setuid_${name}`
  );
  const attacks = [...names, "setgid_open", "setuid_openat2"];
  const [outer, inner] = [p.dir(), p.dir()];
  // fchmodat2 came with Linux 6.6; the refusal inside is older kernels' as well.
  worked(await outside(p, attacks, { cwd: outer }), { except: { setuid_fchmodat2: ["ENOSYS"] } });
  assert.deepEqual(await inside(p, attacks, { args: ["-m", "."], cwd: inner }), {
    ...all(attacks, "EPERM"),
    setuid_openat2: "ENOSYS",
  });
  assert.notEqual(await p.sh("find . -type f -perm /6000", outer), "");
  assert.equal(await p.sh("find . -perm /6000", inner), "");
  // A directory of a group stays one, and files are made in it and copied as ever.
  const shared =
    "mkdir group && chmod 2775 group && : > group/file && cp -a group copy && stat -c %a group copy";
  assert.equal(ok(await p.isolate(["-m", ".", "--", "sh", "-c", shared], { cwd: inner })), "2775\n2775");
}, { needs });

everyone("copying a directory cannot be led elsewhere by who owns it", async (p) => {
  // The race itself cannot be timed in a test: what is looked at is that cp sees the sandbox's root and not the host's.
  const dir = p.dir();
  const plan = ok(await p.isolate(["--explain", "-m", "copy:/x=.", "--", "true"], { cwd: dir }));
  // Nothing but its descriptors is between the two: a label would have a colon.
  assert.match(plan, /\n *chroot\("\."\)[^:]*\n *execve\("\/(usr\/)?bin\/cp"/);
  // A link on the way that leads up leaves nothing of the host to be found.
  await p.sh("mkdir -p src/a; echo secret > secret; echo fine > src/a/file; ln -s ../secret src/up", dir);
  const out = await p.isolate(["-m", "copy:/x=src", "--", "sh", "-c", "cat /x/a/file; cat /x/up"], {
    cwd: dir,
  });
  assert.equal(out.stdout, "fine\n");
});

rootOnly("no file by its handle", async (p) => {
  const attacks = ["open_by_handle:/usr"];
  worked(await outside(p, attacks));
  assert.deepEqual(await inside(p, attacks), all(attacks, "EPERM"));
}, { needs });

everyone("the environment is a list: tokens stay outside", async (p) => {
  const env = { JUPYTERHUB_API_TOKEN: "t0ken", AWS_SECRET_ACCESS_KEY: "t0ken", LC_TIME: "C" };
  const out = ok(
    await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", "env; cat /proc/*/environ 2>/dev/null || :"], {
      env,
    }),
  );
  assert.ok(out.includes("LC_TIME=C"));
  assert.ok(!out.includes("t0ken"), out);
  const asked = ok(
    await p.isolate(["-m", "ro:/usr", "--keep-env", "JUPYTERHUB_*", "--", "env"], { env }),
  );
  assert.ok(asked.includes("JUPYTERHUB_API_TOKEN=t0ken") && !asked.includes("AWS_SECRET"), asked);
});

everyone("/dev holds what programs need and nothing of the machine's", async (p) => {
  const names = "console fd full null ptmx pts random shm stderr stdin stdout tty urandom zero".split(" ");
  assert.deepEqual(ok(await p.isolate(["-m", "ro:/usr", "--", "ls", "/dev"])).split("\n"), names);
  // Whatever the names: null, zero, full, random, urandom, tty, and the multiplexer of the sandbox's own terminals.
  const numbers = "for d in /dev/* /dev/pts/*; do [ ! -c $d ] || stat -Lc %t:%T $d; done | sort -u";
  const expected = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:2"];
  assert.deepEqual(ok(await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", numbers])).split("\n"), expected);
});

everyone(
  "filling the root ends at its own size and takes nothing from the host's file systems",
  async (p) => {
    const fill =
      "for d in /tmp /dev/shm /var/tmp $HOME; do head -c 64M /dev/zero > $d/fill; done 2>/dev/null; " +
      "df --output=used -B1 / | tail -n 1";
    const used = Number(ok(await p.isolate(["-m", "ro:/usr", "--tmp-size", "8M", "--", "sh", "-c", fill])));
    assert.ok(used > 7 * 2 ** 20 && used <= 8 * 2 ** 20, String(used));
    const files = "i=0; while : > /tmp/$i; do i=$((i + 1)); done 2>/dev/null; echo $i";
    const made = Number(
      ok(await p.isolate(["-m", "ro:/usr", "--tmp-size", "4M", "--", "bash", "-c", files])),
    );
    assert.ok(made > 500 && made <= 1024, String(made));
  },
);
