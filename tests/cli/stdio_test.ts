/** Descriptors: what the target gets, what it must not get, and that its input and output are those of the caller. */
import assert from "node:assert/strict";
import { executable } from "../helpers/binary.ts";
import { everyone, ok, type Person, rootOnly } from "../helpers/everyone.ts";
import { program, userns } from "../helpers/need.ts";
import { eventually, running, sandboxOf, whileIsolated, whileRunning } from "../helpers/processes.ts";
import { PYTHON } from "../helpers/pty.ts";

/** Runs a shell script as this person, with $C a quick `cordon isolate`. The script's own stderr is kept apart. */
function script(p: Person, text: string, dir: string): Promise<string> {
  return p.sh(`exec 2>&1; C() { ${executable()} isolate -m '. ro:/usr' "$@"; }; ${text}`, dir);
}

const LIST = "ls /proc/self/fd | tr '\\n' ' '";

// ---------------------------------------------------------------------------------------------- which descriptors

everyone("leaked descriptors are closed, --keep-fd keeps", async (p) => {
  const dir = p.dir();
  await p.sh("echo kept >kept", dir);
  // ls itself holds one: the directory it lists.
  assert.equal(await script(p, `C -- sh -c "${LIST}" 7<kept 9<kept`, dir), "0 1 2 3");
  assert.equal(
    await script(p, `C --keep-fd 7 -- sh -c "${LIST}; cat <&7" 7<kept 9<kept`, dir),
    "0 1 2 3 7 kept",
  );
  assert.equal(
    await script(p, `C --keep-fd 9 --keep-fd 7 -- sh -c "${LIST}" 7<kept 9<kept`, dir),
    "0 1 2 3 7 9",
  );
});

everyone("a descriptor of any number is kept, beside mounts of every kind", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir tree; echo kept >kept", dir);
  const numbers = Array.from({ length: 20 }, (_, i) => 190 + i);
  const python = `
import fcntl, os, sys
exe, tree, *numbers = sys.argv[1:]
for number in map(int, numbers):
    fcntl.fcntl(os.open("kept", os.O_RDONLY), fcntl.F_DUPFD, number)
keep = [word for number in numbers for word in ("--keep-fd", number)]
read = "for n in %s; do read -r word </proc/self/fd/$n; echo $word; done" % " ".join(numbers)
os.execv(exe, [exe, "isolate", "-m", f"ro:/usr copy:/copied={tree}", *keep, "--", "sh", "-c", read])`;
  const argv = [executable(), "tree", ...numbers].join(" ");
  const said = await p.sh(`python3 -c '${python}' ${argv} </dev/null`, dir);
  assert.deepEqual(said.split("\n"), numbers.map(() => "kept"));
}, { needs: [program("python3")] });

everyone("few descriptors are enough", async (p) => {
  const dir = p.dir();
  assert.equal(
    await script(p, "ulimit -n 40; C --time 9 --output 1k -- echo here </dev/null >out; cat out", dir),
    "here",
  );
});

everyone("a pipe or a link that the caller mounts as /dev/null is not taken for it", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir pipes links; mkfifo pipes/null pipes/console; ln -s /etc/passwd links/null", dir);
  for (const device of ["pipes", "links"]) {
    const { code, stdout, stderr } = await p.isolate(["-m", `. /dev=${device}`, "--", "echo", "here"], {
      cwd: dir,
    });
    assert.deepEqual([code, stdout, stderr], [0, "here\n", ""]);
  }
});

everyone("a descriptor of a directory would be a way out and is refused, on stdin too", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir in out; echo secret >out/file", dir);
  const refusal = (fd: number) =>
    `cordon: Descriptor ${fd} is a directory or a path: it would be a way out of the sandbox\n125`;
  const cases: [string, number][] = [["</", 0], ["<../out", 0], ["--keep-fd 5 5<../out", 5], ["2>&1 1</", 1]];
  for (const [words, fd] of cases) {
    const [options = "", redirection = ""] = words.startsWith("--")
      ? ["--keep-fd 5", "5<../out"]
      : ["", words];
    const text = `C ${options} -- sh -c 'touch ran' ${redirection} || echo $?`;
    const expected = fd === 1 ? refusal(fd).replace("\n", "\n") : refusal(fd);
    assert.equal(await script(p, text, `${dir}/in`), expected, words);
  }
  assert.deepEqual([...Deno.readDirSync(`${dir}/in`)], []);
});

