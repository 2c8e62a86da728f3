/** The plan of a sandbox's root, on made-up machines: what shows where, and what is refused. */
import assert from "node:assert/strict";
import { exposesHome, planRoot } from "../../../lib/engine/namespaces/root.ts";
import { CordonError } from "../../../lib/errors.ts";
import { parseMountJson, parseMountList } from "../../../lib/spec/mounts.ts";
import type { Mount, Spec } from "../../../lib/spec/spec.ts";
import { Inside, madeUpFs } from "../../helpers/made_up_fs.ts";

const HOST = [
  ..."/usr/lib/ /usr/lib64/ /usr/sbin/ /usr/share/doc/ /usr/bin/sh /usr/bin/gtar".split(" "),
  "/bin -> usr/bin",
  "/sbin -> usr/sbin",
  "/lib -> usr/lib",
  "/lib64 -> usr/lib64",
  "/usr/bin/tar -> gtar",
  ..."/dev/null! /dev/zero! /dev/full! /dev/random! /dev/urandom! /dev/tty!".split(" "),
  "/proc/",
  "/etc/ld.so.cache",
  "/etc/localtime -> /usr/share/zoneinfo/UTC",
  "/etc/passwd",
  "/etc/shadow",
  "/etc/hosts",
  "/etc/resolv.conf -> ../run/resolv.conf",
  "/run/resolv.conf",
  "/tmp/",
  "/home/ann/.bashrc",
  "/home/ann/w/sub/deep/",
  "/home/ann/w/file",
  "/home/ann/x/",
  "/home/ben?",
  "/u -> /m/home",
  "/m/home/ann/course/week1/",
  "/m/home/ann/course/notes",
  "/m/home/ann/link -> course",
  "/home/ann/x/env -> /m/home/ann/course",
  "/data/a/in/",
  "/data/b/",
  "/data/file",
  "/loop -> /loop2",
  "/loop2 -> /loop",
];
const fs = madeUpFs(HOST);

interface Where {
  home?: string;
  cwd?: string;
}

function specOf(
  mounts: Mount[],
  { home = "/home/ann", cwd = home }: Where = {},
  changes: Partial<Spec> = {},
): Spec {
  return {
    command: ["sh"],
    env: {},
    workdir: { path: cwd, required: false },
    user: { uid: 1234, gid: 5678, groups: [5678], name: "ann", group: "staff", home, shell: "/bin/sh" },
    mapRoot: false,
    hostname: "box",
    root: { assembleAt: "/tmp", etc: true },
    mounts,
    network: { mode: "none", allow: [] },
    limits: { tmpBytes: 1 << 20, bestEffort: false },
    keepFds: [],
    rawStdio: false,
    nested: false,
    verbose: false,
    ...changes,
  };
}

function mountsOf(list: string, { home = "/home/ann", cwd = home }: Where = {}): Mount[] {
  return list === "" ? [] : parseMountList(list, { cwd, home });
}

/** What shows inside with these mounts; the plan is carried out in a model that fails where the kernel would. */
function inside(list: string, where: Where = {}, changes: Partial<Spec> = {}): Inside {
  return new Inside(planRoot(specOf(mountsOf(list, where), where, changes), fs), fs);
}

/** `host path` or `own`, with `ro` or `rw`. */
function shows(list: string, path: string, where: Where = {}): string {
  const { type, host, readOnly } = inside(list, where).look(path);
  if (type === undefined) return "nothing";
  return `${host ?? "own"} ${readOnly ? "ro" : "rw"}`;
}

function refusal(list: string, where: Where = {}): CordonError {
  try {
    inside(list, where);
  } catch (error) {
    assert.ok(error instanceof CordonError, String(error));
    return error;
  }
  assert.fail(`${list} is not refused`);
}

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
    assert.equal(error.message, "mount point /home/ann/w/new does not exist inside the mount at /home/ann/w");
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
  assert.equal(onFile.message, "mount point /home/ann/w/file is a file and what goes there is a directory");
  const onDirectory = refusal("/home/ann/w /home/ann/w/sub=/data/file");
  assert.equal(
    onDirectory.message,
    "mount point /home/ann/w/sub is a directory and what goes there is a file",
  );
  assert.match(refusal("/tmp=/data/file").message, /^mount point \/tmp is a directory/);
  assert.match(refusal("tmp:/etc/passwd").message, /^mount point \/etc\/passwd is a file/);
});

