/** The assembly of the root, simulated: how sources and places are looked up, and in which order things happen. */
import assert from "node:assert/strict";
import { AT, MNT_DETACH, MOUNT_ATTR, MS, O, RESOLVE } from "../../../ffi/constants.ts";
import type { Step } from "../../../lib/engine/namespaces/steps.ts";
import type { Call, Kernel } from "../../helpers/fake_kernel.ts";
import type { Process } from "../../helpers/simulator.ts";
import { before, bornInit, inOrder, matching, script, signal } from "./events.ts";
import { STEPS } from "./plan.ts";

const ENOENT = -2, EACCES = -13, ELOOP = -40;

interface Seen {
  init: Process;
  /** Flags and resolve mode of each openat2. */
  lookups: { call: Call; flags: bigint; resolve: bigint }[];
  /** Attributes set by each mount_setattr. */
  attributes: { call: Call; set: number }[];
}

function assemble(steps: Step[] = STEPS, kernel: Kernel = {}, assembleAt = "/tmp"): Seen {
  const { init } = bornInit({ steps, assembleAt });
  const lookups: Seen["lookups"] = [], attributes: Seen["attributes"] = [];
  init.run({
    ...script([signal(17)]),
    wait4: (call) => (call.put32(1, 0), 2),
    openat2: (call) => {
      lookups.push({ call, flags: call.word(2), resolve: call.word(2, 16) });
      return call.process.nextFd++;
    },
    mount_setattr: (call) => void attributes.push({ call, set: Number(call.word(3)) }),
    ...kernel,
  });
  return { init, lookups, attributes };
}

const bind = (source: string, dest: string, changes: Partial<Step & { do: "bind" }> = {}): Step => ({
  do: "bind",
  source,
  dest,
  own: true,
  readOnly: false,
  devices: false,
  optional: false,
  ...changes,
});

Deno.test("propagation is private before anything is mounted; the old root is gone before the target is born", () => {
  const { init } = assemble();
  before(init, new RegExp(`^mount\\("none", "/", 0, ${MS.REC | MS.PRIVATE}, 0\\)`), /^move_mount/);
  inOrder(
    init,
    /^pivot_root\("\.", "\."\)/,
    new RegExp(`^umount2\\("\\.", ${MNT_DETACH}\\)`),
    /^chdir\("\/"\)/,
    /^clone/,
  );
  before(init, /^(move_mount|open_tree|openat2|mkdirat|symlinkat)/, /^pivot_root/);
});

