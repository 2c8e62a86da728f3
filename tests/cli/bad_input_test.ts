/** Input that is wrong, or only looks it: one clear error or simply working, and nothing left behind. */
import assert from "node:assert/strict";
import { everyone, listing, ok, refused, rootOnly } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";

everyone("options that are none", async (p) => {
  const cwd = p.dir();
  const said = refused(
    await p.isolate(["--bogus", "true"], { cwd }),
    /Unknown option "--bogus" of cordon isolate/,
  );
  assert.match(said, /hint: cordon isolate --help/);
  refused(await p.isolate(["--hostnam", "x", "true"], { cwd }), /"--hostnam"/, /Did you mean --hostname\?/);
  refused(await p.isolate(["-m"], { cwd }), /-m/);
  refused(await p.isolate(["-Z", "true"], { cwd }), /"-Z"/);
  refused(
    await p.isolate(["--network", "home", "true"], { cwd }),
    /"home" for --network/,
    /Wanted none, host/,
  );
  refused(await p.isolate(["--explain", "--emit", "x", "true"], { cwd }), /--explain and --emit/);
});

everyone("mounts that say nothing, or two things", async (p) => {
  const cwd = p.dir();
  await p.sh("mkdir d; touch f", cwd);
  const bad: [string, RegExp][] = [
    ["", /Cannot use "" for -m/],
    [" \t", /for -m/],
    ["ro:", /Mount "ro:" has no destination/],
    ["/x=", /Mount "\/x=" has an empty source/],
    ["rx:d", /unknown flag "rx"[\s\S]*known flags: ro rw/],
    ["ro,rw:d", /both ro and rw/],
    ["tmp,copy:d", /both tmp and copy/],
    ["tmp:/x=d", /an empty tmpfs and has a source/],
    ["copy:/x=none", /hides and is copy at once/],
    ["/=none", /The root cannot be/],
    ["/=d", /Root .*\/d has no directory \/proc\n\nhint: mkdir /],
  ];
  for (const [list, message] of bad) refused(await p.isolate(["-m", list, "true"], { cwd }), message);
  const json: [string, RegExp][] = [
    ["", /--mount|is not JSON/],
    ["{", /is not JSON/],
    ["[]", /is not a JSON object/],
    ["{}", /has no "dest"/],
    ['{"dest":""}', /has no destination/],
    ['{"dest":"/x","src":"y"}', /unknown field "src"/],
    ['{"dest":"/x","source":7}', /"source" that is not a string/],
    ['{"dest":"/x","flags":"ro"}', /"flags" that are not a list/],
    ['{"dest":"/x","flags":["rx"]}', /unknown flag "rx"/],
    ['{"dest":"/x\\u0000"}', /NUL/],
  ];
  for (const [text, message] of json) refused(await p.isolate(["--mount", text, "true"], { cwd }), message);
});

everyone("sources that are missing, out of reach or of the wrong kind", async (p) => {
  const cwd = p.dir();
  await p.sh(
    "mkdir d closed; touch f closed/f; chmod 0 closed; ln -s loop loop; ln -s gone dangling; mkfifo fifo",
    cwd,
  );
  const long = "x".repeat(300);
  const bad: [string, RegExp][] = [
    ["absent", /Mount source .*\/absent cannot be used\nthere is no such file/],
    ["/x=d/../absent", /absent cannot be used\nthere is no such file/],
    ["dangling", /dangling cannot be used\nthere is no such file/],
    ["f/below", /f\/below cannot be used\na part of its path is a file/],
    ["loop", /loop cannot be used\nits symlinks lead in a circle/],
    [`/x=${long}`, /cannot be used\nthe name is longer/],
    [
      "d d/x=f",
      /Mount point .*\/d\/x does not exist inside the mount at .*\/d\nmaking it would leave .* behind/,
    ],
    [". d=f", /Mount point .*\/d is a directory and what goes there is a file/],
    [". f=d", /Mount point .*\/f is a file and what goes there is a directory/],
    [". tmp:f", /f is a file and what goes there is a directory/],
    [". tmp:fifo", /fifo is a special file and what goes there is a directory/],
    ["/proc=f", /\/proc is a directory and what goes there is a file/],
    [". loop/x=f", /runs through more than 40 symlinks/],
    ["copy:fifo", /Copy source .*\/fifo is neither a file nor a directory/],
    ["d copy:d/x=f", /Copy .*\/d\/x lies inside the mount at .*\/d\na copy goes to the sandbox's own memory/],
  ];
  if (p.name === "user") {
    bad.push(["closed/f", /closed\/f cannot be used\na directory on its path may not be searched/]);
  }
  const before = await listing(cwd);
  for (const [list, message] of bad) refused(await p.isolate(["-m", list, "true"], { cwd }), message);
  assert.equal(await listing(cwd), before);
  await p.sh("chmod 700 closed", cwd);
});

rootOnly("root is told that it cannot reach the private files of others inside", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir -p home/work; echo f > home/work/f; chown -R 12345:12345 home; chmod 700 home", dir);
  const said = refused(
    await p.isolate(["-m", "/x=home/work", "true"], { cwd: dir }),
    /home\/work cannot be used/,
  );
  assert.match(said, /root has no power over the files of others, and .*\/home is closed/);
  assert.match(said, /hint: run it as the owner of .*\/home/);
});

