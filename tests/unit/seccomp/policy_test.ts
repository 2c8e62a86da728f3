import assert from "node:assert/strict";
import { syscallNumbers } from "../../../ffi/seccomp-syscalls.ts";
import { defaultFilter } from "../../../lib/engine/namespaces/seccomp.ts";
import { AUDIT, runFilter, seeded, verdictName } from "../../helpers/bpf.ts";

const ARCHES = ["x86_64", "aarch64"] as const;
type Arch = typeof ARCHES[number];

/** What DESIGN asks for, written again by hand: refused whatever the arguments. */
const REFUSED = {
  "errno 1":
    "setns chroot pivot_root mount umount2 open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick " +
    "mount_setattr sethostname setdomainname bpf perf_event_open userfaultfd fanotify_init kexec_load kexec_file_load " +
    "init_module finit_module delete_module add_key request_key keyctl syslog open_by_handle_at quotactl quotactl_fd acct " +
    "swapon swapoff reboot settimeofday clock_settime vhangup iopl ioperm",
  "errno 38":
    "clone3 io_uring_setup io_uring_enter io_uring_register modify_ldt uselib ustat sysfs _sysctl create_module " +
    "get_kernel_syms query_module nfsservctl lookup_dcookie openat2",
};

/** Allowed in a sandbox that may hold sandboxes. */
const NESTED = new Set(
  ("clone unshare setns chroot pivot_root mount umount2 open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick " +
    "mount_setattr sethostname setdomainname openat2").split(" "),
);

const BY_ARGUMENT = new Set(
  ("clone unshare personality ioctl socket socketpair " +
    "chmod fchmod fchmodat fchmodat2 creat mknod mknodat open openat").split(" "),
);

function asker(arch: Arch, options = { nested: false } as Parameters<typeof defaultFilter>[1]) {
  const filter = defaultFilter(arch, options);
  const numbers = syscallNumbers(arch);
  return (call: string | number, ...args: bigint[]) => {
    const number = typeof call === "number" ? call : numbers.get(call);
    assert.ok(number !== undefined, `${call} on ${arch}`);
    return verdictName(runFilter(filter, { number, audit: AUDIT[arch], arguments: args }).verdict);
  };
}

