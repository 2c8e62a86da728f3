/** Plans of a sandbox's root: hiding, file systems of one's own, a directory as the whole root. */
import assert from "node:assert/strict";
import { planRoot } from "../../../lib/engine/namespaces/root.ts";
import type { CordonError } from "../../../lib/errors.ts";
import { Inside } from "../../helpers/made_up_fs.ts";
import { fs, imaged, inside, mountsOf, refusal, shows, specOf } from "./made_up_host.ts";

// ------------------------------------------------------------------------------------------------ hiding, tmp

Deno.test("hiding a program that is reached through symlinks hides it under each name", () => {
  for (const list of ["/bin/tar=none", "/usr/bin/tar=none", "/usr/bin/gtar=none"]) {
    for (const path of ["/bin/tar", "/usr/bin/tar", "/usr/bin/gtar"]) {
      assert.equal(shows(list, path), "/dev/null ro", list);
    }
    assert.equal(shows(list, "/bin/sh"), "/usr/bin/sh ro");
  }
});

Deno.test("a hidden directory is empty and read-only, in a bind and of our own", () => {
  for (
    const [list, path] of [["/home/ann/w /home/ann/w/sub=none", "/home/ann/w/sub"], [
      "/usr/share/doc=none",
      "/usr/share/doc",
    ], ["/tmp=none", "/tmp"]] as const
  ) {
    assert.equal(shows(list, path), "own ro", list);
    assert.equal(shows(list, `${path}/deep`), "nothing", list);
  }
});

Deno.test("what is a directory inside is hidden as one, whatever the host has there", () => {
  assert.equal(shows("/no/home=none", "/no/home", { home: "/no/home", cwd: "/" }), "own ro");
});

Deno.test("hiding what is not there: nothing to do where it is optional, refused inside a bind", () => {
  assert.equal(shows("/home/ann/w try:/home/ann/w/none=none", "/home/ann/w/none"), "nothing");
  assert.match(refusal("/home/ann/w /home/ann/w/none=none").message, /does not exist inside the mount/);
});

Deno.test("something shown inside what is hidden, and tmp inside it, in any order", () => {
  for (
    const list of ["/data/a /data/a/in=none tmp:/data/a/in/t", "tmp:/data/a/in/t /data/a/in=none /data/a"]
  ) {
    assert.equal(shows(list, "/data/a/in"), "own ro", list);
    assert.equal(shows(list, "/data/a/in/t"), "own rw", list);
    assert.equal(inside(list).look("/data/a/in/t").mode, 0o1777);
  }
  assert.equal(shows("/usr/share=none /usr/share/b=/data/b", "/usr/share/b"), "/data/b rw");
  assert.equal(shows("/usr/share=none /usr/share/f=/data/file", "/usr/share/f"), "/data/file rw");
});

Deno.test("what was made below a place is made again when a new file system covers it", () => {
  // HOME is made first; the tmp mount over /home covers it; what goes into it needs its directory again.
  assert.equal(shows("tmp:/home /home/ann/w", "/home/ann/w/file"), "/home/ann/w/file rw");
  assert.equal(shows("tmp:/home tmp:/home/ann/t", "/home/ann/t"), "own rw");
  assert.equal(shows("/tmp=none /tmp/a=/data/a", "/tmp/a"), "/data/a rw");
});

// ------------------------------------------------------------------------------------------------ a root of one's own

function withImage(list: string, entries = imaged): Inside {
  return new Inside(planRoot(specOf(mountsOf(list)), entries), entries);
}

Deno.test("a directory as the whole root: nothing of the host's system, private /proc and /dev over its own", () => {
  const root = withImage("ro:/=/image");
  assert.deepEqual([root.look("/bin/sh").host, root.look("/bin/sh").readOnly], ["/image/bin/sh", true]);
  assert.equal(root.look("/usr").type, undefined);
  assert.equal(root.look("/proc").how, "proc");
  assert.equal(root.look("/dev/null").devices, true);
  assert.equal(root.look("/dev").how, "tmpfs");
  assert.equal(withImage("/=/image").look("/bin/sh").readOnly, false);
});

Deno.test("mounts inside a root of one's own need their mount points there", () => {
  assert.equal(withImage("/=/image /home/ann=/data/a").look("/home/ann/in").host, "/data/a/in");
  assert.equal(withImage("/home/ann=/data/a /=/image").look("/home/ann/in").host, "/data/a/in");
  assert.throws(
    () => withImage("/=/image /mnt=/data/a"),
    (error: CordonError) => error.hint === "mkdir -p /image/mnt",
  );
});

Deno.test("the host's own root can be shown", () => {
  const root = inside("ro:/");
  assert.equal(root.look("/home/ann/w/file").host, "/home/ann/w/file");
  assert.equal(root.look("/home/ann/w/file").readOnly, true);
  assert.equal(root.look("/proc").how, "proc");
});

Deno.test("a root without places for /proc and /dev is refused with the command that mends it", () => {
  const error = refusal("/=/data/a");
  assert.equal(error.message, "Root /data/a has no directory /proc");
  assert.equal(error.hint, "mkdir /data/a/proc");
  assert.equal(refusal("copy:/=/data/a").message, "The root cannot be a copy mount");
  assert.equal(refusal("tmp:/").message, "The root cannot be a tmp mount");
});

Deno.test("the host's /proc asked for is the private one", () => {
  assert.equal(inside("/proc").look("/proc").how, "proc");
  const nested = planRoot(specOf([], {}, { nested: true }), fs).find((step) => step.do === "proc");
  assert.ok(nested?.do === "proc" && nested.nested);
});
