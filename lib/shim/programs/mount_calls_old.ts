/**
 * Mounts as Linux 4.18 has them: mount(2), by paths. What is not in its place yet stands on a stage that nobody else
 * sees: before anything else a small file system of ours becomes the root, with the machine's below it at /oldroot.
 *
 * mount(2) sets the flags of one mount, so each that a bind takes along is remounted by itself, with the flags it has:
 * in a user namespace none of those may be left out. Which these are was read when this was planned. A mount that has
 * come since then would not be among them; therefore all are counted before anything is run.
 */
import { AT, E, MNT_DETACH, MS, O, openFlags, STATFS } from "../../../ffi/constants.ts";
import { CordonError, sentence } from "../../errors.ts";
import { type HostMount, MountTable } from "../../host/mounts.ts";
import { encodeOs } from "../../host/bytes.ts";
import { descriptorPath, type NumberPath, refuse } from "../kit.ts";
import { Address, type Argument, type CallOptions, type Label, type Program, type Slot } from "../program.ts";
import type { Assembly } from "./assembly.ts";
import type { AttributeOptions, FileSystemOptions, MountCalls, Place } from "./mount_calls.ts";

const STAGE = "/stage", STAGE_FILE = "/stage-file", NEW_ROOT = "/newroot";
/** `oldroot` in the root of ours. */
const OLD_ROOT = "oldroot";
const COUNTS = 5;
const REMOUNT = MS.REMOUNT | MS.BIND;
const NOSYMFOLLOW_SHIFT = Math.log2(STATFS.NOSYMFOLLOW / MS.NOSYMFOLLOW);

export class OldMountCalls implements MountCalls {
  readonly #a: Assembly;
  readonly #p: Program;
  readonly #mounts: MountTable;
  /** Paths of the two descriptors of a call. */
  readonly #from: NumberPath;
  readonly #to: NumberPath;
  /** How many mounts there should be. */
  readonly #expected: Slot;
  /** How many stand on the stage with a tree. */
  readonly #sizes = new Map<Slot, number>();

  constructor(a: Assembly, mounts: readonly HostMount[]) {
    const { p } = this.#a = a;
    this.#p = p;
    this.#mounts = new MountTable(mounts);
    this.#from = descriptorPath(p);
    this.#to = descriptorPath(p);
    this.#expected = p.slot(1); // the root of ours
    const start = p.label();
    p.goto(start);
    this.#from.define();
    this.#to.define();
    p.place(start);
  }

