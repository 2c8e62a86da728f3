/**
 * Root's sandbox. Root is mapped to itself and owns what root owns outside, so that without a capability it can still
 * do what an owner can. The attacks outside only ask for the right (open for writing, a mode that is there already).
 */
import assert from "node:assert/strict";
import { ok, rootOnly } from "../helpers/everyone.ts";
import {
  attackDirectory,
  attackProgram,
  compiler,
  inside,
  outside,
  quote,
  worked,
} from "./security_attack.ts";
import { cordonArgv } from "../helpers/binary.ts";
import { exists } from "../helpers/machine.ts";

const needs = [compiler];

/** Root without capabilities, mapped to itself: what the sandbox would be if its /proc and /dev were the host's. */
const BARE = "unshare --user --map-root-user";

rootOnly("the machine's settings cannot be changed through /proc", async (p) => {
  const paths = ["", "/proc/self/root", "/proc/thread-self/root", "/proc/self/task/../root"].flatMap((
    prefix,
  ) => [
    `${prefix}/proc/sys/kernel/core_pattern`,
    `${prefix}/proc/sys/kernel/modprobe`,
    `${prefix}/proc/sysrq-trigger`,
  ]);
  const attacks = paths.map((path) => `open_for_writing:${path}`);
  const there = (attack: string) => exists(attack.slice("open_for_writing:".length));
  worked(await outside(p, attacks.filter(there), { prefix: BARE }));
  const found = await inside(p, attacks.filter(there));
  for (const [attack, effect] of Object.entries(found)) assert.equal(effect, "EROFS", attack);
  assert.equal(
    (await inside(p, ["open_for_writing:/proc/1/root/proc/sys/kernel/core_pattern"]))[
      "open_for_writing:/proc/1/root/proc/sys/kernel/core_pattern"
    ],
    "EACCES",
  );
}, { needs });

rootOnly(
  "of all files below /proc outside the processes' own, none can be written but those open to everybody",
  async (p) => {
    const find =
      "find /proc -path '/proc/[0-9]*' -prune -o -type f -writable ! -perm -o+w -print 2>/dev/null || :";
    assert.match(await p.sh(`${BARE} sh -c ${quote(find)}`, "/"), /core_pattern/);
    assert.equal(ok(await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", find])), "");
  },
);

rootOnly("the kernel's memory, keys and timers are covered", async (p) => {
  const covered = ["kcore", "keys", "timer_list", "kpageflags", "kpagecount", "slabinfo", "vmallocinfo"]
    .map((name) => `/proc/${name}`).filter(exists).map((path) => `read_file:${path}`);
  const before = await outside(p, covered);
  assert.ok(Object.values(before).includes("done"), JSON.stringify(before));
  for (const [attack, effect] of Object.entries(await inside(p, covered))) {
    assert.equal(effect, "ENODATA", attack);
  }
}, { needs });

rootOnly("device nodes of the host keep their owner, mode and times", async (p) => {
  const attacks = ["null", "zero", "full", "random", "urandom", "tty"].map((name) =>
    `change_mode:/dev/${name}`
  );
  worked(await outside(p, [...attacks, "change_mode_of_stdin"], { prepare: "exec 0</dev/null" }));
  const more = [...attacks, "change_mode_of_stdin", "change_mode:/dev/console", "change_mode:/proc/keys"];
  const refusals = Object.fromEntries(more.map((attack) => [attack, "EROFS"]));
  assert.deepEqual(await inside(p, more), refusals);
  // A device on stdin that has no name inside.
  const run = cordonArgv([
    "isolate",
    "-m",
    `ro:${attackDirectory()}`,
    "--",
    attackProgram(),
    "change_mode_of_stdin",
  ]);
  assert.equal(await p.sh(`${run.map(quote).join(" ")} < /dev/zero`, "/"), "change_mode_of_stdin EROFS");
  // They are devices all the same.
  assert.equal(
    ok(await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", "echo > /dev/null; echo fine"])),
    "fine",
  );
}, { needs });

rootOnly("no control group can be left or changed, with --sys either", async (p) => {
  // Not those of other sandboxes, which go while this looks.
  const find = "find /sys/fs/cgroup -maxdepth 3 \\( -name release_agent -o -name cgroup.procs \\) " +
    "-not -path '*/cordon-*' | head -n 8";
  const files = (await p.sh(find, "/")).split("\n").filter(Boolean);
  assert.ok(files.length > 0, "no control groups on this machine");
  const attacks = files.map((path) => `open_for_writing:${path}`);
  worked(await outside(p, attacks));
  const shown = await inside(p, [...attacks, "create:/sys/fs/cgroup/cordon-test"], { args: ["--sys"] });
  for (const [attack, effect] of Object.entries(shown)) assert.equal(effect, "EROFS", attack);
  for (const [attack, effect] of Object.entries(await inside(p, attacks))) {
    assert.equal(effect, "ENOENT", attack);
  }
}, { needs });

rootOnly("no supplementary group of root's is left", async (p) => {
  const run = cordonArgv(["isolate", "-m", "ro:/usr", "--", "id", "-G"]).map(quote).join(" ");
  assert.equal(await p.sh(`setpriv --groups 0,4,27 id -G`, "/"), "0 4 27");
  assert.equal(await p.sh(`setpriv --groups 0,4,27 ${run}`, "/"), "0");
});