everyone("programs that are missing or cannot be executed", async (p) => {
  const cwd = p.dir();
  await p.sh(
    "touch plain; printf '#!/nonexistent/sh\\n' > script; printf 'echo as sh; echo $1\\n' > noline; " +
      "chmod +x script noline; mkdir dir; head -c 100 /dev/urandom > junk; printf '\\177ELFxx' > elf; chmod +x junk elf",
    cwd,
  );
  const run = async (...argv: string[]) => await p.isolate(argv, { cwd });
  const status = async (code: number, argv: string[], message: RegExp) => {
    const outcome = await run(...argv);
    assert.deepEqual([outcome.code, outcome.stdout], [code, ""], argv.join(" "));
    assert.match(outcome.stderr, message);
  };
  await status(127, ["no-such-program"], /^cordon: no-such-program is not found inside the sandbox$/m);
  await status(127, ["./absent"], /^cordon: \.\/absent is not found inside the sandbox$/m);
  await status(127, ["./plain/x"], /not found/);
  await status(126, ["./script"], /script cannot be executed: the interpreter .* not inside the sandbox/);
  await status(127, [""], /^cordon: The program's name is empty$/m);
  await status(126, ["./plain"], /^cordon: \.\/plain cannot be executed: permission denied$/m);
  await status(126, ["./dir"], /cannot be executed/);
  await status(
    126,
    ["--env", "PATH=/etc:/usr/share", "passwd"],
    /passwd cannot be executed: permission denied/,
  );
  assert.equal(ok(await run("./noline", "x")), "as sh\nx"); // as execvp(3) does
  assert.notEqual((await run("./elf")).code, 0);
  // An empty PATH is the current directory, for execvp(3) and here.
  assert.equal(ok(await run("--env", "PATH=:/nonexistent", "noline", "y")), "as sh\ny");
});

everyone(
  "names with newlines, spaces, colons, equal signs, commas, quotes and what looks like an option",
  async (p) => {
    const dir = p.dir();
    await p.sh(
      'mkdir "$(printf " a\\n:=,\\"\'\\\\\\\\\\$x*?[ -m")"; cd *; touch -- -v "$(printf "\\r\\033[31m")"',
      dir,
    );
    const [name] = [...Deno.readDirSync(dir)].map((entry) => entry.name);
    const cwd = `${dir}/${name}`;
    assert.equal(
      ok(await p.isolate(["sh", "-c", 'ls | wc -l; test "$PWD" = "$1" && echo same', "sh", cwd], { cwd })),
      "2\nsame",
    );
    const home = { HOME: cwd };
    assert.equal(
      ok(
        await p.isolate(
          ["-m", "/usr/share", "sh", "-c", 'cd ~; test "$PWD" = "$1" && echo home', "sh", cwd],
          { cwd: dir, env: home },
        ),
      ),
      "home",
    );
    assert.equal(
      ok(await p.isolate(["printf", "[%s]", "", " a\n", "-v", "é\u0001"], { cwd })),
      "[][ a\n][-v][é\u0001]",
    );
  },
);

everyone("2,000 mounts", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir m; cd m; seq 2000 | xargs mkdir; touch 1000/f", dir);
  const numbers = Array.from({ length: 2000 }, (_, i) => i + 1);
  const count = "grep -c /m/ /proc/mounts; ls m/1000";
  const binds = numbers.map((i) => `ro:m/${i}`).join(" ");
  assert.equal(ok(await p.isolate(["-m", binds, "sh", "-c", count], { cwd: dir })), "2000\nf");
  const hidden = `. ${numbers.map((i) => `m/${i}=none`).join(" ")}`;
  assert.equal(ok(await p.isolate(["-m", hidden, "sh", "-c", count], { cwd: dir })), "2000");
});