for (const arch of ARCHES) {
  for (const nested of [false, true]) {
    Deno.test(`seccomp policy: every number from 0 to 600 on ${arch}${nested ? ", nested" : ""}`, () => {
      const ask = asker(arch, { nested });
      const names = new Map([...syscallNumbers(arch)].map(([name, number]) => [number, name]));
      const random = seeded(3);
      const seen = new Set<string>();
      for (let number = 0; number <= 600; number++) {
        const name = names.get(number);
        if (name && BY_ARGUMENT.has(name)) continue;
        let expected = name ? "allow" : "errno 38";
        for (const [verdict, calls] of Object.entries(REFUSED)) {
          if (name && calls.split(" ").includes(name) && !(nested && NESTED.has(name))) expected = verdict;
        }
        // Arguments must not matter.
        for (let i = 0; i < 4; i++) {
          const args = Array.from({ length: 6 }, () => BigInt(random(1 << 30)) << BigInt(random(34)));
          assert.equal(ask(number, ...args), expected, name ?? String(number));
        }
        seen.add(expected);
      }
      assert.deepEqual([...seen].sort(), ["allow", "errno 1", "errno 38"]);
    });
  }

  Deno.test(`seccomp policy: newer calls, x32 and other ABIs get ENOSYS on ${arch}`, () => {
    const ask = asker(arch);
    const filter = defaultFilter(arch, { nested: false });
    for (
      const number of [
        472,
        512,
        547,
        600,
        0x40000000,
        0x40000027,
        0x40000200,
        0x7fffffff,
        0x80000000,
        0xffffffff,
      ]
    ) {
      assert.equal(ask(number), "errno 38", number.toString(16));
    }
    for (const [name, audit] of Object.entries(AUDIT)) {
      if (name === arch) continue;
      for (let number = 0; number < 500; number++) {
        assert.equal(verdictName(runFilter(filter, { number, audit }).verdict), "errno 38");
      }
    }
  });

  Deno.test(`seccomp policy: ordinary calls take at most 12 instructions on ${arch}`, () => {
    const filter = defaultFilter(arch, { nested: false });
    const hot =
      "read write close newfstatat mmap munmap futex ppoll epoll_pwait recvmsg sendmsg execve wait4 brk";
    for (const name of hot.split(" ")) {
      const { verdict, steps } = runFilter(filter, {
        number: syscallNumbers(arch).get(name)!,
        audit: AUDIT[arch],
      });
      assert.equal(verdictName(verdict), "allow");
      assert.ok(steps <= 12, `${name} takes ${steps}`);
    }
    const { steps } = runFilter(filter, {
      number: syscallNumbers(arch).get("openat")!,
      audit: AUDIT[arch],
      arguments: [0n, 0n, 0o101n, 0o644n],
    });
    assert.ok(steps <= 20, `openat takes ${steps}`);
    assert.ok(filter.length / 8 < 300, `${filter.length / 8} instructions`);
  });

  Deno.test(`seccomp policy: namespaces by clone and unshare on ${arch}`, () => {
    const ask = asker(arch);
    const nested = asker(arch, { nested: true });
    const kinds = [0x20000n, 0x2000000n, 0x4000000n, 0x8000000n, 0x10000000n, 0x20000000n, 0x40000000n];
    // What fork, vfork, posix_spawn and pthread_create pass.
    const ordinary = [17n, 0x4111n, 0x1200011n, 0x3d0f00n];
    for (const kind of kinds) {
      for (const flags of [...ordinary.map((flags) => flags | kind), kind, kind | 0xdeadbeef00000000n]) {
        assert.equal(ask("clone", flags), "errno 1", flags.toString(16));
        assert.equal(nested("clone", flags), "allow");
      }
      for (const flags of [kind, kind | 0x400n, kind | 0xffffffff00000000n]) {
        assert.equal(ask("unshare", flags), "errno 1", flags.toString(16));
        assert.equal(nested("unshare", flags), "allow");
      }
    }
    for (const flags of [...ordinary, 0xffffffff00000011n]) {
      assert.equal(ask("clone", flags), "allow", flags.toString(16));
    }
    for (const flags of [0n, 0x200n, 0x400n, 0x40000n, 0x600n]) assert.equal(ask("unshare", flags), "allow");
    // CLONE_NEWTIME, and a flag of a kernel to come.
    for (const flags of [0x80n, 0x100000n]) assert.equal(ask("unshare", flags), "errno 1");
    assert.equal(nested("clone3"), "errno 38");
  });

  Deno.test(`seccomp policy: typing into the terminal is refused whatever the high bits on ${arch}`, () => {
    for (const nested of [false, true]) {
      const ask = asker(arch, { nested });
      for (const command of [0x5412n, 0x541cn]) {
        for (const high of [0n, 1n, 0x80000000n, 0xffffffffn]) {
          assert.equal(ask("ioctl", 0n, command | high << 32n), "errno 1");
        }
      }
      // TCGETS, TIOCGWINSZ, TIOCSPGRP, FIONREAD.
      for (const command of [0x5401n, 0x5413n, 0x5410n, 0x541bn]) {
        assert.equal(ask("ioctl", 0x5412n, command), "allow");
      }
    }
  });

  Deno.test(`seccomp policy: socket families on ${arch}`, () => {
    for (const call of ["socket", "socketpair"]) {
      const ask = asker(arch);
      for (let family = 0n; family < 64n; family++) {
        for (const high of [0n, 0xabcdn]) {
          const expected = [1n, 2n, 10n, 16n].includes(family) ? "allow" : "errno 97";
          assert.equal(ask(call, family | high << 32n, 1n, 0n), expected, `family ${family}`);
        }
      }
      // Packet sockets by their old spelling, with SOCK_CLOEXEC and with high bits.
      for (const type of [10n, 10n | 0x80000n, 10n | 0x800n, 10n | 5n << 32n, 10n | 0x10n]) {
        assert.equal(ask(call, 2n, type, 0n), "errno 97", `type ${type}`);
        assert.equal(ask(call, 2n | 1n << 40n, type, 0n), "errno 97");
      }
      // Netlink: only routing.
      for (let protocol = 0n; protocol < 32n; protocol++) {
        for (const high of [0n, 1n]) {
          const expected = protocol === 0n ? "allow" : "errno 93";
          assert.equal(ask(call, 16n, 3n, protocol | high << 32n), expected, `protocol ${protocol}`);
        }
      }
      const few = asker(arch, { nested: false, networkFamilies: [1] });
      assert.equal(few(call, 1n, 1n, 0n), "allow");
      for (const family of [2n, 10n, 16n, 40n]) assert.equal(few(call, family, 1n, 0n), "errno 97");
    }
  });

  Deno.test(`seccomp policy: no setuid file, and no setgid one made as such, on ${arch}`, () => {
    const numbers = syscallNumbers(arch);
    const creat = 0o101n, tmpfile = 0o20200001n;
    /** The call with its mode; `flags` for those that open. */
    const calls: Record<string, (mode: bigint, flags: bigint) => bigint[]> = {
      chmod: (mode) => [0n, mode],
      fchmod: (mode) => [0n, mode],
      fchmodat: (mode) => [0n, 0n, mode],
      fchmodat2: (mode) => [0n, 0n, mode],
      creat: (mode) => [0n, mode],
      mknod: (mode) => [0n, mode],
      mknodat: (mode) => [0n, 0n, mode],
      open: (mode, flags) => [0n, flags, mode],
      openat: (mode, flags) => [0n, 0n, flags, mode],
    };
    for (const nested of [false, true]) {
      const ask = asker(arch, { nested });
      for (const [call, args] of Object.entries(calls)) {
        if (!numbers.has(call)) continue;
        const opens = call.startsWith("open"), changes = call.includes("chmod");
        for (const flags of opens ? [creat, tmpfile] : [0n]) {
          for (const high of [0n, 7n << 32n]) {
            assert.equal(ask(call, ...args(0o4755n | high, flags | high)), "errno 1", call);
            assert.equal(ask(call, ...args(0o2755n | high, flags)), changes ? "allow" : "errno 1", call);
          }
          for (const mode of [0n, 0o644n, 0o777n, 0o1777n]) {
            assert.equal(ask(call, ...args(mode, flags)), "allow");
          }
        }
        // Whatever lies in the place of a mode that is not looked at.
        if (opens) assert.equal(ask(call, ...args(0o7777n, 2n)), "allow", call);
      }
    }
  });

  Deno.test(`seccomp policy: personality on ${arch}`, () => {
    const ask = asker(arch);
    for (const value of [0n, 8n, 0x20000n, 0x20008n, 0xffffffffn]) {
      assert.equal(ask("personality", value), "allow");
      // The kernel takes an unsigned int; the C library may extend the sign.
      assert.equal(ask("personality", value | 0xffffffff00000000n), "allow");
    }
    // READ_IMPLIES_EXEC, ADDR_NO_RANDOMIZE, MMAP_PAGE_ZERO.
    for (const value of [0x400000n, 0x40000n, 0x100000n, 1n, 0xfffffffen]) {
      assert.equal(ask("personality", value), "errno 1");
    }
  });
}
