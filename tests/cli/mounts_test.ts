/** The mount grammar of `cordon isolate` on the real executable. */
import assert from "node:assert/strict";
import { everyone, listing, ok, refused } from "../helpers/everyone.ts";

everyone("without -m the current directory is shown, its neighbours are not", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir here; echo told > here/a; echo secret > secret", dir);
  const cwd = `${dir}/here`;
  const out = ok(await p.isolate(["--", "sh", "-c", "pwd; cat a; echo new > b; ls -A .."], { cwd }));
  assert.equal(out, `${cwd}\ntold\nhere`);
  assert.equal(Deno.readTextFileSync(`${cwd}/b`), "new\n");
});

for (const form of [["-m", "LIST"], ["-mLIST"], ["-m=LIST"], ["--mnt", "LIST"], ["--mnt=LIST"]]) {
  everyone(`mounts by ${form.join(" ")}`, async (p) => {
    const dir = p.dir();
    await p.sh("mkdir a b; echo 1 > a/f; echo 2 > b/f", dir);
    const args = form.map((word) => word.replace("LIST", ` ${dir}/a\t${dir}/b\n`));
    assert.equal(ok(await p.isolate([...args, "--", "cat", `${dir}/a/f`, `${dir}/b/f`])), "1\n2");
  });
}

everyone("-m repeats", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a b; echo 1 > a/f; echo 2 > b/f", dir);
  const out = await p.isolate(["-m", "a", "-m=ro:b", "cat", `${dir}/a/f`, `${dir}/b/f`], { cwd: dir });
  assert.equal(ok(out), "1\n2");
});

everyone(
  "a relative name appears at its real path, an absolute one as typed and at its real path",
  async (p) => {
    const dir = p.dir();
    await p.sh("mkdir -p m/home/me; ln -s m/home u; echo mine > m/home/me/f", dir);
    assert.equal(ok(await p.isolate(["-m", "u/me", "cat", `${dir}/m/home/me/f`], { cwd: dir })), "mine");
    const both = ["cat", `${dir}/u/me/f`, `${dir}/m/home/me/f`];
    assert.equal(ok(await p.isolate(["-m", `${dir}/u/me`, ...both])), "mine\nmine");
    // The working directory is found by either name.
    const out = await p.isolate(["-m", ".", "sh", "-c", "pwd; cat f"], { cwd: `${dir}/u/me` });
    assert.equal(ok(out), `${dir}/m/home/me\nmine`);
  },
);

everyone("`..` behind a symlink is what the kernel takes it for", async (p) => {
  const dir = p.dir();
  await p.sh(
    "mkdir -p far/deep near; ln -s ../far/deep near/link; echo far > far/f; echo near > near/f",
    dir,
  );
  const at = (source: string) => p.isolate(["-m", `/x=${source}`, "cat", "/x/f"], { cwd: dir });
  assert.equal(ok(await at(`${dir}/near/link/..`)), "far");
  assert.equal(ok(await at("near/link/..")), "far");
  assert.equal(ok(await p.isolate(["-m", "near/link/..", "cat", `${dir}/far/f`], { cwd: dir })), "far");
});

everyone("~ is the home directory, for destinations and sources", async (p) => {
  const home = p.dir();
  await p.sh("mkdir data; echo d > data/f", home);
  const env = { HOME: home };
  assert.equal(ok(await p.isolate(["-m", "~/data", "cat", `${home}/data/f`], { env })), "d");
  assert.equal(ok(await p.isolate(["-m", "/srv/d=~/data", "cat", "/srv/d/f"], { env })), "d");
  assert.equal(ok(await p.isolate(["-m", "~/data/f=none ro:~/data", "cat", `${home}/data/f`], { env })), "");
  assert.equal(ok(await p.isolate(["-m", "ro:~", "sh", "-c", "cat ~/data/f"], { env })), "d");
});

