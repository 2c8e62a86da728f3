/** Mounts that are not plain binds, mounts as JSON, and a directory of one's own as the root. */
import assert from "node:assert/strict";
import { everyone, listing, ok, refused } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";

const json = (mount: Record<string, unknown>) => ["--mount", JSON.stringify(mount)];

everyone("--mount takes names with spaces, colons, commas, equal signs and newlines", async (p) => {
  const dir = p.dir();
  const name = "a b:c,d=e\nf ~";
  await p.sh('mkdir "$(printf "a b:c,d=e\\nf ~")"; cd a*; echo told > f', dir);
  const cat = (path: string) => ["cat", `${path}/f`];
  assert.equal(ok(await p.isolate([...json({ dest: `${dir}/${name}` }), ...cat(`${dir}/${name}`)])), "told");
  const args = json({ dest: "/x y", source: name, flags: ["ro"] });
  assert.equal(ok(await p.isolate([...args, ...cat("/x y")], { cwd: dir })), "told");
  const both = [...args, "-m", "/z=.", "sh", "-c", 'touch "/x y/g" 2>/dev/null || echo ro; ls -A /z | wc -l'];
  assert.equal(ok(await p.isolate(both, { cwd: dir })), "ro\n2"); // the newline counts
});

everyone("--mount hides with source none; a file of that name needs a path", async (p) => {
  const dir = p.dir();
  await p.sh("echo 1 > f; echo named > none", dir);
  const hide = json({ dest: "f", source: "none" });
  assert.equal(ok(await p.isolate(["-m", ".", ...hide, "cat", "f"], { cwd: dir })), "");
  const bind = json({ dest: "f", source: "./none" });
  assert.equal(ok(await p.isolate(["-m", ".", ...bind, "cat", "f"], { cwd: dir })), "named");
});

everyone("copy: changes stay inside", async (p) => {
  const dir = p.dir();
  await p.sh(
    "mkdir -p d/sub; echo 1 > d/f; echo 2 > d/sub/g; ln -s sub/g d/l; ln -s /etc/passwd d/out; chmod 750 d/f",
    dir,
  );
  const before = await listing(dir);
  const script = "cat d/f d/l; stat -c %a d/f; readlink d/out; echo new > d/f; rm -r d/sub; cat d/f; ls -A d";
  const out = ok(await p.isolate(["-m", "copy:d", "sh", "-c", script], { cwd: dir }));
  assert.equal(out, "1\n2\n750\n/etc/passwd\nnew\nf\nl\nout");
  const file = await p.isolate(["-m", "copy:/srv/f=d/f", "sh", "-c", "echo x >> /srv/f; cat /srv/f"], {
    cwd: dir,
  });
  assert.equal(ok(file), "1\nx");
  const kept = await p.isolate(["-m", "ro,copy:d", "sh", "-c", "cat d/f; touch d/x 2>/dev/null || echo ro"], {
    cwd: dir,
  });
  assert.equal(ok(kept), "1\nro");
  assert.equal(await listing(dir), before);
});

everyone("copy: what does not fit or cannot be read is an error", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir d; truncate -s 20M sparse; head -c 9000000 /dev/zero > d/big", dir);
  const full = await p.isolate(["--tmp-size", "4M", "-m", "copy:d", "echo", "ran"], { cwd: dir });
  assert.deepEqual([full.code, full.stdout], [125, ""]);
  assert.match(full.stderr, /No space left/);
  assert.match(full.stderr, /^cordon: Copy .*\/d/m);
});

everyone("overlay: changes stay inside, removals too", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir -p d/sub; echo 1 > d/f; echo 2 > d/sub/g; chmod 755 d", dir);
  const before = await listing(dir);
  const script = "cat d/f; echo new > d/f; echo more > d/h; rm -r d/sub; cat d/f; ls -A d";
  const outcome = await p.isolate(["-m", "overlay:d", "sh", "-c", script], { cwd: dir });
  if (outcome.code === 125) refused(outcome, /overlay/i); // kernels up to 6.1 fail the removal
  else assert.equal(ok(outcome), "1\nnew\nf\nh");
  assert.equal(await listing(dir), before);
});

everyone("overlay: two of them, and one over files of others", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a b; echo a > a/f; echo b > b/f", dir);
  const script = "echo x >> a/f; rm b/f; cat a/f; ls -A b; ls /srv/usr | grep -c bin";
  const outcome = await p.isolate(["-m", "overlay:a overlay:b overlay:/srv/usr=/usr", "sh", "-c", script], {
    cwd: dir,
  });
  if (outcome.code === 125) refused(outcome, /overlay/i);
  else assert.equal(ok(outcome), "a\nx\n2");
});