  begin(): void {
    const p = this.#p, { base, assembleAt } = this.#a;
    const directory = O.PATH | O.CLOEXEC | openFlags(p.arch).DIRECTORY;
    const say = `assemble on ${assembleAt}`, file = p.slot();
    p.sys("openat", [AT.FDCWD, assembleAt, directory, 0], { into: base, say: `open ${assembleAt}` });
    this.#from.call(base);
    p.sys("mount", ["tmpfs", this.#from.path, "tmpfs", MS.NOSUID | MS.NODEV, "size=64k,mode=0700"], { say });
    p.sys("close", [base]);
    p.sys("chdir", [assembleAt], { say }); // what was just mounted there: nothing else can become the root
    for (const path of [OLD_ROOT, NEW_ROOT, STAGE]) {
      p.sys("mkdirat", [AT.FDCWD, path.replace("/", ""), 0o700], { say });
    }
    const make = O.WRONLY | O.CREAT | O.EXCL | O.CLOEXEC;
    p.sys("openat", [AT.FDCWD, STAGE_FILE.slice(1), make, 0o600], { into: file, say });
    p.sys("close", [file]);
    p.sys("symlinkat", [`${OLD_ROOT}/proc`, AT.FDCWD, "proc"], { say });
    p.sys("pivot_root", [".", OLD_ROOT], { say });
    p.sys("chdir", ["/"]);
    p.sys("openat", [AT.FDCWD, OLD_ROOT, directory, 0], { into: base, say });
  }

  placeRoot(): void {
    this.#from.call(this.#a.root);
    this.#p.sys("mount", [this.#from.path, NEW_ROOT, 0, MS.MOVE, 0], { say: "mount the new root" });
  }

  finish(): void {
    const p = this.#p;
    const now = p.slot(), tries = p.slot(), same = p.label();
    p.loop((leave) => {
      this.#count(now);
      p.when([now, "==", this.#expected], same);
      p.add(tries, tries, 1); // a list that changes while it is read has gaps
      p.when([tries, "==", COUNTS], leave);
    });
    refuse(p, "Something has been mounted while this was set up, and may have missed its flags; try again");
    p.place(same);
  }

  /** Lines of proc_pid_mountinfo(5) whose fifth field leads to no place below the old root, where mounts come and go. */
  #count(into: Slot): void {
    const p = this.#p, size = 16384, newline = 10, blank = 32;
    const fd = p.slot(), at = p.slot(), end = p.slot(), byte = p.slot(), high = p.slot();
    const field = p.slot(), start = p.slot(), length = p.slot();
    const buffer = p.buffer(size + 8); // a byte is read as the first of eight
    const say = "count the mounts";
    const oldRoot = encodeOs(`/${OLD_ROOT}`).reduceRight((word, byte) => word << 8n | BigInt(byte), 0n);
    p.set(into, 0);
    p.sys("openat", [AT.FDCWD, "/proc/self/mountinfo", O.RDONLY | O.CLOEXEC, 0], { into: fd, say });
    p.loop((done) => {
      p.sys("read", [fd, buffer, size], { into: end, say });
      p.when([end, "==", 0], done);
      p.set(at, buffer);
      p.add(end, end, buffer);
      p.loop((read, again) => {
        const space = p.label(), line = p.label();
        p.when([at, ">=", end], read);
        p.load(byte, at);
        p.add(at, at, 1);
        p.and(byte, byte, 0xff);
        p.when([byte, "==", newline], line);
        p.when([byte, "==", blank], space);
        p.when([field, "!=", 4], again);
        p.when([length, "==", 8], again);
        p.add(length, length, 1);
        p.shr(start, start, 8);
        p.shl(high, byte, 56);
        p.add(start, start, high);
        p.goto(again);
        p.place(space);
        p.add(field, field, 1);
        p.goto(again);
        p.place(line);
        p.if([start, "!=", oldRoot], () => p.add(into, into, 1));
        for (const slot of [field, start, length]) p.set(slot, 0);
      });
    });
    p.sys("close", [fd]);
  }

  openSource(source: string, into: Slot, fail?: Label): void {
    this.#walk(this.#a.base, source, { into, say: `open ${source}`, ...(fail && { fail }) });
  }

  /** What openat2(2) does with RESOLVE_NO_SYMLINKS: opens each part of the path from the one before it. */
  #walk(from: Argument, path: string, { into, say, fail }: { into: Slot; say: string; fail?: Label }): void {
    const p = this.#p, { DIRECTORY, NOFOLLOW } = openFlags(p.arch);
    const flags = O.PATH | O.CLOEXEC | NOFOLLOW;
    const parts = path.split("/").filter(Boolean), last = parts.pop();
    const two = [p.slot(), p.slot()] as const;
    if (last === undefined) {
      return p.sys("openat", [from, ".", flags, 0], { into, say, ...(fail && { fail }) });
    }
    const failed = fail && two.map(() => p.label());
    let at: Argument = from;
    const step = (name: string, options: { into: Slot; flags: number }) => {
      const held = two.findIndex((slot) => slot === at);
      const otherwise = failed && held >= 0 ? failed[held] : fail;
      p.sys("openat", [at, name, options.flags, 0], {
        into: options.into,
        say,
        ...(otherwise && { fail: otherwise }),
      });
      if (held >= 0) p.sys("close", [at]);
      at = options.into;
    };
    parts.forEach((name, i) => step(name, { into: two[i % 2]!, flags: flags | DIRECTORY }));
    step(last, { into, flags });
    // A symlink itself can be opened this way.
    const plain = p.label();
    p.sys("readlinkat", [into, "", p.buffer(8), 8], { fail: plain });
    refuse(p, `${sentence(say)}: a symlink has taken its place`);
    failed?.forEach((label, i) => {
      p.place(label);
      p.sys("close", [two[i]!], { fail: "ignore" });
      p.goto(fail!);
    });
    p.place(plain);
  }

  /** Binds something to the stage, a directory on the one for directories. */
  #stage(fd: Slot, tree: Slot, { say, fail, flags }: { say?: string; fail?: Label; flags: number }): void {
    const p = this.#p;
    const other = p.label("no directory"), done = p.label();
    const options = { ...(say && { say }), ...(fail && { fail }) };
    const open = O.PATH | O.CLOEXEC | openFlags(p.arch).NOFOLLOW;
    this.#from.call(fd);
    p.sys("mount", [this.#from.path, STAGE, 0, flags, 0], { ...options, fail: other });
    p.sys("openat", [AT.FDCWD, STAGE, open, 0], { ...options, into: tree });
    p.goto(done);
    p.place(other);
    p.when([p.errno, "!=", E.NOTDIR], fail ?? p.abort);
    p.sys("mount", [this.#from.path, STAGE_FILE, 0, flags, 0], options);
    p.sys("openat", [AT.FDCWD, STAGE_FILE, open, 0], { ...options, into: tree });
    p.place(done);
  }

  #expect(tree: Slot, count: number): void {
    this.#sizes.set(tree, count);
    this.#p.add(this.#expected, this.#expected, count);
  }

  take(fd: Slot, tree: Slot, { source, attributes }: { source: string; attributes: number }): void {
    const taken = this.#mounts.taken(source);
    this.#stage(fd, tree, { say: `take ${source}`, flags: MS.BIND | MS.REC });
    this.#expect(tree, taken.length);
    for (const { path, flags, covered } of taken) {
      const say = `set the mount flags of ${source === "/" && path ? "" : source}${path}`;
      if (covered === "stack") continue;
      if (covered) {
        if (flags !== undefined && (flags & attributes) === attributes) continue;
        throw new CordonError(`${source}${path} cannot be made part of a sandbox`, {
          why:
            "another mount covers a directory above it, and this kernel reaches the flags of a mount by its path alone",
        });
      }
      // Those that had them all too: by now, as in a saved sandbox, another may stand there.
      if (flags === undefined) this.restrict(tree, { attributes, recursive: false, say });
      else if (path === "") this.#remount(tree, flags | attributes, { say });
      else this.#remountBelow(tree, path, { flags: flags | attributes, say });
    }
  }

  #remountBelow(tree: Slot, path: string, { flags, say }: { flags: number; say: string }): void {
    const p = this.#p;
    const below = p.slot(), failed = p.label(), close = p.label(), next = p.label();
    this.#walk(tree, path, { into: below, say, fail: failed });
    this.#remount(below, flags, { say, fail: close });
    p.sys("close", [below]);
    p.goto(next);
    p.place(close);
    p.when([p.errno, "!=", E.INVAL], p.abort); // it has been unmounted, unless others show at the end
    p.sys("close", [below]);
    p.place(failed);
    // A directory that we may not search, nobody inside may.
    p.when([p.errno, "==", E.ACCES], next);
    const gone = p.label();
    for (const errno of [E.INVAL, E.NOENT, E.NOTDIR]) p.when([p.errno, "==", errno], gone);
    p.goto(p.abort);
    p.place(gone);
    p.sub(this.#expected, this.#expected, 1);
    p.place(next);
  }

  #remount(fd: Argument, flags: Slot | number, options: CallOptions): void {
    this.#from.call(fd);
    const all = typeof flags === "number" ? flags | REMOUNT : flags;
    this.#p.sys("mount", [0, this.#from.path, 0, all, 0], options);
  }

  takeOne(
    { fd, name }: Place,
    tree: Slot,
    { recursive: _, ...options }: CallOptions & { recursive?: boolean } = {},
  ): void {
    const p = this.#p;
    const from = p.slot();
    const open = O.PATH | O.CLOEXEC | openFlags(p.arch).NOFOLLOW;
    p.sys("openat", [fd, name, open, 0], { ...options, into: from });
    this.#stage(from, tree, { ...options as { say?: string; fail?: Label }, flags: MS.BIND });
    p.sys("close", [from]);
    this.#expect(tree, 1);
  }

  make(tree: Slot, { type, options, attributes }: FileSystemOptions): void {
    const p = this.#p, say = `make a ${type}`;
    const data = options.map(([key, value]) => {
      if (value instanceof Address) throw new Error(`${key} of a ${type} is known too late for mount(2)`);
      return value === undefined ? key : `${key}=${value}`;
    }).join(",");
    p.sys("mount", ["none", STAGE, type, attributes, data || 0], { say });
    const open = O.PATH | O.CLOEXEC | openFlags(p.arch).NOFOLLOW;
    p.sys("openat", [AT.FDCWD, STAGE, open, 0], { into: tree, say });
    this.#expect(tree, 1);
  }

  restrict(tree: Argument, { attributes, say }: AttributeOptions): void {
    const p = this.#p;
    const stat = p.buffer(STATFS.SIZE), has = stat.cell(STATFS.FLAGS), flags = p.slot(), bit = p.slot();
    p.sys("fstatfs", [tree, stat], { say });
    p.and(flags, has, STATFS.SAME & ~attributes);
    p.and(bit, has, STATFS.NOSYMFOLLOW);
    p.shr(bit, bit, NOSYMFOLLOW_SHIFT);
    p.add(flags, flags, bit);
    p.add(flags, flags, attributes | REMOUNT);
    this.#remount(tree, flags, { say });
  }

  put(tree: Slot, { fd, name }: Place, options: CallOptions): void {
    const p = this.#p;
    const at = p.slot();
    p.sys("openat", [fd, name, O.PATH | O.CLOEXEC | openFlags(p.arch).NOFOLLOW, 0], { ...options, into: at });
    this.#move(tree, at, options);
  }

  putInside(tree: Slot, dest: string, absent?: Label): void {
    const at = this.#p.slot(), otherwise = absent && { fail: absent };
    this.#walk(this.#a.root, dest, { into: at, say: `find mount point ${dest}`, ...otherwise });
    this.#move(tree, at, { say: `mount ${dest}`, ...otherwise });
  }

  #move(tree: Slot, at: Slot, options: CallOptions): void {
    this.#from.call(tree);
    this.#to.call(at);
    this.#p.sys("mount", [this.#from.path, this.#to.path, 0, MS.MOVE, 0], options);
    this.#p.sys("close", [at]);
  }

  drop(tree: Slot): void {
    const p = this.#p;
    this.#from.call(tree);
    p.sys("umount2", [this.#from.path, MNT_DETACH], { say: "take a mount away" });
    p.sys("close", [tree]);
    p.sub(this.#expected, this.#expected, this.#sizes.get(tree)!);
  }
}
