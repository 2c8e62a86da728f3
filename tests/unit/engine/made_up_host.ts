/** A made-up machine, and what shows inside of sandboxes on it. */
import assert from "node:assert/strict";
import { planRoot } from "../../../lib/engine/namespaces/root.ts";
import { CordonError } from "../../../lib/errors.ts";
import { parseMountList } from "../../../lib/spec/mounts.ts";
import type { Mount, Spec } from "../../../lib/spec/spec.ts";
import { Inside, madeUpFs } from "../../helpers/made_up_fs.ts";

export const HOST = [
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
export const fs = madeUpFs(HOST);
/** With a directory that can be a whole root. */
const IMAGE = [...HOST, "/image/bin/sh", "/image/proc/", "/image/dev/", "/image/home/ann/"];
export const imaged = madeUpFs(IMAGE);

export interface Where {
  home?: string;
  cwd?: string;
}

export function specOf(
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

export function mountsOf(list: string, { home = "/home/ann", cwd = home }: Where = {}): Mount[] {
  return list === "" ? [] : parseMountList(list, { cwd, home });
}

/** What shows inside with these mounts; the plan is carried out in a model that fails where the kernel would. */
export function inside(list: string, where: Where = {}, changes: Partial<Spec> = {}): Inside {
  return new Inside(planRoot(specOf(mountsOf(list, where), where, changes), fs), fs);
}

/** `host path` or `own`, with `ro` or `rw`. */
export function shows(list: string, path: string, where: Where = {}): string {
  const { type, host, readOnly } = inside(list, where).look(path);
  if (type === undefined) return "nothing";
  return `${host ?? "own"} ${readOnly ? "ro" : "rw"}`;
}

export function refusal(list: string, where: Where = {}): CordonError {
  try {
    inside(list, where);
  } catch (error) {
    assert.ok(error instanceof CordonError, String(error));
    return error;
  }
  assert.fail(`${list} is not refused`);
}