// The same set-up without the check: pivot_root and all, and the neighbour's file is read.
everyone("the escape that the refusal is for", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir in out; echo secret >out/file", dir);
  const build = `mount -t tmpfs none in; mkdir in/usr in/proc in/old
mount --rbind /usr in/usr; ln -s usr/bin in/bin; ln -s usr/lib in/lib; ln -s usr/lib64 in/lib64; mount --rbind /proc in/proc
cd in; pivot_root . old; umount -l /old; exec /usr/bin/env -i PATH=/usr/bin sh -c 'ls /out || cat /proc/self/fd/0/file'`;
  const argv = "unshare --user --map-root-user --mount --propagation private";
  assert.match(
    await p.sh(`${argv} sh -euc '${build.replaceAll("'", `'\\''`)}' 2>/dev/null <out`, dir),
    /secret/,
  );
}, { needs: [userns] });

everyone("an O_PATH descriptor is refused", async (p) => {
  const dir = p.dir();
  const python = `
import os, sys
fd = os.open("/etc/passwd", os.O_PATH)
os.dup2(fd, int(sys.argv[1]))
os.execv(sys.argv[2], sys.argv[2:])`;
  await Deno.writeTextFile(`${dir}/opath.py`, python);
  for (const [fd, options] of [[0, ""], [8, "--keep-fd 8"]] as const) {
    const text = `${PYTHON} opath.py ${fd} ${executable()} isolate ${options} -- true || echo $?`;
    assert.match(
      await script(p, text, dir),
      new RegExp(`^cordon: Descriptor ${fd} is a directory or a path: .*\n125$`),
    );
  }
}, { needs: [program(PYTHON)] });

// ---------------------------------------------------------------------------------------------- regular files

const OVERWRITE = "echo overwritten >/proc/self/fd/0";

everyone("a file on stdin cannot be reopened for writing", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir in; echo mine >input", dir);
  const cwd = `${dir}/in`;
  assert.equal(await script(p, "C -- cat <../input", cwd), "mine");
  await script(p, `C -- sh -c '${OVERWRITE}; :' <../input`, cwd);
  assert.equal(Deno.readTextFileSync(`${dir}/input`), "mine\n");
  // With the file itself it works, although it is open for reading only and not visible inside.
  await script(p, `C --raw-stdio -- sh -c '${OVERWRITE}' <../input`, cwd);
  assert.equal(Deno.readTextFileSync(`${dir}/input`), "overwritten\n");
});

everyone("a file on stdout cannot be read or truncated", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir in; echo earlier >log", dir);
  const cwd = `${dir}/in`;
  const read = "dd if=/proc/$$/fd/1 iflag=nonblock bs=100 count=1 status=none >&2";
  const attack = `${read} 2>/dev/null; : >/proc/self/fd/1; echo later`;
  assert.equal(await script(p, `C -- bash -c '${attack}' >>../log`, cwd), "");
  assert.equal(Deno.readTextFileSync(`${dir}/log`), "earlier\nlater\n");
  // With the file itself both work.
  assert.equal(
    await script(p, `C --raw-stdio -- bash -c '${read}; : >/proc/self/fd/1' >>../log`, cwd),
    "earlier\nlater",
  );
  assert.equal(Deno.readTextFileSync(`${dir}/log`), "");
});

everyone("--raw-stdio hands files down as they are", async (p) => {
  const dir = p.dir();
  await p.sh("seq 3 >input", dir);
  const kind = "stat -L -c %F /proc/self/fd/0 /proc/self/fd/1";
  assert.equal(await script(p, `C -- ${kind} <input >out; cat out`, dir), "fifo\nfifo");
  assert.equal(
    await script(p, `C --raw-stdio -- ${kind} <input >out; cat out`, dir),
    "regular file\nregular empty file",
  );
});

everyone("large files arrive whole, in and out", async (p) => {
  const dir = p.dir();
  await p.sh("head -c 3000001 /dev/urandom >input", dir);
  await script(p, "C -- cat <input >out", dir);
  assert.equal(await p.sh("cmp input out && echo same", dir), "same");
  await script(p, "C --output 100M -- cat <input >out", dir);
  assert.equal(await p.sh("cmp input out && echo same", dir), "same");
});

everyone("a file that cannot be spliced is copied", async (p) => {
  assert.equal(await script(p, "C -- cat </proc/self/status | grep -c ^Name", p.dir()), "1");
});

everyone("what the target leaves of its input is the next reader's", async (p) => {
  const dir = p.dir();
  await p.sh("seq 5 >list; seq 100000 >long", dir);
  assert.equal(
    await script(p, "while read n; do C -- echo got $n; done <list", dir),
    "got 1\ngot 2\ngot 3\ngot 4\ngot 5",
  );
  assert.equal(await script(p, "{ C -- sh -c 'read a; read b; echo $b'; cat; } <list", dir), "2\n3\n4\n5");
  assert.equal(
    await script(p, "{ C -- sh -c 'read a'; cmp - long; } <long || :", dir).then((out) =>
      /line 1$/.test(out)
    ),
    true,
  );
  assert.equal(await script(p, "{ C -- cat >/dev/null; wc -c; } <long", dir), "0");
});

everyone("appended output is appended, also beside another writer", async (p) => {
  const dir = p.dir();
  await script(
    p,
    "echo first >log; C -- echo second >>log; (C -- sh -c 'echo third'; echo fourth) >>log",
    dir,
  );
  assert.equal(Deno.readTextFileSync(`${dir}/log`), "first\nsecond\nthird\nfourth\n");
});

everyone("2>&1 keeps the order of the two", async (p) => {
  const dir = p.dir();
  const loop = "i=0; while [ $i -lt 200 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done";
  const expected = Array.from({ length: 200 }, (_, i) => `o${i}\ne${i}`).join("\n");
  await script(p, `C -- sh -c '${loop}' >log 2>&1`, dir);
  assert.equal(Deno.readTextFileSync(`${dir}/log`).trim(), expected);
  assert.equal(await script(p, `C -- sh -c '${loop}' 2>&1 | cat`, dir), expected);
  assert.equal(await script(p, `C --output 1M -- sh -c '${loop}' 2>&1 | cat`, dir), expected);
  await script(p, `C -- sh -c '${loop}' >out 2>err`, dir);
  assert.equal(Deno.readTextFileSync(`${dir}/err`).trim(), expected.replace(/^o\d+\n/gm, ""));
});

// ---------------------------------------------------------------------------------------------- ends and failures

everyone("closed stdin, stdout and stderr", async (p) => {
  const dir = p.dir();
  assert.equal(await script(p, "C -- cat <&-", dir), "");
  assert.equal(await script(p, "C -- sh -c 'echo lost; echo told >&2' >&-", dir), "told");
  assert.equal(await script(p, "C -- sh -c 'echo said; echo lost >&2' 2>&-", dir), "said");
  // Nothing else takes their numbers.
  assert.equal(
    await script(
      p,
      `C -- sh -c 'readlink /proc/self/fd/0 /proc/self/fd/2 >said' <&- >&- 2>&-; cat said`,
      dir,
    ),
    "/dev/null\n/dev/null",
  );
});

everyone("readers see the end when the target closes its output, although it runs on", async (p) => {
  const dir = p.dir();
  for (const options of ["", "--output 1M"]) {
    const text =
      `${executable()} isolate ${options} -m ro:/usr -- sh -c 'echo said; exec >&- 2>&-; exec sleep 600' 2>&1 | { cat; echo end; }`;
    await whileRunning(p, ["sh", "-c", text], async (s) => {
      await s.expect(/said\nend\n/);
      const monitor = await eventually("the sandbox, still there", () => find(s.pid, "cordon-monitor"));
      const { target } = await sandboxOf(monitor);
      assert.equal(running(target.pid)?.comm, "sleep");
      Deno.kill(monitor, "SIGKILL");
    }, { cwd: dir });
  }
});

/** The pid below `pid` with this name. */
function find(pid: number, comm: string): number | undefined {
  for (const { name } of Deno.readDirSync("/proc")) {
    const one = /^\d+$/.test(name) ? running(Number(name)) : undefined;
    if (one?.comm === comm && one.parent === pid) return one.pid;
  }
  return undefined;
}

everyone("one limited stream ends for its reader while the other goes on", async (p) => {
  const dir = p.dir();
  const text =
    `mkfifo err; (cat <err; echo ended) & exec ${executable()} isolate --output 9M -m ro:/usr -- ` +
    `sh -c 'exec 2>&-; exec sleep 60' >out 2>err`;
  await whileRunning(p, ["sh", "-c", text], (s) => s.expect(/ended/), { cwd: dir });
});

everyone("a reader that goes away ends the writer", async (p) => {
  const dir = p.dir();
  for (const options of ["", "--output 100M"]) {
    assert.equal(
      await script(p, `{ C ${options} -- sh -c 'yes; echo $? >status'; } | head -n 1; cat status`, dir),
      "y\n141",
    );
  }
});

everyone("output that cannot be written is told, and is no success", async (p) => {
  const dir = p.dir();
  assert.match(
    await script(p, "C -- echo lost >/dev/full || echo $?", dir),
    /echo: .*No space left on device\n1$/,
  );
  const pumped = await script(p, "C --output 1M -- echo lost >/dev/full || echo $?", dir);
  assert.equal(pumped, "cordon: Write to stdout: ENOSPC (No space left on device)\n125");
});

rootOnly("a full disk under stdout is told", async (p) => {
  const dir = p.dir();
  const text =
    `mount -t tmpfs -o size=64k none full; (yes | head -c 100000 | ${executable()} isolate -- cat) >full/out; echo $?`;
  const out = await p.sh(`mkdir full; exec 2>&1; unshare --mount sh -c '${text}'`, dir);
  assert.match(out, /^cordon: Write to stdout: ENOSPC \(No space left on device\)\n125$/m);
});

everyone("a time limit holds though nobody reads the output", async (p) => {
  const dir = p.dir();
  const text =
    `mkfifo pipe; sleep 60 <pipe >/dev/null 2>&1 & r=$!; ${executable()} isolate --time 0.3 --output 9M -- yes >pipe || echo $?; kill $r`;
  assert.equal(await p.sh(text, dir), "124");
});

everyone("a signal ends it though nobody reads what is left", async (p) => {
  const dir = p.dir();
  const text = `mkfifo out; sleep 60 <out >/dev/null 2>&1 & echo reader $!
exec ${executable()} isolate --output 9M -m ro:/usr -- sh -c 'yes | head -c 200000' >out`;
  await whileRunning(p, ["sh", "-c", text], async (s) => {
    await sandboxOf(s.pid);
    s.kill("SIGTERM");
    s.kill("SIGTERM");
    const reader = Number(/reader (\d+)/.exec(s.said())?.[1]);
    await eventually(
      "the end",
      () => running(s.pid) === undefined || running(s.pid)?.state === "Z" || (s.kill("SIGTERM"), false),
    );
    Deno.kill(reader, "SIGKILL");
    await s.end;
  }, { cwd: dir });
});

everyone("--output counts both streams, and nothing more passes", async (p) => {
  const dir = p.dir();
  const text = "C --output 10 -- sh -c 'printf 12345; printf 67890 >&2; printf more' >out 2>err || echo $?";
  assert.equal(await script(p, text, dir), "137");
  assert.equal((Deno.readTextFileSync(`${dir}/out`) + Deno.readTextFileSync(`${dir}/err`)).length, 10);
  assert.equal(await script(p, "C --output 5 -- echo 1234 || echo $?", dir), "1234");
});

everyone("stdin of a running target can be a socket or a pipe, as it is", async (p) => {
  const dir = p.dir();
  assert.equal(await script(p, "echo word | C -- cat", dir), "word");
  await whileIsolated(p, ["-m", "ro:/usr", "--", "stat", "-L", "-c", "%F", "/proc/self/fd/0"], async (s) => {
    assert.equal(ok({ ...(await s.end), bytes: new Uint8Array() }), "character special file");
  });
});
