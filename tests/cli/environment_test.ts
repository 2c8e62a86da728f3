/** What surrounds the program in `cordon isolate`: environment, identity, directory, umask, network, filter. */
import assert from "node:assert/strict";
import { everyone, ok, type Person, refused, userOnly } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";

const CAN = "PATH HOME USER LOGNAME SHELL LANG TERM TZ LC_ALL LC_TIME".split(" ");

async function inside(p: Person, args: string[], env: Record<string, string>): Promise<Map<string, string>> {
  const out = ok(await p.isolate([...args, "env", "-0"], { cwd: p.dir(), env }));
  const pairs = out.split("\0").filter((entry) => entry !== "").map((entry) => {
    const at = entry.indexOf("=");
    return [entry.slice(0, at), entry.slice(at + 1)] as const;
  });
  return new Map(pairs);
}

everyone("the environment passes by allow-list", async (p) => {
  const listed = Object.fromEntries(
    CAN.filter((name) => name !== "PATH").map((name) => [name, `/of/${name}`]),
  );
  const env = await inside(p, [], {
    ...listed,
    AWS_SECRET: "s",
    LCX: "no",
    JUPYTERHUB_API_TOKEN: "t",
    MAIL: "m",
  });
  env.delete("PATH");
  assert.deepEqual(Object.fromEntries(env), listed);
});

everyone("HOME, USER and LOGNAME are there when the caller has none", async (p) => {
  const env = await inside(p, [], { HOME: undefined as unknown as string });
  assert.ok(env.get("HOME")?.startsWith("/"));
  assert.ok(env.get("USER"));
  assert.equal(env.get("USER"), env.get("LOGNAME"));
});

everyone("--env sets, passes and wins; --keep-env passes by pattern", async (p) => {
  const outer = { A: "1", B: "2", SLURM_JOB_ID: "7", SLURM_X: "x\ny", SLURMX: "no", "Q?": "mark" };
  const args =
    "--env A --env=NEW=a=b --env EMPTY= --env ABSENT --env LANG=fi --keep-env SLURM_* --keep-env=Q?".split(
      " ",
    );
  const env = await inside(p, args, outer);
  const names = ["A", "B", "NEW", "EMPTY", "ABSENT", "LANG", "SLURM_JOB_ID", "SLURM_X", "SLURMX", "Q?"];
  assert.deepEqual(names.map((name) => env.get(name)), [
    "1",
    undefined,
    "a=b",
    "",
    undefined,
    "fi",
    "7",
    "x\ny",
    undefined,
    "mark",
  ]);
  assert.equal((await inside(p, ["--keep-env", "*"], outer)).get("SLURMX"), "no");
});

everyone("JPY_PARENT_PID becomes 1: the pid it names is not inside", async (p) => {
  assert.equal((await inside(p, [], { JPY_PARENT_PID: "4242" })).get("JPY_PARENT_PID"), "1");
  assert.equal((await inside(p, [], {})).get("JPY_PARENT_PID"), undefined);
});

everyone(
  "bytes that are not UTF-8, newlines and equal signs pass through the environment unharmed",
  async (p) => {
    const cwd = p.dir();
    const [cordon = ""] = (await import("../helpers/binary.ts")).cordonArgv([]);
    const script = `export ODD="$(printf 'a\\377\\200=b\\nc')"; exec ${cordon} isolate --keep-env ODD -- ` +
      `sh -c 'printf %s "$ODD" | od -An -tx1'`;
    assert.equal(await p.sh(script, cwd), "61 ff 80 3d 62 0a 63");
    const all =
      `export ODD="$(printf '\\377')" NI_QUIET=1; ln -s ${cordon} isolate.sh; exec ./isolate.sh printenv ODD`;
    const bytes = await p.sh(`(${all}) | od -An -tx1`, cwd);
    assert.equal(bytes, "ff 0a");
  },
);

