/** `--explain`, `--emit FILE` and `--check` of `cordon isolate`. */
import assert from "node:assert/strict";
import { everyone, listing, ok, refused, rootOnly } from "../helpers/everyone.ts";
import { run } from "../helpers/run.ts";
import { asUserArgv } from "../helpers/user.ts";

everyone("--explain prints the Spec and every step, and does nothing", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir d", dir);
  const before = await listing(dir);
  const args = ["-m", "ro:d /x=none", "--hostname", "h", "--env", "A=b", "--", "sh", "-c", "touch d/ran"];
  const out = ok(await p.isolate(["--explain", ...args], { cwd: dir }));
  const end = out.indexOf("\n}\n");
  const spec = JSON.parse(out.slice(0, end + 2));
  assert.deepEqual(spec.command, ["sh", "-c", "touch d/ran"]);
  assert.deepEqual([spec.hostname, spec.env.A, spec.network.mode], ["h", "b", "none"]);
  assert.deepEqual(spec.mounts[0], {
    dest: `${dir}/d`,
    kind: "bind",
    readOnly: true,
    devices: false,
    optional: false,
    source: `${dir}/d`,
    atRealPath: true,
  });
  const steps = out.slice(end + 2);
  for (const call of ["clone(", "openat2(", "pivot_root(", "seccomp(", "execve(", `/d"`, `mount ${dir}/d`]) {
    assert.ok(steps.includes(call), call);
  }
  assert.ok(steps.indexOf("pivot_root(") < steps.indexOf("seccomp("));
  assert.equal(await listing(dir), before);
  // What would be refused is refused.
  refused(await p.isolate(["--explain", "-m", "absent", "true"], { cwd: dir }), /absent cannot be used/);
});

everyone("--emit saves a sandbox that needs no cordon", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir d other; echo told > d/f; echo secret > other/f", dir);
  const program = 'cat d/f; ls -A; echo "$A $(id -u) $(uname -n)"; touch d/x 2>/dev/null || echo ro; exit 7';
  const args = [
    "-m",
    "ro:d",
    "--env",
    "A=b",
    "--hostname",
    "h",
    "--emit",
    "image",
    "--",
    "sh",
    "-c",
    program,
  ];
  assert.equal(ok(await p.isolate(args, { cwd: dir })), "");
  assert.equal(await p.sh("stat -c '%a %u' image; ls -A", dir), `755 ${p.uid}\nd\nimage\nother`);
  const { code, stdout, stderr } = await run(
    p.name === "user" ? asUserArgv([`${dir}/image`]) : [`${dir}/image`],
    {
      cwd: "/",
      env: { PATH: undefined, A: "other" },
    },
  );
  assert.deepEqual([code, stdout, stderr], [7, `told\nd\nb ${p.uid} h\nro\n`, ""]);
  const size = (await Deno.stat(`${dir}/image`)).size;
  assert.ok(size < 200_000, `${size} bytes`);
});

everyone("--emit replaces a file in one step, follows no symlink, and says where it cannot", async (p) => {
  const dir = p.dir();
  await p.sh("echo old > image; echo precious > target; ln -s target link", dir);
  ok(await p.isolate(["--emit", "image", "true"], { cwd: dir, env: { HOME: "/" } }));
  ok(await p.isolate(["--emit", "link", "true"], { cwd: dir, env: { HOME: "/" } }));
  assert.equal(await p.sh("cat target; ./image; ./link; ls -A | wc -l", dir), "precious\n3");
  refused(
    await p.isolate(["--emit", "absent/image", "true"], { cwd: dir }),
    /cannot be saved as absent\/image/,
  );
  refused(
    await p.isolate(["--emit", "/proc/image", "true"], { cwd: dir }),
    /cannot be saved as \/proc\/image/,
  );
  assert.equal(await p.sh("ls -A | wc -l", dir), "3");
});

rootOnly("a saved sandbox refuses another uid", async (p) => {
  const dir = p.dir();
  await p.sh("chmod 755 .", dir);
  ok(await p.isolate(["-m", "/usr/share", "--emit", "image", "echo", "ran"], { cwd: dir }));
  assert.equal(await p.sh("./image", dir), "ran");
  const other = await run(asUserArgv([`${dir}/image`]), { cwd: "/" });
  refused(other, /This sandbox was saved by uid 0 and runs for nobody else/);
});

everyone("limits of a control group cannot be saved, others can", async (p) => {
  const dir = p.dir();
  const outcome = await p.isolate(["--memory", "64M", "--emit", "image", "true"], { cwd: dir });
  refused(outcome, p.name === "root" ? /A saved sandbox cannot hold limits/ : /memory/);
  ok(
    await p.isolate(["--time", "300ms", "--tmp-size", "1M", "--emit", "image", "sleep", "20"], { cwd: dir }),
  );
  assert.equal(await p.sh("./image || echo $?", dir), "124");
});

everyone("--check says that isolation works here", async (p) => {
  const { code, stdout } = await p.isolate(["--check"], { cwd: p.dir() });
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^ok +User namespace/m);
});
