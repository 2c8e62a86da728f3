/** The plan of a sandbox's root, on made-up machines: what shows where, and what is refused. */
import assert from "node:assert/strict";
import { planRoot } from "../../../lib/engine/namespaces/root.ts";
import type { CordonError } from "../../../lib/errors.ts";
import { parseMountJson } from "../../../lib/spec/mounts.ts";
import { Inside, madeUpFs } from "../../helpers/made_up_fs.ts";
import { fs, HOST, inside, mountsOf, refusal, shows, specOf } from "./made_up_host.ts";

// ------------------------------------------------------------------------------------------------ the bare root

Deno.test("the bare root: the system read-only, its symlinks made anew, nothing of anybody's", () => {
  assert.equal(shows("", "/usr/bin/sh"), "/usr/bin/sh ro");
  assert.equal(shows("", "/bin/sh"), "/usr/bin/sh ro");
  assert.equal(shows("", "/lib64"), "/usr/lib64 ro");
  assert.equal(inside("").look("/bin").path, "/usr/bin");
  for (
    const path of ["/home/ann/.bashrc", "/home/ann/w", "/m", "/u", "/data", "/etc/shadow", "/run/resolv.conf"]
  ) {
    assert.equal(shows("", path), "nothing", path);
  }
});

Deno.test("the bare root: /tmp for everybody, HOME there and empty, no library directory the host lacks", () => {
  const root = inside("");
  for (const path of ["/tmp", "/var/tmp", "/dev/shm"]) assert.equal(root.look(path).mode, 0o1777, path);
  assert.deepEqual([root.look("/home/ann").type, root.look("/home/ann").host], ["directory", undefined]);
  assert.equal(root.look("/libx32").type, undefined);
  assert.equal(root.look("/proc").how, "proc");
  assert.equal(root.look("/dev/pts").how, "devpts");
});

Deno.test("devices work and are the only ones that do; the host's /dev is not shown", () => {
  const root = inside("/home/ann/w");
  for (const name of ["null", "zero", "full", "random", "urandom", "tty"]) {
    const { host, devices, how } = root.look(`/dev/${name}`);
    assert.deepEqual({ host, devices, how }, { host: `/dev/${name}`, devices: true, how: "bind" });
  }
  assert.equal(root.look("/usr").devices, false);
  assert.equal(root.look("/home/ann/w").devices, false);
  assert.equal(inside("dev:/home/ann/w").look("/home/ann/w").devices, true);
  assert.equal(root.look("/dev/sda").type, undefined);
});

Deno.test("/etc is generated; a network brings the host's names of hosts", () => {
  const alone = inside("");
  assert.match(alone.look("/etc/passwd").content!, /^ann:x:1234:5678::\/home\/ann:\/bin\/sh$/m);
  assert.match(alone.look("/etc/group").content!, /^staff:x:5678:$/m);
  assert.match(alone.look("/etc/hosts").content!, /^127\.0\.0\.1 localhost box$/m);
  assert.equal(alone.look("/etc/resolv.conf").type, undefined);
  assert.equal(alone.look("/etc/ld.so.cache").host, "/etc/ld.so.cache");
  const online = inside("", {}, { network: { mode: "host", allow: [] } });
  assert.equal(online.look("/etc/hosts").host, "/etc/hosts");
  assert.equal(online.look("/etc/resolv.conf").host, "/run/resolv.conf");
  assert.equal(online.look("/etc/resolv.conf").readOnly, true);
  assert.equal(inside("", {}, { root: { assembleAt: "/tmp", etc: false } }).look("/etc").type, undefined);
});

Deno.test("files of the Spec are made in memory of our own", () => {
  const root = inside("", {}, { files: [{ path: "/run/cordon/key", content: "secret" }] });
  assert.equal(root.look("/run/cordon/key").content, "secret");
  assert.equal(root.look("/run/cordon").mode, 0o700);
});

// ------------------------------------------------------------------------------------------------ names