everyone("a working directory and files whose names are not UTF-8", async (p) => {
  const cwd = p.dir();
  const [cordon = ""] = (await import("../helpers/binary.ts")).cordonArgv([]);
  const script =
    `d="$(printf 'b\\303\\050 \\n:,=%%\\377')x"; mkdir "$d"; cd "$d"; echo told > "$(printf 'f\\376')"; ` +
    `${cordon} isolate -- sh -c 'cat f*; pwd | od -An -c | tail -3; echo new > g'; cat g`;
  const out = await p.sh(script, cwd);
  assert.match(out, /^told\n/);
  assert.match(out, /377 {3}x/);
  assert.match(out, /\nnew$/);
});

everyone("--workdir: where it starts; it must be there", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir -p a/b; echo t > a/b/f", dir);
  assert.equal(ok(await p.isolate(["-m", "a", "--workdir", "a/b", "cat", "f"], { cwd: dir })), "t");
  assert.equal(ok(await p.isolate(["--workdir=/usr/share", "pwd"], { cwd: dir })), "/usr/share");
  refused(
    await p.isolate(["-m", "a", "--workdir", "nowhere", "pwd"], { cwd: dir }),
    /Enter .*nowhere: ENOENT/,
  );
});

everyone("a working directory that is not shown: the program starts at home", async (p) => {
  const cwd = p.dir(), home = p.dir();
  assert.equal(ok(await p.isolate(["-m", "ro:/usr", "pwd"], { cwd, env: { HOME: home } })), home);
});

for (const mask of ["002", "077", "000", "0777"]) {
  everyone(`umask ${mask} is kept`, async (p) => {
    const dir = p.dir();
    const [cordon = ""] = (await import("../helpers/binary.ts")).cordonArgv([]);
    const script =
      `umask ${mask}; HOME=/srv/me ${cordon} isolate -- sh -c 'umask; : > f; mkdir d; : > /tmp/x; : > ~/x'; ` +
      `stat -c %a f d`;
    const octal = parseInt(mask, 8);
    const want = [0o666 & ~octal, 0o777 & ~octal].map((mode) => mode.toString(8));
    assert.equal(await p.sh(script, dir), [mask.padStart(4, "0"), ...want].join("\n"));
  });
}

everyone("a course directory shared by its group keeps its group and setgid bit", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir course; chmod 2770 course", dir);
  ok(
    await p.isolate(["-m", "course", "sh", "-c", "umask 007; mkdir course/sub; : > course/sub/f"], {
      cwd: dir,
    }),
  );
  assert.equal(await p.sh("stat -c '%a %g' course/sub course/sub/f", dir), `2770 ${p.uid}\n660 ${p.uid}`);
});

everyone("--hostname, and a host name of its own otherwise", async (p) => {
  const cwd = p.dir();
  const script = "uname -n; cat /etc/hostname; getent hosts $(uname -n) | cut -d' ' -f1";
  assert.equal(ok(await p.isolate(["sh", "-c", script], { cwd })), "cordon\ncordon\n127.0.0.1");
  assert.equal(ok(await p.isolate(["--hostname", "exam-1.local", "uname", "-n"], { cwd })), "exam-1.local");
  assert.notEqual(await p.sh("uname -n", cwd), "exam-1.local");
  refused(await p.isolate(["--hostname", "a b", "true"], { cwd }), /"a b" for --hostname/);
});

everyone("--network none has the loopback alone, host is the caller's", async (p) => {
  const cwd = p.dir();
  const own = await p.sh("readlink /proc/self/ns/net", cwd);
  const net = async (...args: string[]) =>
    ok(await p.isolate([...args, "readlink", "/proc/self/ns/net"], { cwd }));
  assert.equal(await net("--network", "host"), own);
  assert.notEqual(await net(), own);
  assert.notEqual(await net("--network=none"), own);
  const up =
    "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname()); print('up')";
  assert.equal(ok(await p.isolate(["python3", "-c", up], { cwd })), "up");
  assert.equal(ok(await p.isolate(["sh", "-c", "cat /proc/net/dev | grep -c :"], { cwd })), "1");
  refused(
    await p.isolate(["--no-net", "true"], { cwd }),
    /--no-net is not accepted/,
    /hint: cordon isolate --network host/,
  );
}, { needs: [program("python3")] });

