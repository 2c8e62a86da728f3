/** The mounts that a bind takes along, from made-up lists of mounts. */
import assert from "node:assert/strict";
import { MS } from "../../../ffi/constants.ts";
import { MountTable, parseMounts, type Taken } from "../../../lib/host/mounts.ts";

/** `id parent point options`, as proc_pid_mountinfo(5) has them among others. */
function table(...lines: string[]): MountTable {
  const text = lines.map((line) => {
    const [id, parent, point, options = "rw,relatime"] = line.split(" ");
    return `${id} ${parent} 8:1 / ${point} ${options} shared:1 - ext4 /dev/sda rw\n`;
  });
  return new MountTable(parseMounts(text.join("")));
}

const paths = (taken: Taken[]) => taken.map(({ path, covered }) => covered ? `${path} (${covered})` : path);

Deno.test("points are unescaped, flags that a remount repeats are kept, files of namespaces left out", () => {
  const text = "20 1 8:1 / / rw,relatime - ext4 /dev/sda rw\n" +
    "22 20 0:4 mnt:[4026532345] /run/snapd/ns/x.mnt rw - nsfs nsfs rw\n" +
    "23 20 0:5 / /a\\040b\\134c\\012 ro,nosuid,nodev,noexec,noatime,nosymfollow master:3 - tmpfs t rw\n";
  const mounts = parseMounts(text);
  assert.deepEqual(mounts.map(({ id }) => id), [20, 23]);
  assert.deepEqual(mounts[0], { id: 20, parent: 1, point: "/", flags: 0 });
  const all = MS.RDONLY | MS.NOSUID | MS.NODEV | MS.NOEXEC | MS.NOSYMFOLLOW;
  assert.deepEqual(mounts[1], { id: 23, parent: 20, point: "/a b\\c\n", flags: all });
});

Deno.test("a bind takes what is mounted below it, and nothing beside it", () => {
  const mounts = table("1 0 /", "2 1 /d", "3 2 /d/a ro,nodev", "4 3 /d/a/b", "5 1 /dd", "6 2 /d/c/e");
  assert.deepEqual(mounts.taken("/d"), [
    { path: "", flags: 0 },
    { path: "/a", flags: MS.RDONLY | MS.NODEV },
    { path: "/c/e", flags: 0 },
    { path: "/a/b", flags: 0 },
  ]);
  assert.deepEqual(mounts.taken("/d/a"), [{ path: "", flags: MS.RDONLY | MS.NODEV }, {
    path: "/b",
    flags: 0,
  }]);
  assert.deepEqual(mounts.taken("/d/a/x"), [{ path: "", flags: MS.RDONLY | MS.NODEV }]);
  assert.deepEqual(paths(mounts.taken("/")).sort(), ["", "/d", "/d/a", "/d/a/b", "/d/c/e", "/dd"]);
});

Deno.test("mounts on mounts: the last one shows, those under it are told apart", () => {
  const stack = table("1 0 /", "2 1 /d", "3 2 /d/auto ro", "4 3 /d/auto nosuid,rw");
  assert.deepEqual(stack.taken("/d/auto"), [{ path: "", flags: MS.NOSUID }]);
  assert.deepEqual(paths(stack.taken("/d")), ["", "/auto (stack)", "/auto"]);
  // A directory above it is covered: what was mounted there before cannot be reached.
  const above = table("1 0 /", "2 1 /d", "3 2 /d/x/y", "4 2 /d/x", "5 4 /d/x/y");
  assert.deepEqual(paths(above.taken("/d")), ["", "/x/y (above)", "/x", "/x/y"]);
  // Covered in its whole by what the source lies in, it is not taken at all.
  assert.deepEqual(paths(above.taken("/d/x")), ["", "/y"]);
});

Deno.test("where the root is no mount of its own, the flags of what lies on it are not known", () => {
  const chrooted = table("7 3 /proc", "8 3 /home ro");
  assert.deepEqual(chrooted.taken("/usr"), [{ path: "", flags: undefined }]);
  assert.deepEqual(chrooted.taken("/home/ann"), [{ path: "", flags: MS.RDONLY }]);
  assert.deepEqual(paths(chrooted.taken("/")), ["", "/proc", "/home"]);
});
