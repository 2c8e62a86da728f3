/** The original's own list of problems: each is shown, where it can be, and shown to be gone. */
import assert from "node:assert/strict";
import { cordonArgv } from "../helpers/binary.ts";
import { everyone, listing, ok, type Person } from "../helpers/everyone.ts";
import { type Need, program, root } from "../helpers/need.ts";
import { type Outcome, run } from "../helpers/run.ts";
import { asUserArgv } from "../helpers/user.ts";

/** Where the original's way of doing it can be shown to fail: it needs unshare(1) and a user namespace. */
const needs: Need[] = [program("unshare"), program("python3")];

/**
 * What the original did, in short: all namespaces, a tmpfs with binds, `shared` read-only and `shared/hidden` covered, a
 * chroot into it, capabilities kept.
 */
function oldWay(p: Person, shared: string, attack: string): Promise<Outcome> {
  const script = 'shared=$1; mount -t tmpfs tmpfs "$shared/base"; cd "$shared/base"; ' +
    'mkdir -p usr proc tmp ".$shared"; mount --rbind /usr usr; mount -t proc proc proc; ' +
    "for l in bin lib lib64 sbin; do ln -s usr/$l $l; done; " +
    'mount --bind --read-only "$shared" ".$shared"; mount --bind /dev/null ".$shared/hidden"; ' +
    'exec chroot . /bin/sh -c "cd $shared; $2"';
  const namespaces = "--map-root-user --mount-proc --user --pid --uts --ipc --net --mount --fork".split(" ");
  const argv = ["unshare", ...namespaces, "sh", "-ec", script, "sh", shared, attack];
  return run(p.name === "user" ? asUserArgv(argv) : argv, { cwd: shared });
}

const chrootTwice = `python3 -c '
import os
os.mkdir("/tmp/esc")
os.chroot("/tmp/esc")
for _ in range(64): os.chdir("..")
os.chroot(".")
print(open(os.environ["TARGET"]).read().strip())'`;

const attacks: [name: string, attack: (secret: string) => string, denied: RegExp][] = [
  ["chroot twice", (secret) => `TARGET=${secret} ${chrootTwice}`, /PermissionError/],
  [
    "umount what covers a file",
    () =>
      `python3 -c 'import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if libc.umount2(b"hidden", 0): raise OSError(ctypes.get_errno(), "umount")
print(open("hidden").read().strip())'`,
    /PermissionError/,
  ],
  [
    "remount a read-only directory for writing",
    () => "mount -o remount,bind,rw $PWD && echo overwritten > f && echo done",
    /must be superuser|not permitted|permission denied/i,
  ],
];

for (const [name, attack, denied] of attacks) {
  everyone(`way out: ${name} works in the original's sandbox and not here`, async (p) => {
    const dir = p.dir(), elsewhere = p.dir();
    await p.sh("mkdir base; echo answer > hidden; echo mine > f", dir);
    await p.sh("echo secret > s", elsewhere);
    const told: Record<string, string> = { c: "secret", u: "answer", r: "done" };
    const outside = await oldWay(p, dir, attack(`${elsewhere}/s`));
    assert.equal(outside.stdout.trim(), told[name[0]!], outside.stderr);
    await p.sh("echo mine > f", dir);
    for (const options of [[], ["--map-root"]]) {
      const args = [...options, "-m", "ro:. hidden=none", "sh", "-c", attack(`${elsewhere}/s`)];
      const inside = await p.isolate(args, { cwd: dir });
      assert.notEqual(inside.code, 0);
      assert.equal(inside.stdout, "");
      assert.match(inside.stderr, denied);
      assert.equal(await p.sh("cat f", dir), "mine");
    }
  }, { needs });
}

everyone("you appear as yourself, inside and on your files; as root only if asked", async (p) => {
  const cwd = p.dir();
  const script = "id -u; id -g; touch f; stat -c '%u %U' f; whoami; grep -c . /etc/passwd";
  const [uid, gid, owner, name] = ok(await p.isolate(["sh", "-c", script], { cwd })).split("\n");
  const user = await p.sh("getent passwd $(id -u) | cut -d: -f1 | grep . || echo user", cwd);
  assert.deepEqual([uid, gid, owner, name], [String(p.uid), String(p.uid), `${p.uid} ${user}`, user]);
  assert.equal(
    ok(await p.isolate(["--map-root", "sh", "-c", "id -u; whoami; stat -c %u f"], { cwd })),
    "0\nroot\n0",
  );
  assert.equal((await Deno.lstat(`${cwd}/f`)).uid, p.uid);
});