everyone("--sys shows /sys read-only", async (p) => {
  const cwd = p.dir();
  assert.equal((await p.isolate(["ls", "/sys"], { cwd })).code, 2);
  const script =
    'ls -d /sys/class /sys/devices; touch /sys/x 2>/dev/null || echo ro; awk \'$2 ~ "^/sys" && $4 ~ "^rw"\' /proc/mounts';
  assert.equal(ok(await p.isolate(["--sys", "sh", "-c", script], { cwd })), "/sys/class\n/sys/devices\nro");
});

/** A profile in the manner of Docker's: what is not listed fails, and a rule with arguments. */
const PROFILE = {
  defaultAction: "SCMP_ACT_ALLOW",
  architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
  syscalls: [
    { names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 122 },
    { names: ["no_such_call_of_any_kernel"], action: "SCMP_ACT_ERRNO" },
    { names: ["personality"], action: "SCMP_ACT_ERRNO", args: [{ index: 0, value: 8, op: "SCMP_CMP_EQ" }] },
  ],
};

everyone("--seccomp FILE replaces the filter by a Docker profile", async (p) => {
  const cwd = p.dir();
  await Deno.writeTextFile(`${cwd}/profile.json`, JSON.stringify(PROFILE));
  const { code, stderr } = await p.isolate(["--seccomp", "profile.json", "sh", "-c", "mkdir d"], { cwd });
  assert.equal(code, 1);
  assert.match(stderr, /Disk quota exceeded/); // 122, EDQUOT
  assert.equal(
    ok(await p.isolate(["--seccomp", "profile.json", "sh", "-c", "echo x > f; cat f"], { cwd })),
    "x",
  );
  await Deno.writeTextFile(`${cwd}/bad.json`, "{");
  refused(await p.isolate(["--seccomp", "bad.json", "true"], { cwd }), /bad\.json|profile/);
  refused(
    await p.isolate(["--seccomp", "none.json", "true"], { cwd }),
    /Seccomp profile none\.json cannot be read/,
  );
  await Deno.writeTextFile(
    `${cwd}/kind.json`,
    JSON.stringify({ ...PROFILE, defaultAction: "SCMP_ACT_WHAT" }),
  );
  refused(await p.isolate(["--seccomp", "kind.json", "true"], { cwd }), /SCMP_ACT_WHAT/);
});

userOnly("--nested: a sandbox inside the sandbox, by unshare and by cordon itself", async (p) => {
  const cwd = p.dir();
  const script = "unshare -Ur --mount sh -c 'mount -t tmpfs t /tmp && id -u'";
  assert.equal(ok(await p.isolate(["--nested", "sh", "-c", script], { cwd })), "0");
  const without = await p.isolate(["sh", "-c", script], { cwd });
  assert.notEqual(without.code, 0);
  assert.match(without.stderr, /unshare failed/);
  const [cordon = ""] = (await import("../helpers/binary.ts")).cordonArgv([]);
  const again = [cordon, "isolate", "-m", cwd, "--", "sh", "-c", "pwd; echo $$; id -u; ls /"];
  const outer = ["--nested", "-m", `. ro:${cordon}`, "--", ...again];
  const [pwd, pid, id] = ok(await p.isolate(outer, { cwd })).split("\n");
  assert.deepEqual([pwd, pid, id], [cwd, "2", String(p.uid)]);
  // Without --nested the inner one says what is missing.
  refused(
    await p.isolate(["-m", `. ro:${cordon}`, "--", ...again], { cwd }),
    /Create namespaces: (EPERM|ENOSPC)/,
    /hint:/,
  );
}, { needs: [program("unshare")] });

everyone("--nested is refused for root", async (p) => {
  const outcome = await p.isolate(["--nested", "true"], { cwd: p.dir() });
  if (p.name === "root") refused(outcome, /--nested is not for root/, /hint: run it as an ordinary user/);
  else ok(outcome);
});
