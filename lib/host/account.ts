/** Accounts of this machine, and becoming one of them. */
import { credentials } from "../../ffi/credentials.ts";
import { errnoText } from "../../ffi/errno.ts";
import { lastErrno } from "../../ffi/libc.ts";
import { CordonError, reasonOf } from "../errors.ts";
import type { Host } from "./host.ts";

export interface Account {
  name: string;
  uid: number;
  gid: number;
  /** Supplementary groups, as group(5) lists them. */
  groups: number[];
  group: string;
  home: string;
  shell: string;
}

/** Looks an account up in /etc/passwd and /etc/group. @throws CordonError when it is not there */
export function findAccount(name: string): Account {
  return accountIn(name, { passwd: read("/etc/passwd"), group: read("/etc/group") });
}

/** The same in the texts of passwd(5) and group(5). */
function accountIn(name: string, files: { passwd: string; group: string }): Account {
  const fields = rows(files.passwd).find((row) => row[0] === name || row[2] === name);
  const [login = "", , uid = "", gid = "", , home = "", shell = ""] = fields ?? [];
  if (!fields || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) {
    throw new CordonError(`There is no user ${name}`, { why: "/etc/passwd does not have it" });
  }
  const groups = rows(files.group);
  return {
    name: login,
    uid: Number(uid),
    gid: Number(gid),
    groups: groups.filter((row) => row[3]?.split(",").includes(login)).map((row) => Number(row[2])),
    group: groups.find((row) => row[2] === gid)?.[0] ?? login,
    home: home || "/",
    shell: shell || "/bin/sh",
  };
}

/**
 * Gives up root for good, in every thread, and gives the facts that hold afterwards. The environment's HOME and names are
 * the account's then.
 *
 * @throws CordonError when anything of it fails; the process must not go on then
 */
export function becomeAccount(account: Account, host: Host): Host {
  const { name, uid, gid, groups, group, home, shell } = account;
  if (uid === 0 || gid === 0) throw new CordonError(`Cannot become ${name}: that is root`);
  const calls = credentials();
  const list = Uint32Array.from(groups);
  check("setgroups", calls.setgroups(BigInt(list.length), new Uint8Array(list.buffer)));
  check("setresgid", calls.setresgid(gid, gid, gid));
  check("setresuid", calls.setresuid(uid, uid, uid));
  // Root again would mean that it was not given up.
  if (calls.setresuid(0, 0, 0) === 0 || Deno.uid() !== uid || Deno.gid() !== gid) {
    throw new CordonError(`Cannot become ${name}`, {
      why: "The kernel did not take the right to return away",
    });
  }
  const { XDG_RUNTIME_DIR: _, ...env } = host.env;
  Object.assign(env, { HOME: home, USER: name, LOGNAME: name, SHELL: shell });
  return { ...host, uid, gid, groups, user: name, group, home, shell, env };
}

function check(what: string, result: number): void {
  if (result !== 0) throw new CordonError(`Cannot become another user: ${what}: ${errnoText(lastErrno())}`);
}

function rows(text: string): string[][] {
  return text.split("\n").filter((line) => line !== "").map((line) => line.split(":"));
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw new CordonError(`Cannot read ${path}`, { why: reasonOf(cause), cause });
  }
}