for (const shell of ["bash", "dash", "zsh", "fish", "busybox"]) {
  everyone(`${shell} as $SHELL and as the program`, async (p) => {
    const path = `/usr/bin/${shell}`, cwd = p.dir();
    const argv = shell === "busybox" ? [path, "sh"] : [path];
    assert.equal(ok(await p.isolate([...argv, "-c", "echo a; pwd"], { cwd })), `a\n${cwd}`);
    if (shell === "busybox") return; // needs an argument to be a shell
    const out = await p.isolate([], {
      cwd,
      env: { SHELL: path },
      stdin: "echo typed; ls /proc/self/exe; exit 3\n",
    });
    assert.equal(out.code, 3, out.stderr);
    assert.match(out.stdout, /^typed$/m);
  }, { needs: [program(shell)] });
}

everyone("an account whose shell refuses a login gets sh", async (p) => {
  const cwd = p.dir();
  for (const SHELL of ["/usr/sbin/nologin", "/sbin/nologin", "/bin/false"]) {
    const out = ok(await p.isolate([], { cwd, env: { SHELL }, stdin: "echo $((6 * 7))\n" }));
    assert.equal(out, "42", SHELL);
  }
  const absent = await p.isolate([], { cwd, env: { SHELL: "/opt/none/sh" }, stdin: "" });
  assert.equal(absent.code, 127);
  assert.match(absent.stderr, /\/opt\/none\/sh is not found inside the sandbox/);
});

everyone(
  "a sandbox leaves no directory behind, where the original left one when it was killed",
  async (p) => {
    const dir = p.dir();
    await p.sh("mkdir base w", dir);
    const before = await listing(dir);
    ok(
      await p.isolate(["-b", "base", "-m", "w", "sh", "-c", "mkdir -p /tmp/a ~/b /var/x; echo > /tmp/a/f"], {
        cwd: dir,
      }),
    );
    const killed = await p.isolate(["-b", "base", "-m", "w", "sh", "-c", "touch /tmp/f; kill -9 $$"], {
      cwd: dir,
    });
    assert.equal(killed.signal, "SIGKILL");
    assert.equal(await listing(dir), before);
  },
);

everyone("mounts inside a shared directory come along, read-only where the directory is", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir -p d/sub/deep w; echo f > d/f", dir);
  const look =
    "cat d/sub/f d/sub/deep/f; for x in d d/sub d/sub/deep; do touch $x/new 2>/dev/null && echo wrote; done; true";
  const script =
    "mount -t tmpfs t d/sub; echo 1 > d/sub/f; mkdir d/sub/deep; mount -t tmpfs t d/sub/deep; echo 2 > d/sub/deep/f; " +
    'chown -R "$0" d; exec "$@"';
  const inside = async (list: string) => {
    const argv = cordonArgv(["isolate", "-m", list, "sh", "-c", look]);
    const who = p.name === "user" ? asUserArgv(argv) : argv;
    const around = ["unshare", "-m", "--propagation", "private", "sh", "-ec", script, String(p.uid)];
    return ok(await run([...around, ...who], { cwd: dir }));
  };
  for (const flags of ["ro:", "ro,rbind:", "ro,move:"]) {
    assert.equal(await inside(`${flags}d`), "1\n2", flags);
  }
  for (const flags of ["", "rbind:", "bind:", "move:"]) {
    assert.equal(await inside(`${flags}d`), "1\n2\nwrote\nwrote\nwrote", flags);
  }
}, { needs: [root, program("unshare")] });

everyone("homes at /u, which is a symlink to /m/home: as on the original's own machines", async (p) => {
  const cwd = p.dir();
  const host =
    "--tmpfs / --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 " +
    "--dev-bind /proc /proc --dev /dev --dir /tmp --dir /m/home/me/.local/lib --dir /m/home/me/work --symlink m/home /u";
  const [file = ""] = cordonArgv([]);
  const argv = ["bwrap", ...host.split(" "), "--ro-bind", file, "/cordon", "--setenv", "HOME", "/u/me"];
  const setup =
    'echo lib > ~/.local/lib/f; cd /u/me/work; exec /cordon isolate -m ". ro:~/.local" -- sh -c "$0"';
  const look =
    "pwd; cat ~/.local/lib/f /u/me/.local/lib/f /m/home/me/.local/lib/f; readlink -f ~; ls -A ~; : > /u/me/work/x && ls";
  const whole = [...argv, "sh", "-ec", setup, look];
  const out = ok(await run(p.name === "user" ? asUserArgv(whole) : whole, { cwd }));
  assert.equal(out, "/m/home/me/work\nlib\nlib\nlib\n/m/home/me\n.local\nwork\nx");
}, { needs: [program("bwrap")] });
