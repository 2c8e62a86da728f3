/** What a program inside asks of the kernel: each attack works outside and is refused inside. */
import assert from "node:assert/strict";
import { everyone, ok } from "../helpers/everyone.ts";
import {
  attackDirectory,
  attackProgram,
  compiler,
  type Effects,
  inside,
  NAMESPACE_ROOT,
  outside,
  worked,
} from "./security_attack.ts";

const needs = [compiler];

/** Kernels may be built or set up without these; the refusal inside is the same everywhere. */
const MACHINE: Record<string, readonly string[]> = {
  io_uring: ["ENOSYS", "EPERM"],
  user_fault: ["ENOSYS", "EPERM"],
  interrupt32: ["ENOSYS"],
  vsock: ["EAFNOSUPPORT"],
  type_ahead: ["EIO"],
  type_ahead_high: ["EIO"],
};

/** Names of tests, and what each attack meets inside. */
const PROMISES: Record<string, Effects> = {
  "no new namespaces": {
    clone_user: "EPERM",
    clone_user_high: "EPERM",
    clone3_user: "ENOSYS",
    unshare_user: "EPERM",
    unshare_net: "EPERM",
    unshare_mount: "EPERM",
    join_namespace: "EPERM",
  },
  "no mounts": {
    "mount_tmpfs:/tmp": "EPERM",
    "bind_here:/tmp": "EPERM",
    "clone_mount:/usr": "EPERM",
    new_tmpfs: "EPERM",
    "new_cgroupfs:/tmp": "EPERM",
  },
  "no other root": { "change_root:/usr": "EPERM", "escape_chroot:/usr": "EPERM", "pivot:/tmp": "EPERM" },
  "no other host name": { host_name: "EPERM" },
  "no keyrings": { add_key: "EPERM", list_keys: "EPERM" },
  "no io_uring and no userfaultfd": { io_uring: "ENOSYS", user_fault: "EPERM" },
  "no packet and no vsock sockets": {
    packet: "EAFNOSUPPORT",
    packet_old: "EAFNOSUPPORT",
    vsock: "EAFNOSUPPORT",
  },
  ...(Deno.build.arch === "x86_64" ? { "no 32-bit system calls": { interrupt32: "ENOSYS" } } : {}),
};

for (const [name, refusals] of Object.entries(PROMISES)) {
  everyone(name, async (p) => {
    const attacks = Object.keys(refusals);
    worked(await outside(p, attacks, { prefix: NAMESPACE_ROOT }), { except: MACHINE });
    assert.deepEqual(await inside(p, attacks), refusals);
  }, { needs });
}

everyone("nothing is typed into a terminal", async (p) => {
  const refusals = { type_ahead: "EPERM", type_ahead_high: "EPERM" };
  worked(await outside(p, Object.keys(refusals)), { except: MACHINE });
  assert.deepEqual(await inside(p, Object.keys(refusals)), refusals);
}, { needs });

everyone("no user namespace and no mount even under a seccomp profile that allows everything", async (p) => {
  const dir = p.dir();
  Deno.writeTextFileSync(`${dir}/profile.json`, '{"defaultAction":"SCMP_ACT_ALLOW"}');
  Deno.chmodSync(`${dir}/profile.json`, 0o644);
  const refusals = {
    clone_user: "ENOSPC",
    clone3_user: "ENOSPC",
    unshare_user: "ENOSPC",
    unshare_net: "EPERM",
    "mount_tmpfs:/tmp": "EPERM",
    "uncover:/proc": "EPERM",
    "escape_chroot:/usr": "EPERM",
    "trace:1": "EPERM",
    "write_memory:1": "EACCES",
  };
  assert.deepEqual(
    await inside(p, Object.keys(refusals), { args: ["--seccomp", `${dir}/profile.json`] }),
    refusals,
  );
}, { needs });

everyone("no capability, no way to get one, and no setuid", async (p) => {
  const status = ok(await p.isolate(["-m", "ro:/usr", "cat", "/proc/self/status"]));
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
    assert.match(status, new RegExp(`^${set}:\\t0+$`, "m"));
  }
  assert.match(status, /^NoNewPrivs:\t1$/m);
  assert.match(status, /^Seccomp:\t2$/m);
  // Outside the sandbox but in a user namespace the sets are full.
  assert.doesNotMatch(await p.sh(`${NAMESPACE_ROOT} cat /proc/self/status`, "/"), /^CapEff:\t0+$/m);
});

everyone(
  "the same holds under the name isolate.sh, whose original umount, remount and chroot defeated",
  async (p) => {
    const refusals = { "uncover:/proc": "EPERM", "remount:/usr": "EPERM", "escape_chroot:/usr": "EPERM" };
    const out = await p.isolateSh(["-m", attackDirectory(), attackProgram(), ...Object.keys(refusals)], {
      env: { NI_QUIET: "1" },
    });
    assert.equal(ok(out), Object.entries(refusals).map((pair) => pair.join(" ")).join("\n"));
  },
  { needs },
);
