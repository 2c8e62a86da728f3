/** The executable called `isolate.sh`: everything the original promised, its own tests' behaviours first. */
import assert from "node:assert/strict";
import { cordonArgv } from "../helpers/binary.ts";
import { everyone, listing, ok, refused, userOnly } from "../helpers/everyone.ts";

const quiet = { NI_QUIET: "1" };

everyone("isolate.sh: /bin and /usr exist, /etc does not", async (p) => {
  const cwd = p.dir();
  ok(await p.isolateSh(["test -e /bin -a -e /usr"], { cwd, env: quiet }));
  ok(await p.isolateSh(["test ! -e /etc"], { cwd, env: quiet }));
});

everyone("isolate.sh: the working directory stays", async (p) => {
  const cwd = p.dir();
  assert.equal(ok(await p.isolateSh(["pwd"], { cwd, env: quiet })), cwd);
  await p.sh("mkdir -p m/home; ln -s m u", cwd);
  assert.equal(ok(await p.isolateSh(["pwd"], { cwd: `${cwd}/u/home`, env: quiet })), `${cwd}/m/home`);
});

everyone("isolate.sh: a directory can be shared, read-only too, and at another path", async (p) => {
  const cwd = p.dir(), dir = p.dir();
  ok(await p.isolateSh(["-m", `. ${dir}`, `touch ${dir}/file1`], { cwd, env: quiet }));
  assert.equal(await p.sh("ls -A", dir), "file1");
  const denied = await p.isolateSh(["-m", `. ro:${dir}`, `! touch ${dir}/file2`], { cwd, env: quiet });
  assert.equal(denied.code, 0);
  assert.match(denied.stderr, /Read-only file system/);
  ok(await p.isolateSh(["-m", `. /tmp/x1=${dir}`, "touch /tmp/x1/file3"], { cwd, env: quiet }));
  assert.equal(await p.sh("ls -A", dir), "file1\nfile3");
});

everyone("isolate.sh: a file can be shared", async (p) => {
  const cwd = p.dir(), dir = p.dir();
  await p.sh("touch f", dir);
  ok(await p.isolateSh(["-m", `. ${dir}/f`, `printf 123 > ${dir}/f`], { cwd, env: quiet }));
  assert.equal(await p.sh("cat f", dir), "123");
});

everyone("isolate.sh: a file becomes empty, a directory becomes empty", async (p) => {
  const cwd = p.dir();
  const tar = "test $(stat -L --format=%s /bin/tar) = 0";
  ok(await p.isolateSh(["-m", ". /bin/tar=none", tar], { cwd, env: quiet }));
  ok(await p.isolateSh(["-m", ". /usr/sbin=none", "test ! -e /usr/sbin/chroot"], { cwd, env: quiet }));
});

everyone("isolate.sh: the two lines on stdout, unless NI_QUIET", async (p) => {
  const cwd = p.dir();
  const said = ok(await p.isolateSh(["echo", "a  b"], { cwd })).split("\n");
  assert.equal(said.length, 3);
  assert.match(said[0] ?? "", /^\S+ in /);
  assert.ok(said[0]?.endsWith(` in ${cwd}`));
  assert.deepEqual(said.slice(1), ["running command echo a  b", "a  b"]);
  assert.equal(ok(await p.isolateSh(["echo", "x"], { cwd, env: { NI_QUIET: "" } })).split("\n").length, 3);
  assert.equal(ok(await p.isolateSh(["echo", "x"], { cwd, env: quiet })), "x");
  // Without a program there is a shell, and one line.
  assert.equal(
    ok(await p.isolateSh([], { cwd, stdin: "echo from stdin\n" })).split("\n").slice(1).join(),
    "from stdin",
  );
});

everyone("isolate.sh: a single argument goes to a shell, several do not", async (p) => {
  const env = { ...quiet, VALUE: "v w" }, cwd = p.dir();
  assert.equal(
    ok(await p.isolateSh(['echo "$VALUE" | tr v x; [[ a == a ]] && echo bash'], { cwd, env })),
    "x w\nbash",
  );
  assert.equal(
    ok(await p.isolateSh(["printf", "<%s>", "$VALUE", "a  b", "", "*"], { cwd, env })),
    "<$VALUE><a  b><><*>",
  );
  assert.equal((await p.isolateSh(["exit 7"], { cwd, env })).code, 7);
});

everyone("isolate.sh: an unknown option is the program", async (p) => {
  const cwd = p.dir();
  for (const argv of [["--help"], ["-x"], ["--no-such", "arg"], ["--version"]]) {
    const { code, stderr } = await p.isolateSh(argv, { cwd, env: quiet });
    assert.equal(code, 127, argv.join(" "));
    assert.match(stderr, new RegExp(`${argv[0]}.*not found`), argv.join(" "));
  }
  // -m=LIST is not the original's: it is a program of that name.
  assert.equal((await p.isolateSh(["-m=/tmp", "true"], { cwd, env: quiet })).code, 127);
});

everyone("isolate.sh: options end at --", async (p) => {
  const cwd = p.dir();
  assert.equal(ok(await p.isolateSh(["-m", ".", "--", "echo", "-v", "--"], { cwd, env: quiet })), "-v --");
});

everyone("isolate.sh: the last -m counts, and wins over MNTDIRS; an empty one is the default", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a b c", dir);
  const ls = async (args: string[], env: Record<string, string>) => {
    const opts = { cwd: `${dir}/c`, env: { ...quiet, ...env } };
    return ok(await p.isolateSh([...args, "ls", "-A", dir], opts));
  };
  assert.equal(await ls([], {}), "c");
  assert.equal(await ls([], { MNTDIRS: "../a ." }), "a\nc");
  assert.equal(await ls(["-m", "../b ."], { MNTDIRS: "../a" }), "b\nc");
  assert.equal(await ls(["-m", "../a", "--mnt", "../b ."], {}), "b\nc");
  assert.equal(await ls(["-m", ""], { MNTDIRS: "../a" }), "c");
});