Deno.test("an absolute mount shows at its name, a source elsewhere, read-only where asked", () => {
  assert.equal(shows("/home/ann/w", "/home/ann/w/file"), "/home/ann/w/file rw");
  assert.equal(shows("/home/ann/w", "/home/ann/x"), "nothing");
  assert.equal(shows("ro:/home/ann/w", "/home/ann/w/file"), "/home/ann/w/file ro");
  assert.equal(shows("/mnt/here=/data/b", "/mnt/here"), "/data/b rw");
  assert.equal(shows("ro:/mnt/f=/data/file", "/mnt/f"), "/data/file ro");
});

Deno.test("symlinked homes: both names lead to the same place, typed either way", () => {
  const where = { home: "/u/ann", cwd: "/u/ann/course" };
  for (const list of [".", "/u/ann/course", "~/course", "/m/home/ann/course", "../course"]) {
    for (const path of ["/u/ann/course/notes", "/m/home/ann/course/notes"]) {
      assert.equal(shows(list, path, where), "/m/home/ann/course/notes rw", `${list}, ${path}`);
    }
  }
  assert.equal(inside(".", where).look("/u").path, "/m/home");
  assert.equal(inside("", where).look("/u/ann").path, "/m/home/ann", "HOME by its own name");
});

Deno.test("a relative name shows at its real path", () => {
  const where = { home: "/m/home/ann", cwd: "/m/home/ann" };
  assert.equal(shows("link", "/m/home/ann/course/notes", where), "/m/home/ann/course/notes rw");
});

Deno.test("a source is planned by its real path, so that no symlink is left to be swapped", () => {
  const steps = planRoot(specOf(mountsOf("/here=/u/ann/link")), fs);
  const found = steps.find((step) => step.do === "bind" && step.dest === "/here");
  assert.ok(found && "source" in found);
  assert.equal(found.source, "/m/home/ann/course");
});

Deno.test("names with spaces, colons, equal signs and bytes that are not UTF-8", () => {
  for (const name of ["/data/a b", "/data/a:b=c,d", "/data/\udcff\n"]) {
    const odd = madeUpFs([...HOST, `${name}/f`]);
    const mount = parseMountJson(JSON.stringify({ dest: name }), { cwd: "/", home: "/home/ann" });
    const root = new Inside(planRoot(specOf([mount]), odd), odd);
    assert.equal(root.look(`${name}/f`).host, `${name}/f`);
  }
});

// ------------------------------------------------------------------------------------------------ order

Deno.test("one directory inside another, in any order", () => {
  for (const list of ["ro:/home/ann/w /home/ann/w/sub", "/home/ann/w/sub ro:/home/ann/w"]) {
    assert.equal(shows(list, "/home/ann/w/file"), "/home/ann/w/file ro");
    assert.equal(shows(list, "/home/ann/w/sub/deep"), "/home/ann/w/sub/deep rw");
  }
  const three = ["/home/ann/w", "/home/ann/w/sub=/data/a", "/home/ann/w/sub/in=/data/b"];
  for (const order of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
    const list = order.map((i) => three[i]).join(" ");
    assert.equal(shows(list, "/home/ann/w/sub/in"), "/data/b rw", list);
    assert.equal(shows(list, "/home/ann/w/sub"), "/data/a rw", list);
    assert.equal(shows(list, "/home/ann/w/file"), "/home/ann/w/file rw", list);
  }
});

Deno.test("order goes by what names lead to: through a symlink an inner mount is still inner", () => {
  const where = { home: "/u/ann", cwd: "/u/ann" };
  for (
    const list of [
      "/m/home/ann/course/week1=/data/b /u/ann/course",
      "/u/ann/course /m/home/ann/course/week1=/data/b",
    ]
  ) {
    assert.equal(shows(list, "/u/ann/course/week1", where), "/data/b rw", list);
  }
});

Deno.test("the way to a mount stays when something empty is mounted over its beginning", () => {
  for (const list of ["tmp:/home/ann ro:/home/ann/x/env/week1", "/home/ann/x/env/week1 tmp:/home/ann/x"]) {
    for (const path of ["/home/ann/x/env/week1", "/m/home/ann/course/week1"]) {
      assert.match(shows(list, path), /^\/m\/home\/ann\/course\/week1 /, `${list}: ${path}`);
    }
  }
  assert.equal(shows("tmp:/home/ann/x", "/home/ann/x/env"), "nothing");
});