everyone("an empty home stands where none is shared", async (p) => {
  const home = p.dir(), cwd = p.dir();
  await p.sh("echo secret > .ssh-key", home);
  const out = ok(
    await p.isolate(["sh", "-c", "ls -A ~; echo x > ~/new; cat ~/new"], { cwd, env: { HOME: home } }),
  );
  assert.equal(out, "x");
  assert.equal(await p.sh("ls -A", home), ".ssh-key");
});

everyone("a home behind a symlink (/u -> /m/home) works by both names", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir -p m/home/me/.local; ln -s m/home u; echo lib > m/home/me/.local/f", dir);
  const env = { HOME: `${dir}/u/me` };
  const script =
    `cat ~/.local/f ${dir}/m/home/me/.local/f; cd ~; pwd -P; echo w > ~/w; cat ${dir}/m/home/me/w`;
  const out = ok(await p.isolate(["-m", "ro:~/.local", "sh", "-c", script], { env, cwd: p.dir() }));
  assert.equal(out, `lib\nlib\n${dir}/m/home/me\nw`);
  assert.equal(await p.sh("ls -A m/home/me", dir), ".local");
});

everyone("DEST=SOURCE shows a directory or a file elsewhere", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir d; echo 1 > d/f; echo 2 > file", dir);
  const list = `/tmp/x1=${dir}/d /opt/deep/er/file=file rel=d`;
  const script =
    `cat /tmp/x1/f /opt/deep/er/file ${dir}/rel/f; echo 3 > /tmp/x1/g; echo 4 > /opt/deep/er/file`;
  assert.equal(ok(await p.isolate(["-m", list, "sh", "-c", script], { cwd: dir })), "1\n2\n1");
  assert.equal(await p.sh("cat d/g file", dir), "3\n4");
});

everyone("DEST=none hides a file, a directory, and what a symlink leads to", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir -p d/sub; echo 1 > d/f; echo 2 > d/sub/g; ln -s f d/link", dir);
  const script = "stat -c %s d/f; ls -A d/sub; touch d/sub/x 2>/dev/null || echo no; stat -Lc %s /bin/tar; " +
    "ls /usr/sbin | wc -l; stat -Lc %s /usr/bin/awk; echo x > d/f; cat d/link";
  const list = ". d/f=none d/sub=none /bin/tar=none /usr/sbin=none /usr/bin/awk=none";
  assert.equal(ok(await p.isolate(["-m", list, "sh", "-c", script], { cwd: dir })), "0\nno\n0\n0\n0");
  assert.equal(await p.sh("cat d/f d/sub/g", dir), "1\n2");
});

everyone("what a hidden name's symlink leads to is hidden too", async (p) => {
  const dir = p.dir();
  await p.sh("echo answer > real; ln -s real answers", dir);
  assert.equal(ok(await p.isolate(["-m", ". answers=none", "cat", "answers", "real"], { cwd: dir })), "");
  assert.equal(
    ok(await p.isolate(["-m", `. ${dir}/answers=none`, "cat", "answers", "real"], { cwd: dir })),
    "",
  );
});

everyone("ro: is read-only, the others are not", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a b c d e f g", dir);
  const list = "ro:a rbind:b ro,rbind:c rbind,ro:d move:e bind:f rw:g";
  const script = "for d in a b c d e f g; do touch $d/x 2>/dev/null && echo $d; done; touch a/x";
  const outcome = await p.isolate(["-m", list, "sh", "-c", script], { cwd: dir });
  assert.equal(outcome.stdout, "b\ne\nf\ng\n");
  assert.match(outcome.stderr, /Read-only file system/);
  assert.equal(await p.sh("ls *", dir).then((s) => s.match(/x/g)?.length), 4);
});

everyone("one directory inside another, in any order", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir -p a/b/c other; echo a > a/f; echo b > a/b/f; echo c > a/b/c/f; echo o > other/f", dir);
  const words = ["ro:a", "rw:a/b", "a/b/c=other"];
  for (const list of [words, [...words].reverse(), [words[1], words[2], words[0]]]) {
    const script = "cat a/f a/b/f a/b/c/f; touch a/x 2>/dev/null || echo ro; touch a/b/x && rm a/b/x";
    const out = await p.isolate(["-m", list.join(" "), "sh", "-c", script], { cwd: dir });
    assert.equal(ok(out), "a\nb\no\nro", list.join(" "));
  }
});