Deno.test("every source is opened without following a symlink, and mounted by that descriptor", () => {
  const { init, lookups } = assemble();
  const sources = STEPS.flatMap((step) => "source" in step ? [step.source] : []);
  for (const source of sources) {
    const found = lookups.filter(({ call }) => call.line.includes(JSON.stringify(source)));
    assert.ok(found.length >= 1, source);
    for (const { flags, resolve } of found) {
      assert.equal(Number(resolve), RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS);
      assert.equal(Number(flags), O.PATH | O.CLOEXEC);
    }
    const fd = found.at(-1)!.call.result;
    assert.equal(matching(init, new RegExp(`^open_tree\\(${fd}, ""`)).length, 1, source);
  }
  // Nothing of the host is mounted by its name.
  for (const call of init.named("open_tree")) {
    assert.doesNotMatch(call.line, /^open_tree\(-100, "\/(usr|home)/);
  }
});

Deno.test("a place that is not of our making is looked up within the new root", () => {
  const { lookups, init } = assemble();
  const places = lookups.filter(({ call }) => call.number(0) !== AT.FDCWD);
  assert.deepEqual(places.map(({ call }) => /"(.*?)"/.exec(call.line)![1]), ["home/ann/w"]);
  assert.equal(Number(places[0]!.resolve), RESOLVE.IN_ROOT);
  assert.equal(matching(init, new RegExp(`^move_mount\\(\\d+, "", ${places[0]!.call.result}, ""`)).length, 1);
  for (const call of init.named("mkdirat")) assert.doesNotMatch(call.line, /mkdirat\(-100|"\//);
});

Deno.test("flags of a mount are set on the detached copy, before it can be reached", () => {
  const { init, attributes } = assemble([
    bind("/usr", "/usr", { readOnly: true }),
    bind("/home/ann/w", "/home/ann/w"),
    bind("/dev/null", "/dev/null", { devices: true }),
  ]);
  const of = (source: string) => {
    const at = init.calls.findIndex((call) =>
      call.name === "openat2" && call.line.includes(JSON.stringify(source))
    );
    const tree = init.calls.slice(at).find((call) => call.name === "open_tree")!.result;
    const set = attributes.filter(({ call }) => call.number(0) === Number(tree));
    const mounted = init.calls.findIndex((call) =>
      call.name === "move_mount" && call.number(0) === Number(tree)
    );
    assert.equal(set.length, 1);
    assert.ok(init.calls.indexOf(set[0]!.call) < mounted);
    assert.ok(set[0]!.call.number(2) & AT.RECURSIVE, "submounts as well");
    return set[0]!.set;
  };
  assert.equal(of("/usr"), MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV);
  assert.equal(of("/home/ann/w"), MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV);
  assert.equal(of("/dev/null"), MOUNT_ATTR.NOSUID);
});

Deno.test("a source that became a symlink since planning is an error that names it", () => {
  const { init } = assemble(STEPS, {
    openat2: (call) => call.line.includes('"/home/ann/w"') ? ELOOP : call.process.nextFd++,
  });
  assert.deepEqual(init.end, { exit: 125 });
  assert.equal(
    init.written(2).split("\n")[0],
    "cordon: Open /home/ann/w: ELOOP (Too many levels of symbolic links)",
  );
  assert.deepEqual(init.children, []);
});

Deno.test("an optional source that has gone is left out; any other failure of it is one", () => {
  const steps = [bind("/gone", "/gone", { optional: true }), bind("/there", "/there", { optional: true })];
  const failing = (errno: number): Kernel => ({
    openat2: (call) => call.line.includes('"/gone"') ? errno : call.process.nextFd++,
  });
  const { init } = assemble(steps, failing(ENOENT));
  assert.equal(init.children.length, 1);
  assert.deepEqual(matching(init, /^move_mount\(.*"gone"/), []);
  assert.equal(matching(init, /^move_mount\(.*"there"/).length, 1);
  const refused = assemble(steps, failing(EACCES)).init;
  assert.deepEqual(refused.end, { exit: 125 });
  assert.match(refused.written(2), /^cordon: Open \/gone: EACCES/);
});

Deno.test("steps are carried out in their order", () => {
  const steps: Step[] = [
    { do: "directory", path: "/one", mode: 0o755 },
    { do: "symlink", path: "/two", target: "one" },
    { do: "file", path: "/three", content: "text" },
    bind("/src", "/four"),
    { do: "tmpfs", dest: "/five", own: true, readOnly: false, bytes: 4096, mode: 0o1777 },
    { do: "directory", path: "/five/six", mode: 0o1777 },
  ];
  inOrder(
    assemble(steps).init,
    /^mkdirat\(\d+, "one", 493\)/,
    /^symlinkat\("one", \d+, "two"\)/,
    /^openat\(\d+, "three"/,
    /^write\(\d+, "text", 4\)/,
    /^move_mount\(\d+, "", \d+, "four"/,
    /^fsopen\("tmpfs"/,
    /^move_mount\(\d+, "", \d+, "five"/,
    /^mkdirat\(\d+, "(five\/)?six", 511\)/,
    /^fchmodat\(\d+, "(five\/)?six", 1023\)/,
  );
});

Deno.test("an empty read-only place becomes so after what is mounted inside it has its mount point", () => {
  const hidden: Step = { do: "tmpfs", dest: "/h", own: true, readOnly: true, bytes: 4096, mode: 0o555 };
  const { init, attributes } = assemble([
    hidden,
    { do: "directory", path: "/h/in", mode: 0o755 },
    bind("/src", "/h/in"),
  ]);
  const inner = init.calls.findIndex((call) => /^move_mount\(.*"(h\/)?in"/.test(call.line));
  const sealed = attributes.filter(({ set }) => set === MOUNT_ATTR.RDONLY);
  assert.equal(sealed.length, 1);
  assert.ok(init.calls.indexOf(sealed[0]!.call) > inner && inner > 0);
  assert.ok(init.calls.indexOf(sealed[0]!.call) < init.calls.findIndex((call) => call.name === "pivot_root"));
  assert.equal(assemble([hidden]).attributes.filter(({ set }) => set === MOUNT_ATTR.RDONLY).length, 1);
});

Deno.test("the size and number of files of the root are limited", () => {
  const { init } = assemble();
  inOrder(
    init,
    /^fsopen\("tmpfs"/,
    new RegExp(`^fsconfig\\(\\d+, 1, "size"`),
    new RegExp(`^fsconfig\\(\\d+, 1, "nr_inodes"`),
    /^fsconfig\(\d+, 6, 0/,
    /^fsmount/,
  );
});

Deno.test("a source that holds the place of assembly is opened before that is covered", () => {
  const { init } = assemble([bind("/home", "/home")], {}, "/home/ann/base");
  const opened = init.calls.findIndex((call) => call.name === "openat2" && call.line.includes('"/home"'));
  const covered = init.calls.findIndex((call) => call.name === "move_mount");
  assert.ok(opened >= 0 && opened < covered);
  // One below it is found through the descriptor of what was covered.
  const below = assemble([bind("/tmp/src", "/src")]).init;
  const base = matching(below, /^openat\(-100, "\/tmp", /)[0]!.result;
  assert.equal(matching(below, new RegExp(`^openat2\\(${base}, "src"`)).length, 1);
});

Deno.test("user namespaces are set to none inside, and what could change the machine is read-only or covered", () => {
  const { init, attributes } = assemble();
  const fd = matching(init, /^fsopen\("proc"/).length;
  assert.equal(fd, 1);
  inOrder(
    init,
    /^openat\(\d+, "sys\/user\/max_user_namespaces"/,
    /^write\(\d+, "0", 1\)/,
    /^open_tree\(\d+, "sys"/,
    /^move_mount\(\d+, "", \d+, "sys"/,
  );
  for (const name of ["sys", "irq", "bus", "fs", "sysrq-trigger"]) {
    const tree = matching(init, new RegExp(`^open_tree\\(\\d+, "${name}"`))[0]!.result;
    const set = attributes.find(({ call }) => call.number(0) === Number(tree))!;
    assert.ok(set.set & MOUNT_ATTR.RDONLY, name);
  }
  for (const name of ["kcore", "keys", "timer_list"]) {
    assert.equal(matching(init, new RegExp(`^move_mount\\(\\d+, "", \\d+, "${name}"`)).length, 1);
  }
  const nested = assemble([{ do: "proc", dest: "/proc", nested: true, root: false }]).init;
  assert.deepEqual(matching(nested, /max_user_namespaces|"sys"|"kcore"/), []);
});

Deno.test("what a machine's /proc lacks is no failure, what cannot be covered is", () => {
  const steps: Step[] = [{ do: "proc", dest: "/proc", nested: false, root: false }];
  const lacking = assemble(steps, {
    open_tree: (call) => /"(irq|bus)"/.test(call.line) ? ENOENT : call.process.nextFd++,
  });
  assert.equal(lacking.init.children.length, 1);
  assert.equal(matching(lacking.init, /^move_mount\(.*"irq"/).length, 0);
  const refused =
    assemble(steps, { open_tree: (call) => /"sys"/.test(call.line) ? EACCES : call.process.nextFd++ }).init;
  assert.deepEqual(refused.end, { exit: 125 });
  assert.match(refused.written(2), /^cordon: Take \/proc\/sys: EACCES/);
});