everyone("overlay of a file is refused", async (p) => {
  const dir = p.dir();
  await p.sh("touch f", dir);
  refused(
    await p.isolate(["-m", "overlay:f", "true"], { cwd: dir }),
    /Overlay source .*f is not a directory/,
  );
});

everyone("tmp: an empty directory, also inside another mount", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir -p d/scratch; echo kept > d/scratch/f", dir);
  const script =
    "ls -A d/scratch; echo x > d/scratch/g; cat d/scratch/g; stat -c %a d/scratch /srv/t; touch /srv/t/x";
  assert.equal(
    ok(await p.isolate(["-m", "d tmp:d/scratch tmp:/srv/t", "sh", "-c", script], { cwd: dir })),
    "x\n1777\n1777",
  );
  assert.equal(await p.sh("ls -A d/scratch", dir), "f");
  const ro = await p.isolate(["-m", "ro,tmp:/srv/t", "sh", "-c", "touch /srv/t/x 2>/dev/null || echo ro"], {
    cwd: dir,
  });
  assert.equal(ok(ro), "ro");
});

everyone("tmp: mounts inside it, which lies inside another", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir -p d/t data; echo 1 > data/f; echo 2 > data/g", dir);
  const before = await listing(dir);
  const script = "cat d/t/in/f d/t/g; ls d/t; touch d/t/in/h && rm d/t/in/h";
  for (const flags of ["tmp", "ro,tmp"]) {
    const list = `d ${flags}:d/t d/t/in=data ro:d/t/g=data/g`;
    assert.equal(ok(await p.isolate(["-m", list, "sh", "-c", script], { cwd: dir })), "1\n2\ng\nin");
  }
  assert.equal(await listing(dir), before);
});

everyone(
  "what is mounted inside a tmp mount stays inside, although a symlink stands on the way",
  async (p) => {
    const dir = p.dir(), victim = p.dir();
    await p.sh(`mkdir s data; ln -s ${victim} s/out; echo told > data/f`, dir);
    // The symlink leads to a directory that is there outside as well as inside.
    const list = `/x=s ${victim}=data tmp:/x/out /x/out/made=data/f tmp:/x/out/deep/er`;
    const script = `cat /x/out/made; ls /x/out; ls ${victim}; touch /x/out/deep/er/f`;
    assert.equal(
      ok(await p.isolate(["-m", list, "sh", "-c", script], { cwd: dir })),
      "told\ndeep\nmade\ndeep\nmade",
    );
    assert.equal(await p.sh("ls -A", victim), "");
    assert.equal(await p.sh("ls data", dir), "f");
  },
);

everyone("a root of one's own whose /dev or /proc is a symlink is refused", async (p) => {
  const dir = p.dir(), victim = p.dir();
  await p.sh(`mkdir -p r/proc r/bin; ln -s ${victim} r/dev`, dir);
  refused(await p.isolate(["-m", "/=r", "true"], { cwd: dir }), /Root .*r has no directory \/dev/);
  assert.equal(await p.sh("ls -A", victim), "");
});

everyone("dev: device nodes work, otherwise they do not", async (p) => {
  const read = ["head", "-c3", "/srv/zero"];
  const cwd = p.dir();
  const without = await p.isolate(["-m", "/srv/zero=/dev/zero", ...read], { cwd });
  assert.equal(without.code, 1);
  assert.match(without.stderr, /Permission denied/);
  assert.equal((await p.isolate(["-m", "dev:/srv/zero=/dev/zero", ...read], { cwd })).bytes.length, 3);
});

everyone("try: a source that is missing is skipped, one that is there is not", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a; echo 1 > a/f; touch plain", dir);
  const list = `try:absent ro,try:a try:${dir}/plain/below try:/x=${dir}/absent/deep`;
  assert.equal(
    ok(await p.isolate(["-m", list, "sh", "-c", `cat a/f; ls; ls -d /x 2>/dev/null || true`], { cwd: dir })),
    "1\na",
  );
});

everyone("a directory of one's own as the root", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir -p r/bin r/proc r/dev r/tmp; cp /bin/busybox r/bin/sh; echo mine > r/f", dir);
  const script =
    "echo $(ls / /dev | wc -w); read -r x < /f; echo $x; echo > /dev/null; test -e /proc/self && echo proc; ls -d /usr /etc";
  const outcome = await p.isolate([
    "-m",
    "/=r",
    "--workdir",
    "/",
    "/bin/sh",
    "-c",
    script.replaceAll(/\bls\b/g, "busybox ls"),
  ], { cwd: dir });
  assert.match(outcome.stdout, /mine\nproc\n/);
}, { needs: [program("busybox")] });