Deno.test("a source that is missing or cannot be reached", () => {
  const missing = refusal("/no/such");
  assert.equal(missing.message, "mount source /no/such cannot be used");
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
  assert.equal(refusal("overlay:/mnt=/data/file").message, "overlay source /data/file is not a directory");
  assert.equal(inside("overlay:/mnt=/data/a").look("/mnt/in").how, "overlay");
  const copy = inside("copy:/mnt=/data/a ro,copy:/f=/data/file");
  assert.deepEqual([copy.look("/mnt/in").how, copy.look("/f").type, copy.look("/f").readOnly], [
    "copy",
    "file",
    true,
  ]);
  const error = refusal("/home/ann/w copy:/home/ann/w/sub=/data/a");
  assert.equal(error.message, "copy /home/ann/w/sub lies inside the mount at /home/ann/w");
});

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

const IMAGE = [...HOST, "/image/bin/sh", "/image/proc/", "/image/dev/", "/image/home/ann/"];
const imaged = madeUpFs(IMAGE);

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
  assert.equal(error.message, "root /data/a has no directory /proc");
  assert.equal(error.hint, "mkdir /data/a/proc");
  assert.equal(refusal("copy:/=/data/a").message, "the root cannot be a copy mount");
  assert.equal(refusal("tmp:/").message, "the root cannot be a tmp mount");
});

Deno.test("the host's /proc asked for is the private one", () => {
  assert.equal(inside("/proc").look("/proc").how, "proc");
  const nested = planRoot(specOf([], {}, { nested: true }), fs).find((step) => step.do === "proc");
  assert.ok(nested?.do === "proc" && nested.nested);
});

// ------------------------------------------------------------------------------------------------ every plan

// A host's own symlinks inside a bind are looked up when mounting, not here: the host's root is not among these.
Deno.test("whatever is asked for is refused with a reason or can be carried out step by step", () => {
  const words =
    `/home/ann/w ro:/home/ann/w . /home/ann /home/ann/w/sub /home/ann/w/sub=none /home/ann/w/file=none tmp:/home
    tmp:/home/ann/w/sub /tmp=none tmp:/tmp /tmp/a=/data/a /u/ann/course /m/home/ann/course/week1=/data/b /u=/data/a
    /m=/home/ann /bin/tar=none /usr/bin/sh=/data/file /usr=none /usr/share=none /usr/share/b=/data/b copy:/home/ann/w/sub
    copy:/home/ann/x overlay:/data/a overlay:/data/a/in=/data/b try:/no /etc=none /etc/x=/data/file /etc/passwd=/data/file
    /dev=none /dev/shm=/data/a /dev/null=none /proc=none /=/image /home=none /home/ann/w/sub/deep=/data/a
    /home/ann/.bashrc /home/ann/w=/home/ann/x /data /data/a/in=none tmp:/data/a/in/t /var=/data/a /run=none /lib=/data/a
    /home/ann/w/new=/data/b /bin=none /u/ann=none /loop=/data/a /mnt/f=/data/file /mnt/f/g=/data/a`.split(
      /\s+/,
    );
  let x = 42;
  const pick = (below: number) => {
    x ^= x << 13, x ^= x >>> 17, x ^= x << 5;
    return (x >>> 0) % below;
  };
  let refused = 0, planned = 0;
  for (let turn = 0; turn < 3000; turn++) {
    const list = Array.from({ length: 1 + pick(4) }, () => words[pick(words.length)]).join(" ");
    let steps;
    try {
      steps = planRoot(specOf(mountsOf(list)), imaged);
    } catch (error) {
      assert.ok(error instanceof CordonError, `${list}: ${error}`);
      refused++;
      continue;
    }
    try {
      new Inside(steps, imaged);
    } catch (error) {
      throw new Error(`${list}\n${(error as Error).message}`);
    }
    planned++;
  }
  assert.ok(refused > 100 && planned > 500, `${refused} refused, ${planned} planned`);
});

Deno.test("planning asks and changes nothing: the same question gives the same plan", () => {
  const spec = specOf(mountsOf("/u/ann/course /home/ann/w tmp:/home/ann/t"));
  const before = JSON.stringify(spec);
  assert.deepEqual(planRoot(spec, fs), planRoot(spec, fs));
  assert.equal(JSON.stringify(spec), before);
});

Deno.test("a writable mount of HOME or of what is above it exposes its start-up files", () => {
  const exposed = (list: string, where: Where = {}) =>
    exposesHome(specOf(mountsOf(list, where), where), fs)?.dest;
  assert.equal(exposed("/home/ann"), "/home/ann");
  assert.equal(exposed("/home"), "/home");
  assert.equal(exposed("/x=/home/ann"), "/x");
  assert.equal(exposed("/m/home/ann", { home: "/u/ann" }), "/m/home/ann");
  for (
    const harmless of [
      "ro:/home/ann",
      "/home/ann/w",
      "/home/ann=none",
      "tmp:/home/ann",
      "copy:/home/ann",
      "/data/a",
    ]
  ) {
    assert.equal(exposed(harmless), undefined, harmless);
  }
});
