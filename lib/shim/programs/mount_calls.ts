/**
 * How mounts are made and put in their places. A tree is a descriptor of a mount that is not in its place yet, so that
 * its flags are set before anybody can reach it. open_tree(2), move_mount(2), mount_setattr(2), fsopen(2), openat2(2).
 */
import {
  AT,
  FSCONFIG,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MOVE_MOUNT,
  O,
  OPEN_TREE,
  openFlags,
  RESOLVE,
} from "../../../ffi/constants.ts";
import { isBelow } from "../../engine/namespaces/tree.ts";
import type { Address, Argument, CallOptions, Label, Program, Slot } from "../program.ts";
import { type Assembly, relative } from "./assembly.ts";

/** A name in an open directory. */
export interface Place {
  fd: Argument;
  name: Argument;
}

export interface FileSystemOptions {
  type: string;
  options: [string, (string | Address)?][];
  attributes: number;
}

export interface AttributeOptions {
  attributes: number;
  /** With what is mounted below it. */
  recursive: boolean;
  say: string;
}

export interface MountCalls {
  /** Makes ready to assemble a root: `a.base` is opened. */
  begin(): void;
  /** Mounts the root, `a.root`, where it is assembled. */
  placeRoot(): void;
  /** When all stands. */
  finish(): void;
  /** Opens a source without following any symlink: one that was swapped in since planning is an error. */
  openSource(source: string, into: Slot, fail?: Label): void;
  /** A copy of an open source and of all that is mounted below it, each with these attributes. */
  take(fd: Slot, tree: Slot, options: { source: string; attributes: number }): void;
  /** A copy of one mount. */
  takeOne(at: Place, tree: Slot, options?: CallOptions & { recursive?: boolean }): void;
  /** A new file system. */
  make(tree: Slot, options: FileSystemOptions): void;
  /** Adds attributes to those it has. */
  restrict(tree: Argument, options: AttributeOptions): void;
  put(tree: Slot, at: Place, options: CallOptions): void;
  /** Puts it where a path leads within the new root, whatever symlinks are on the way; to `absent` when that fails. */
  putInside(tree: Slot, dest: string, absent?: Label): void;
  /** Lets go of a tree that was not put anywhere. */
  drop(tree: Slot): void;
}

const TREE = AT.EMPTY_PATH | AT.RECURSIVE;
const MOUNT_ATTR_SIZE = 32;

export class NewMountCalls implements MountCalls {
  readonly #a: Assembly;
  readonly #p: Program;
  /** struct open_how for sources and for destinations. */
  readonly #sourceHow: Address;
  readonly #destHow: Address;

  constructor(a: Assembly) {
    this.#a = a;
    this.#p = a.p;
    const how = (resolve: number) => a.p.words(O.PATH | O.CLOEXEC, 0, resolve);
    this.#sourceHow = how(RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS);
    this.#destHow = how(RESOLVE.IN_ROOT);
  }

  begin(): void {
    const { base, assembleAt } = this.#a;
    const flags = O.PATH | openFlags(this.#p.arch).DIRECTORY | O.CLOEXEC;
    this.#p.sys("openat", [AT.FDCWD, assembleAt, flags, 0], { into: base, say: `open ${assembleAt}` });
  }

  placeRoot(): void {
    const { root, base, assembleAt } = this.#a;
    const onto = [root, "", base, "", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH];
    this.#p.sys("move_mount", onto, { say: `mount the new root on ${assembleAt}` });
  }

  finish(): void {}

  openSource(source: string, into: Slot, fail?: Label): void {
    const { base, assembleAt } = this.#a;
    const [directory, path] = source !== assembleAt && isBelow(source, assembleAt) && assembleAt !== "/"
      ? [base, source.slice(assembleAt.length + 1)]
      : [AT.FDCWD, source];
    const otherwise = fail ? { fail } : { say: `open ${source}` };
    this.#p.sys("openat2", [directory, path, this.#sourceHow, 24], { into, ...otherwise });
  }

  take(fd: Slot, tree: Slot, { source, attributes }: { source: string; attributes: number }): void {
    this.#p.sys("open_tree", [fd, "", OPEN_TREE.CLONE | OPEN_TREE.CLOEXEC | TREE], {
      into: tree,
      say: `take ${source}`,
    });
    this.restrict(tree, { attributes, recursive: true, say: `set the mount flags of ${source}` });
  }

  takeOne(
    { fd, name }: Place,
    into: Slot,
    { recursive = false, ...options }: CallOptions & { recursive?: boolean } = {},
  ): void {
    const flags = OPEN_TREE.CLONE | OPEN_TREE.CLOEXEC | (recursive ? AT.RECURSIVE : 0);
    this.#p.sys("open_tree", [fd, name, flags], { into, ...options });
  }

  /** fsopen(2), fsconfig(2), fsmount(2). */
  make(into: Slot, { type, options, attributes }: FileSystemOptions): void {
    const p = this.#p;
    const context = p.slot();
    const say = `make a ${type}`;
    p.sys("fsopen", [type, FSOPEN_CLOEXEC], { into: context, say });
    for (const [key, value] of options) {
      const command = value === undefined ? FSCONFIG.SET_FLAG : FSCONFIG.SET_STRING;
      p.sys("fsconfig", [context, command, key, value ?? 0, 0], { say: `set ${key} of a ${type}` });
    }
    p.sys("fsconfig", [context, FSCONFIG.CMD_CREATE, 0, 0, 0], { say });
    p.sys("fsmount", [context, FSMOUNT_CLOEXEC, attributes], { into, say });
    p.sys("close", [context]);
  }

  restrict(tree: Argument, { attributes, recursive, say }: AttributeOptions): void {
    const flags = recursive ? TREE : AT.EMPTY_PATH;
    this.#p.sys("mount_setattr", [tree, "", flags, this.#p.words(attributes, 0, 0, 0), MOUNT_ATTR_SIZE], {
      say,
    });
  }

  put(tree: Slot, { fd, name }: Place, options: CallOptions): void {
    this.#p.sys("move_mount", [tree, "", fd, name, MOVE_MOUNT.F_EMPTY_PATH], options);
  }

  putInside(tree: Slot, dest: string, absent?: Label): void {
    const p = this.#p;
    const at = p.slot(), otherwise = absent && { fail: absent };
    p.sys("openat2", [this.#a.root, relative(dest), this.#destHow, 24], {
      into: at,
      say: `find mount point ${dest}`,
      ...otherwise,
    });
    p.sys("move_mount", [tree, "", at, "", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH], {
      say: `mount ${dest}`,
      ...otherwise,
    });
    p.sys("close", [at]);
  }

  drop(tree: Slot): void {
    this.#p.sys("close", [tree]);
  }
}