everyone(
  "isolate.sh: MNTDIRS as in the original's kernel.json: `. ~/path`, files and a directory for the connection file",
  async (p) => {
    const home = p.dir();
    await p.sh("mkdir -p nb conda/bin run; echo env > conda/bin/f; echo 1 > run/kernel.json", home);
    const env = { ...quiet, HOME: home, MNTDIRS: `. ro:~/conda ${home}/run` };
    const argv = ["cat", `${home}/conda/bin/f`, `${home}/run/kernel.json`];
    assert.equal(ok(await p.isolateSh(argv, { cwd: `${home}/nb`, env })), "env\n1");
  },
);

everyone("isolate.sh: --no-net is the host's network, otherwise there is none", async (p) => {
  const cwd = p.dir();
  const own = await p.sh("readlink /proc/self/ns/net", cwd);
  const inside = ["readlink", "/proc/self/ns/net"];
  assert.equal(ok(await p.isolateSh(["--no-net", ...inside], { cwd, env: quiet })), own);
  assert.notEqual(ok(await p.isolateSh(inside, { cwd, env: quiet })), own);
  const names = "grep -c : /proc/net/dev; grep -c lo: /proc/net/dev";
  assert.equal(ok(await p.isolateSh([names], { cwd, env: quiet })), "1\n1");
});

everyone("isolate.sh: the environment passes whole", async (p) => {
  const cwd = p.dir();
  const env = { ...quiet, SECRET_TOKEN: "kept", "odd.name": "x", MULTI: "a\nb", EMPTY: "" };
  const out = ok(await p.isolateSh(["env", "-0"], { cwd, env })).split("\0");
  for (const [name, value] of Object.entries(env)) assert.ok(out.includes(`${name}=${value}`), name);
});

everyone("isolate.sh: the root is a tmpfs of 32M, NI_TMPFS_SIZE changes it", async (p) => {
  const cwd = p.dir();
  const size = "df -B1 --output=size /tmp | tail -1";
  assert.equal(ok(await p.isolateSh([size], { cwd, env: quiet })), String(32 << 20));
  assert.equal(
    ok(await p.isolateSh([size], { cwd, env: { ...quiet, NI_TMPFS_SIZE: "5M" } })),
    String(5 << 20),
  );
  refused(
    await p.isolateSh([size], { cwd, env: { ...quiet, NI_TMPFS_SIZE: "lots" } }),
    /"lots" for NI_TMPFS_SIZE/,
  );
});

everyone("isolate.sh: -b and NI_BASEDIR, which stays and stays empty", async (p) => {
  const cwd = p.dir(), base = p.dir();
  assert.equal(ok(await p.isolateSh(["-b", base, "pwd"], { cwd, env: quiet })), cwd);
  assert.equal(ok(await p.isolateSh(["pwd"], { cwd, env: { ...quiet, NI_BASEDIR: base } })), cwd);
  assert.equal(await listing(base), await listing(p.dir()));
});

everyone("isolate.sh: -v and VERBOSE say each step on stderr", async (p) => {
  const cwd = p.dir();
  for (const [args, env] of [[["-v"], quiet], [[], { ...quiet, VERBOSE: "1" }]] as const) {
    const { code, stdout, stderr } = await p.isolateSh([...args, "echo", "x"], { cwd, env });
    assert.deepEqual([code, stdout], [0, "x\n"]);
    assert.match(stderr, /^cordon: mount \/usr$/m);
  }
});

everyone("isolate.sh: no program starts $SHELL, whichever it is", async (p) => {
  const cwd = p.dir();
  const env = { ...quiet, SHELL: "/bin/dash" };
  const out = ok(await p.isolateSh([], { cwd, env, stdin: "readlink /proc/$$/exe\n" }));
  assert.match(out, /dash$/);
});

everyone("isolate.sh: without /proc/sys/kernel/unprivileged_userns_clone", async (p) => {
  const cwd = p.dir();
  await assert.rejects(Deno.stat("/proc/sys/kernel/unprivileged_userns_clone"));
  ok(await p.isolateSh(["true"], { cwd, env: quiet }));
}, {
  needs: [{
    what: "a kernel without Debian's unprivileged_userns_clone",
    met: () => {
      try {
        return !Deno.statSync("/proc/sys/kernel/unprivileged_userns_clone").isFile;
      } catch {
        return true;
      }
    },
  }],
});

userOnly("isolate.sh: the file is not owned by the caller", async (p) => {
  const [file] = cordonArgv([], { argv0: "isolate.sh" });
  const uid = (await Deno.lstat(file!)).uid;
  if (Deno.uid() === 0) assert.notEqual(uid, p.uid);
  ok(await p.isolateSh(["true"], { cwd: p.dir(), env: quiet }));
});

everyone("isolate.sh: the caller appears inside as outside, not as root", async (p) => {
  const cwd = p.dir();
  assert.equal(
    ok(await p.isolateSh(["id -u; touch f; stat -c %u f"], { cwd, env: quiet })),
    `${p.uid}\n${p.uid}`,
  );
  assert.equal((await Deno.lstat(`${cwd}/f`)).uid, p.uid);
});

everyone("isolate.sh: a file that stands in the way of the working directory", async (p) => {
  const cwd = p.dir();
  // What is not shared cannot be entered: the original stopped there, and so does this.
  const outcome = await p.isolateSh(["-m", "/usr/share", "true"], { cwd, env: quiet });
  refused(outcome, new RegExp(`Enter ${cwd}: ENOENT`));
});