Deno.test("of two mounts on one place the later shows", () => {
  assert.equal(shows("/mnt=/data/a /mnt=/data/b", "/mnt"), "/data/b rw");
  assert.equal(shows("/mnt=/data/b /mnt=/data/a", "/mnt"), "/data/a rw");
});

// ------------------------------------------------------------------------------------------------ refusals

Deno.test("a mount point that is missing inside a bind is refused: making it would litter the host", () => {
  for (const outer of ["/home/ann/w", "ro:/home/ann/w"]) {
    const error = refusal(`${outer} /home/ann/w/new=/data/a`);
    assert.equal(error.message, "Mount point /home/ann/w/new does not exist inside the mount at /home/ann/w");
    assert.equal(error.why, "making it would leave /home/ann/w/new behind on the host");
    assert.equal(error.hint, "mkdir -p /home/ann/w/new");
  }
  assert.equal(refusal("/mnt=/data/b /mnt/f=/data/file").hint, "touch /data/b/f");
  assert.match(refusal("/usr/local/new=/data/a").message, /inside the mount at \/usr$/);
  const odd = madeUpFs([...HOST, "/data/it's/"]);
  const mounts = [
    { dest: "/mnt", source: "/data/it's" },
    { dest: "/mnt/n", source: "/data/a" },
  ].map((m) => parseMountJson(JSON.stringify(m), { cwd: "/", home: "/" }));
  assert.throws(
    () => planRoot(specOf(mounts), odd),
    (error: CordonError) => error.hint === `mkdir -p '/data/it'\\''s/n'`,
  );
});

Deno.test("a file where a directory must be, and the reverse", () => {
  const onFile = refusal("/home/ann/w /home/ann/w/file=/data/a");
  assert.equal(onFile.message, "Mount point /home/ann/w/file is a file and what goes there is a directory");
  const onDirectory = refusal("/home/ann/w /home/ann/w/sub=/data/file");
  assert.equal(
    onDirectory.message,
    "Mount point /home/ann/w/sub is a directory and what goes there is a file",
  );
  assert.match(refusal("/tmp=/data/file").message, /^Mount point \/tmp is a directory/);
  assert.match(refusal("tmp:/etc/passwd").message, /^Mount point \/etc\/passwd is a file/);
});

Deno.test("a source that is missing or cannot be reached", () => {
  const missing = refusal("/no/such");
  assert.equal(missing.message, "Mount source /no/such cannot be used");
  assert.equal(missing.why, "there is no such file or directory");
  assert.equal(refusal("/home/ben/secret").why, "a directory on its path may not be searched by this user");
  assert.equal(refusal("/loop/x").why, "its symlinks lead in a circle, or are too many");
});

Deno.test("an optional source is left out when it is not there, and only then", () => {
  assert.equal(shows("try:/no/such /home/ann/w", "/no"), "nothing");
  assert.equal(shows("try:/data/a", "/data/a"), "/data/a rw");
  assert.match(refusal("try:/home/ben/secret").why!, /may not be searched/);
});

Deno.test("a mount point that runs in circles is refused", () => {
  assert.match(refusal("/loop/x=/data/a").message, /runs through more than 40 symlinks/);
});

Deno.test("overlays lie over directories, copies go to our own memory", () => {
  assert.equal(refusal("overlay:/mnt=/data/file").message, "Overlay source /data/file is not a directory");
  assert.equal(inside("overlay:/mnt=/data/a").look("/mnt/in").how, "overlay");
  const copy = inside("copy:/mnt=/data/a ro,copy:/f=/data/file");
  assert.deepEqual([copy.look("/mnt/in").how, copy.look("/f").type, copy.look("/f").readOnly], [
    "copy",
    "file",
    true,
  ]);
  const error = refusal("/home/ann/w copy:/home/ann/w/sub=/data/a");
  assert.equal(error.message, "Copy /home/ann/w/sub lies inside the mount at /home/ann/w");
});