everyone("an argument list and an environment of 1 MiB", async (p) => {
  const cwd = p.dir();
  const argv = Array.from({ length: 16 }, (_, i) => String(i % 10).repeat(65536));
  const out = ok(await p.isolate(["sh", "-c", 'printf %s "$@" | wc -c', "sh", ...argv], { cwd }));
  assert.equal(out, String(1 << 20));
  const env = Object.fromEntries(argv.map((value, i) => [`BIG_${i}`, value]));
  const kept = ok(await p.isolate(["--keep-env", "BIG_*", "sh", "-c", "env | wc -c"], { cwd, env }));
  assert.ok(Number(kept) > 1 << 20);
});

everyone("a student's directory of symlinks, FIFOs, sockets and odd modes: shared, copied", async (p) => {
  const dir = p.dir();
  const socket = `python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'`;
  await p.sh(
    `mkdir s; cd s; ln -s / root; ln -s loop loop; ln -s /proc/self/root/etc/shadow magic; ln -s ../../.. up; ` +
      `mkfifo fifo; ${socket}; echo told > plain; ln plain hard; mkdir -m 0 closed; touch none; chmod 0 none; ln -s plain l`,
    dir,
  );
  const before = await listing(dir);
  const script =
    "cat l; ls -A | wc -l; test -p fifo && test -S sock && echo special; ls root | grep -c ^usr$; cat magic 2>/dev/null || echo no";
  assert.equal(
    ok(await p.isolate(["-m", "s", "--workdir", "s", "sh", "-c", script], { cwd: dir })),
    "told\n11\nspecial\n1\nno",
  );
  // Unreadable things cannot be copied; the rest can, as what it is.
  const copied = await p.isolate(["-m", "copy:s", "--workdir", "s", "sh", "-c", script], { cwd: dir });
  if (p.name === "user") {
    assert.match(copied.stderr, /closed'?: Permission denied[\s\S]*^cordon: Copy .*\/s: cp failed/m);
  }
  await p.sh("rmdir s/closed; rm -f s/none", dir);
  assert.equal(
    ok(await p.isolate(["-m", "copy:s", "--workdir", "s", "sh", "-c", script], { cwd: dir })),
    "told\n9\nspecial\n1\nno",
  );
  await p.sh("mkdir -m 0 s/closed; touch s/none; chmod 0 s/none", dir);
  assert.equal(await listing(dir), before);
  await p.sh("chmod 700 s/closed", dir);
}, { needs: [program("python3")] });

everyone("destinations that run through a student's symlink stay inside", async (p) => {
  const dir = p.dir(), data = p.dir();
  await p.sh("mkdir s; ln -s / s/out; ln -s ../../../../.. s/up; mkdir s/d; ln -s d s/l", dir);
  await p.sh("echo graded > f", data);
  const before = await listing(dir);
  const at = async (dest: string, look: string) =>
    ok(await p.isolate(["-m", `s ${dest}=${data}`, "sh", "-c", `cat ${look}`], { cwd: dir }));
  // Resolved as the kernel would inside: over there, in the sandbox's own root, never on the host.
  assert.equal(await at(`${dir}/s/out/srv/x`, "/srv/x/f"), "graded");
  assert.equal(await at(`${dir}/s/up/srv/x`, "/srv/x/f"), "graded");
  assert.equal(await at("s/l", "s/d/f"), "graded");
  assert.equal(await at(`${dir}/s/d/../../../../../../srv/x`, "/srv/x/f"), "graded");
  refused(
    await p.isolate(["-m", `s s/out=${data}`, "true"], { cwd: dir }),
    /Mount point .*s\/out leads to \//,
  );
  refused(await p.isolate(["-m", "s tmp:s/out", "true"], { cwd: dir }), /leads to \//);
  refused(await p.isolate(["-m", "s/out", "true"], { cwd: dir, env: { HOME: "/" } }), /leads to \//);
  // Mounted elsewhere, the symlink is met only when mounting: it is looked up within the new root.
  assert.equal(
    ok(await p.isolate(["-m", `/x=s /x/l=${data}`, "sh", "-c", "cat /x/d/f"], { cwd: dir })),
    "graded",
  );
  assert.equal(
    ok(
      await p.isolate(["-m", `/x=s /x/out/usr/share=${data}`, "sh", "-c", "cat /usr/share/f"], { cwd: dir }),
    ),
    "graded",
  );
  assert.equal(await listing(dir), before);
  assert.equal(await p.sh("ls -A", data), "f");
});

everyone("a source swapped for a symlink after planning is an error, and nothing is exposed", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir -p a/b secret; echo told > a/b/f; echo secret > secret/f", dir);
  ok(await p.isolate(["-m", "ro:a/b", "--emit", "image", "--", "cat", "a/b/f"], { cwd: dir }));
  assert.equal(await p.sh("./image", dir), "told");
  const swaps: [string, RegExp][] = [
    ["mv a/b a/c; ln -s ../secret a/b", /Open .*\/a\/b: ELOOP/],
    ["rm a/b; mv a/c a/b; mv a a2; ln -s a2 a", /Open .*\/a\/b: ELOOP/],
    ["rm a; mkdir a; touch a/b", /Mount .*\/a\/b: (EINVAL|ENOTDIR)/],
    ["rm a/b", /Open .*\/a\/b: ENOENT/],
    ["rmdir a", /Open .*\/a\/b: ENOENT/],
  ];
  for (const [swap, message] of swaps) {
    const said = await p.sh(`${swap}; ./image 2>&1 && echo ran || test $? = 125`, dir);
    assert.match(said, message);
    assert.equal(said.split("\n").length, 1, said);
  }
});

rootOnly("a read-only or full temporary directory", async (p) => {
  const dir = p.dir();
  const [cordon = ""] = (await import("../helpers/binary.ts")).cordonArgv([]);
  await p.sh("mkdir w; echo told > w/f", dir);
  const script = (mount: string) =>
    `exec unshare -m --propagation private sh -euc 'cp ${cordon} /dev/shm/cordon-$$; b=/dev/shm/cordon-$$; ` +
    `trap "rm -f $b" EXIT; cp -r w /var/lib/w-$$; cd /var/lib/w-$$; trap "rm -rf $b /var/lib/w-$$" EXIT; ${mount}; ` +
    `HOME=/root TMPDIR=/tmp $b isolate -- sh -c "cat f; echo x > /tmp/x; cat /tmp/x"; ls -A /tmp | grep -v fill || true'`;
  assert.equal(await p.sh(script("mount -t tmpfs -o ro t /tmp"), dir), "told\nx");
  const full =
    "mount -t tmpfs -o size=4k,nr_inodes=3 t /tmp; head -c 10000 /dev/zero > /tmp/fill 2>/dev/null || true";
  assert.equal(await p.sh(script(full), dir), "told\nx");
});

everyone("a sandbox leaves nothing in the temporary directory", async (p) => {
  const cwd = p.dir(), temporary = p.dir();
  const env = { TMPDIR: temporary, HOME: "/" };
  ok(await p.isolate(["sh", "-c", "echo x > /tmp/x"], { cwd, env }));
  ok(await p.isolate(["-m", "copy:.", "sh", "-c", "echo x > x"], { cwd, env }));
  await p.isolate(["no-such-program"], { cwd, env });
  await p.isolate(["-m", "/x=absent", "true"], { cwd, env });
  assert.equal(await p.sh("ls -A", temporary), "");
  assert.equal(await p.sh("ls -A", cwd), "");
});

everyone("a deleted working directory", async (p) => {
  const dir = p.dir();
  const [cordon = ""] = (await import("../helpers/binary.ts")).cordonArgv([]);
  await p.sh(`mkdir gone; cd gone; rmdir ../gone; ! ${cordon} isolate -- true 2>/dev/null`, dir);
});