everyone("the later of two mounts on one place is seen", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a b; echo a > a/f; echo b > b/f", dir);
  assert.equal(ok(await p.isolate(["-m", "/x=a /x=b", "cat", "/x/f"], { cwd: dir })), "b");
});

everyone("a mount point that is missing in a writable mount is refused, and not made", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a data", dir);
  const before = await listing(dir);
  refused(
    await p.isolate(["-m", "a a/missing=data", "true"], { cwd: dir }),
    /Mount point .*a\/missing does not exist inside the mount at .*\/a$/m,
    /^hint: mkdir -p .*a\/missing$/m,
  );
  assert.equal(await listing(dir), before);
});

everyone("-b DIR is where the root is assembled, and is left as it was", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir base work; echo kept > base/f; echo w > work/f", dir);
  const args = ["-m", "work base", "cat", "work/f", "base/f"];
  assert.equal(ok(await p.isolate(["-b", "base", ...args], { cwd: dir })), "w\nkept");
  assert.equal(ok(await p.isolate(["--base-dir=base", ...args], { cwd: dir })), "w\nkept");
  assert.equal(ok(await p.isolate(args, { cwd: dir, env: { NI_BASEDIR: `${dir}/base` } })), "w\nkept");
  assert.equal(await p.sh("ls -A base", dir), "f");
  const absent = await p.isolate(["-b", "absent", "true"], { cwd: dir });
  refused(absent, /assembled on .*absent: ENOENT/, /hint: choose an existing directory with -b DIR/);
  refused(await p.isolate(["-b", "base/f", "true"], { cwd: dir }), /it is not a directory/);
  refused(await p.isolate(["-b", "/", "true"], { cwd: dir }), /it is the root itself/);
});

everyone("-v says each step on stderr, VERBOSE too", async (p) => {
  const dir = p.dir();
  for (const [args, env] of [[["-v"], {}], [[], { VERBOSE: "1" }]] as [string[], Record<string, string>][]) {
    const { code, stdout, stderr } = await p.isolate([...args, "echo", "out"], { cwd: dir, env });
    assert.deepEqual([code, stdout], [0, "out\n"]);
    for (const step of ["create namespaces", "mount /usr", `mount ${dir}`, "start the target"]) {
      assert.ok(stderr.includes(`cordon: ${step}\n`), step);
    }
  }
});

everyone("an explicit -m wins over MNTDIRS, which wins over the default", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a b c", dir);
  const inside = async (args: string[], env: Record<string, string>) =>
    ok(await p.isolate([...args, "ls", "-A", dir], { cwd: `${dir}/c`, env }));
  assert.equal(await inside([], {}), "c");
  assert.equal(await inside([], { MNTDIRS: `${dir}/a ro:${dir}/b` }), "a\nb");
  assert.equal(await inside(["-m", `${dir}/a`], { MNTDIRS: `${dir}/b` }), "a");
  assert.equal(await inside(["--mount", `{"dest":"${dir}/a"}`], { MNTDIRS: `${dir}/b` }), "a");
});

everyone("options end at -- and at the first argument that is not one", async (p) => {
  const cwd = p.dir();
  assert.equal(
    ok(await p.isolate(["echo", "-m", "/nonexistent", "--", "--help"], { cwd })),
    "-m /nonexistent -- --help",
  );
  assert.equal(ok(await p.isolate(["--", "echo", "--", "-v"], { cwd })), "-- -v");
  await p.sh("printf '#!/bin/sh\\necho ran\\n' > ./-odd; chmod +x ./-odd", cwd);
  assert.equal(ok(await p.isolate(["--env", `PATH=${cwd}`, "--", "-odd"], { cwd })), "ran");
});
