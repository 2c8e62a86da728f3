import assert from "node:assert/strict";
import { syscallNumbers } from "../../../ffi/seccomp-syscalls.ts";
import { ociFilter, parseProfile } from "../../../lib/engine/namespaces/seccomp-oci.ts";
import { CordonError } from "../../../lib/errors.ts";
import { AUDIT, runFilter, seeded, verdictName } from "../../helpers/bpf.ts";

type Arch = "x86_64" | "aarch64";
const HOST = { kernelRelease: "6.1.0-30-amd64" };

function asker(profile: unknown, arch: Arch = "x86_64", host = HOST) {
  const filter = ociFilter(profile, arch, host);
  return (call: string | number, ...args: bigint[]) => {
    const number = typeof call === "number" ? call : syscallNumbers(arch).get(call)!;
    return verdictName(runFilter(filter, { number, audit: AUDIT[arch], arguments: args }).verdict);
  };
}

const ALLOW = "SCMP_ACT_ALLOW";
const ERRNO = "SCMP_ACT_ERRNO";

Deno.test("OCI profile: every action and the default's errno", () => {
  const ask = asker({
    defaultAction: ERRNO,
    syscalls: [
      { names: ["read"], action: ALLOW },
      { names: ["write"], action: ERRNO, errnoRet: 38 },
      { names: ["close"], action: ERRNO, errno: "EACCES", errnoRet: 7 },
      { names: ["open"], action: "SCMP_ACT_KILL" },
      { names: ["openat"], action: "SCMP_ACT_KILL_THREAD" },
      { names: ["fork"], action: "SCMP_ACT_KILL_PROCESS" },
      { names: ["vfork"], action: "SCMP_ACT_TRAP" },
      { names: ["execve"], action: "SCMP_ACT_LOG" },
      { name: "getpid", action: ALLOW },
    ],
  });
  const expected = {
    read: "allow",
    write: "errno 38",
    close: "errno 13",
    open: "kill_thread",
    openat: "kill_thread",
    fork: "kill_process",
    vfork: "trap",
    execve: "log",
    getpid: "allow",
    mmap: "errno 1",
  };
  for (const [call, verdict] of Object.entries(expected)) assert.equal(ask(call), verdict, call);
  assert.equal(asker({ defaultAction: ERRNO, defaultErrnoRet: 95 })("read"), "errno 95");
  assert.equal(
    asker({ defaultAction: ERRNO, defaultErrno: "ENOSYS", defaultErrnoRet: 1 })("read"),
    "errno 38",
  );
});

Deno.test("OCI profile: unknown names are passed over, and the other architecture's too", () => {
  const profile = {
    defaultAction: ERRNO,
    syscalls: [{ names: ["open", "made_up", "openat"], action: ALLOW }],
  };
  assert.equal(asker(profile)("open"), "allow");
  assert.equal(asker(profile, "aarch64")("openat"), "allow");
  // 2 is open on x86_64, io_submit on aarch64.
  assert.equal(asker(profile, "aarch64")(2), "errno 1");
});

Deno.test("OCI profile: includes and excludes", () => {
  const rule = (more: object) => ({
    defaultAction: ERRNO,
    syscalls: [{ names: ["mount"], action: ALLOW, ...more }],
  });
  const cases: [more: object, x86: string, arm: string][] = [
    [{ includes: {} }, "allow", "allow"],
    [{ includes: null, excludes: null, args: null }, "allow", "allow"],
    [{ includes: { caps: ["CAP_SYS_ADMIN"] } }, "errno 1", "errno 1"],
    [{ excludes: { caps: ["CAP_SYS_ADMIN"] } }, "allow", "allow"],
    [{ includes: { arches: ["amd64", "x32"] } }, "allow", "errno 1"],
    [{ includes: { arches: ["arm64"] } }, "errno 1", "allow"],
    [{ excludes: { arches: ["s390", "arm64"] } }, "allow", "errno 1"],
    [{ includes: { arches: ["amd64"], caps: ["CAP_BPF"] } }, "errno 1", "errno 1"],
    [{ includes: { minKernel: "4.8" } }, "allow", "allow"],
    [{ includes: { minKernel: "6.1" } }, "allow", "allow"],
    [{ includes: { minKernel: "6.10" } }, "errno 1", "errno 1"],
    [{ excludes: { minKernel: "5.15" } }, "errno 1", "errno 1"],
    [{ excludes: { minKernel: "7.0" } }, "allow", "allow"],
  ];
  for (const [more, x86, arm] of cases) {
    assert.equal(asker(rule(more))("mount"), x86, JSON.stringify(more));
    assert.equal(asker(rule(more), "aarch64")("mount"), arm, JSON.stringify(more));
  }
});

Deno.test("OCI profile: calls newer than the profile get ENOSYS where it refuses, the default where it allows", () => {
  const strict = asker({ defaultAction: ERRNO, syscalls: [{ names: ["read", "openat2"], action: ALLOW }] });
  assert.equal(strict("clone3"), "errno 1");
  assert.equal(strict("pidfd_getfd"), "errno 38");
  assert.equal(strict(9999), "errno 38");
  const lax = asker({ defaultAction: ALLOW, syscalls: [{ names: ["mount"], action: ERRNO }] });
  assert.equal(lax("pidfd_getfd"), "allow");
  assert.equal(lax(9999), "allow");
  assert.equal(asker({ defaultAction: "SCMP_ACT_KILL" })("read"), "kill_thread");
});

Deno.test("OCI profile: other ABIs get ENOSYS, also where the profile asks for them or allows everything", () => {
  const filter = ociFilter(
    { defaultAction: ALLOW, architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
    "x86_64",
    HOST,
  );
  const verdict = (number: number, audit: number) =>
    verdictName(runFilter(filter, { number, audit }).verdict);
  assert.equal(verdict(39, AUDIT.x86_64), "allow");
  assert.equal(verdict(39, AUDIT.i386), "errno 38");
  assert.equal(verdict(0x40000000 | 39, AUDIT.x86_64), "errno 38");
  ociFilter(
    {
      defaultAction: ALLOW,
      archMap: [{ architecture: "SCMP_ARCH_S390X", subArchitectures: null }, {
        architecture: "SCMP_ARCH_AARCH64",
        subArchitectures: ["SCMP_ARCH_ARM"],
      }],
    },
    "aarch64",
    HOST,
  );
});

Deno.test("OCI profile: comparisons see all 64 bits", () => {
  const socket = asker({
    defaultAction: ERRNO,
    syscalls: [{ names: ["socket"], action: ALLOW, args: [{ index: 0, value: 1, op: "SCMP_CMP_EQ" }] }],
  });
  assert.equal(socket("socket", 1n), "allow");
  assert.equal(socket("socket", 1n | 1n << 32n), "errno 1");
  const clone = asker({
    defaultAction: ERRNO,
    syscalls: [{
      names: ["clone"],
      action: ALLOW,
      args: [{ index: 0, value: 2114060288, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
    }],
  });
  assert.equal(clone("clone", 17n), "allow");
  assert.equal(clone("clone", 17n | 0x10000000n), "errno 1");
});

Deno.test("OCI profile: numbers above 2^53 keep their digits", () => {
  const text =
    `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
    "args": [{"index": 0, "value": 18446744073709551615, "op": "SCMP_CMP_EQ"}]}]}`;
  const profile = parseProfile(text, "p.json");
  assert.deepEqual(JSON.parse(JSON.stringify(profile)), profile);
  const ask = asker(profile);
  assert.equal(ask("read", 0xffffffffffffffffn), "allow");
  assert.equal(ask("read", 0xfffffffffffff800n), "errno 1");
  assert.throws(() => asker(JSON.parse(text)), /syscalls\[0\]\.args\[0\]\.value is \d+, above 2\^53/);
  assert.throws(() => parseProfile("{", "p.json"), {
    name: "CordonError",
    message: "Seccomp profile p.json is not JSON",
  });
});

Deno.test("OCI profile: an error names the place in the JSON", () => {
  const arg = (more: object) => ({
    defaultAction: ALLOW,
    syscalls: [{ names: ["a"], action: ERRNO }, {
      names: ["read"],
      action: ERRNO,
      args: [{ index: 0, value: 0, op: "SCMP_CMP_EQ", ...more }],
    }],
  });
  const rule = (more: object) => ({
    defaultAction: ALLOW,
    syscalls: [{ names: ["read"], action: ERRNO, ...more }],
  });
  const cases: [profile: unknown, message: RegExp][] = [
    [null, /: the profile is null, not an object$/],
    [[], /: the profile is \[\], not an object$/],
    ["x", /: the profile is "x", not an object$/],
    [{}, /: defaultAction is missing$/],
    [{ defaultAction: "ALLOW" }, /: defaultAction is "ALLOW", not one of SCMP_ACT_ERRNO SCMP_ACT_ALLOW/],
    [{ defaultAction: "toString" }, /: defaultAction is "toString", not one of/],
    [{ defaultAction: 3 }, /: defaultAction is 3, not a name$/],
    [
      { defaultAction: "SCMP_ACT_TRACE" },
      /: defaultAction is SCMP_ACT_TRACE, which needs a process that answers/,
    ],
    [
      { defaultAction: ERRNO, defaultErrnoRet: -1 },
      /: defaultErrnoRet is -1, not an error number \(0 to 4095\)$/,
    ],
    [{ defaultAction: ERRNO, defaultErrno: "EWHAT" }, /: defaultErrno is "EWHAT", not the name of an error/],
    [{ defaultAction: ALLOW, syscall: [] }, /: syscall is not a field of a seccomp profile$/],
    [{ defaultAction: ALLOW, syscalls: {} }, /: syscalls is \{\}, not a list$/],
    [{ defaultAction: ALLOW, syscalls: [7] }, /: syscalls\[0\] is 7, not an object$/],
    [{ defaultAction: ALLOW, architectures: ["amd64"] }, /: architectures\[0\] is "amd64", not an SCMP_ARCH/],
    [
      {
        defaultAction: ALLOW,
        architectures: ["SCMP_ARCH_X86"],
        archMap: [{ architecture: "SCMP_ARCH_X86" }],
      },
      /: archMap stands beside architectures/,
    ],
    [{ defaultAction: ALLOW, archMap: [{}] }, /: archMap\[0\]\.architecture is missing$/],
    [
      { defaultAction: ALLOW, flags: ["SECCOMP_FILTER_FLAG_TSYNC", "X"] },
      /: flags\[1\] is "X", which is not supported$/,
    ],
    [{ defaultAction: ALLOW, listenerPath: "/run/x" }, /: listenerPath is not supported$/],
    [rule({ names: [] }), /: syscalls\[0\]\.names is missing or empty$/],
    [rule({ names: ["read", 4] }), /: syscalls\[0\]\.names\[1\] is 4, not a name$/],
    [rule({ name: "write" }), /: syscalls\[0\]\.name stands beside names/],
    [
      rule({ action: "SCMP_ACT_NOTIFY" }),
      /: syscalls\[0\]\.action is SCMP_ACT_NOTIFY, which needs a process/,
    ],
    [rule({ action: undefined }), /: syscalls\[0\]\.action is missing$/],
    [rule({ errnoRet: 5000 }), /: syscalls\[0\]\.errnoRet is 5000, not an error number/],
    [rule({ exclude: {} }), /: syscalls\[0\]\.exclude is not a field/],
    [rule({ excludes: { cap: [] } }), /: syscalls\[0\]\.excludes\.cap is not a field/],
    [
      rule({ includes: { minKernel: "new" } }),
      /: syscalls\[0\]\.includes\.minKernel is "new", not a version/,
    ],
    [rule({ includes: { arches: "amd64" } }), /: syscalls\[0\]\.includes\.arches is "amd64", not a list$/],
    [arg({ op: "SCMP_CMP_XX" }), /: syscalls\[1\]\.args\[0\]\.op is "SCMP_CMP_XX", not one of SCMP_CMP_EQ/],
    [arg({ op: undefined }), /: syscalls\[1\]\.args\[0\]\.op is missing$/],
    [arg({ index: 6 }), /: syscalls\[1\]\.args\[0\]\.index is 6, not the index of an argument/],
    [arg({ index: undefined }), /: syscalls\[1\]\.args\[0\]\.index is missing, not the index/],
    [arg({ value: -1 }), /: syscalls\[1\]\.args\[0\]\.value is -1, not a whole number from 0 to 2\^64-1$/],
    [arg({ value: 1.5 }), /\.value is 1\.5, not a whole number/],
    [arg({ valueTwo: "0x1ffffffffffffffff" }), /\.valueTwo is "0x1ffffffffffffffff", not a whole number/],
  ];
  for (const [profile, message] of cases) {
    assert.throws(
      () => ociFilter(profile, "x86_64", HOST),
      (error) =>
        error instanceof CordonError && message.test(error.message) || assert.fail(`${message}: ${error}`),
    );
  }
});

// A second reading of what a profile means, to compare the filter with. Straight from the JSON, call by call.

interface ProfileArg {
  index: number;
  value: number;
  valueTwo: number;
  op: string;
}
interface ProfileRule {
  names: string[];
  action: string;
  errnoRet?: number;
  args: ProfileArg[];
}
interface Profile {
  defaultAction: string;
  defaultErrnoRet: number;
  syscalls: ProfileRule[];
}

function interpret(profile: Profile, call: string, args: readonly bigint[]): string {
  const names: Record<string, string> = {
    SCMP_ACT_ALLOW: "allow",
    SCMP_ACT_LOG: "log",
    SCMP_ACT_TRAP: "trap",
    SCMP_ACT_KILL_PROCESS: "kill_process",
  };
  const effect = (action: string, errno = 1) => action === ERRNO ? `errno ${errno}` : names[action]!;
  const standard = effect(profile.defaultAction, profile.defaultErrnoRet);
  const numbers = syscallNumbers("x86_64");
  const highest = Math.max(
    ...profile.syscalls.flatMap((rule) => rule.names.map((name) => numbers.get(name) ?? -1)),
  );
  const refuses = standard !== "allow" && standard !== "log";
  if (refuses && highest >= 0 && numbers.get(call)! > highest) return "errno 38";
  const own = profile.syscalls
    .filter((rule) => rule.names.includes(call) && effect(rule.action, rule.errnoRet) !== standard);
  const chosen = own.find((rule) => rule.args.length === 0) ?? own.find((rule) => matches(rule.args, args));
  return chosen ? effect(chosen.action, chosen.errnoRet) : standard;
}

function matches(conditions: readonly ProfileArg[], args: readonly bigint[]): boolean {
  const holds = ({ index, value, valueTwo, op }: ProfileArg) => {
    const given = args[index]!;
    const wanted = BigInt(value);
    switch (op) {
      case "SCMP_CMP_EQ":
        return given === wanted;
      case "SCMP_CMP_NE":
        return given !== wanted;
      case "SCMP_CMP_LT":
        return given < wanted;
      case "SCMP_CMP_LE":
        return given <= wanted;
      case "SCMP_CMP_GT":
        return given > wanted;
      case "SCMP_CMP_GE":
        return given >= wanted;
      case "SCMP_CMP_MASKED_EQ":
        return (given & wanted) === (BigInt(valueTwo) & wanted);
      default:
        throw new Error(op);
    }
  };
  const twice = conditions.some((one, i) => conditions.some((two, j) => i !== j && one.index === two.index));
  return twice ? conditions.some(holds) : conditions.every(holds);
}

Deno.test("OCI profile: random profiles mean what a second reading of them means", () => {
  const random = seeded(20240611);
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  const calls = ["read", "write", "socket", "clone", "ioctl", "personality", "mmap", "openat2", "setns"];
  const actions = [ALLOW, ERRNO, "SCMP_ACT_LOG", "SCMP_ACT_TRAP", "SCMP_ACT_KILL_PROCESS"];
  const operators = ["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"].map((name) => `SCMP_CMP_${name}`);
  const values = [
    0,
    1,
    2,
    5,
    0x7e020000,
    0x80000000,
    0xffffffff,
    2 ** 32,
    2 ** 32 + 1,
    2 ** 40 + 5,
    2 ** 53 - 1,
  ];
  const given = [...values.map(BigInt), 3n, 0x10000n, 1n << 63n, 0xffffffff00000000n, 0xffffffffffffffffn];
  const seen = new Set<string>();
  for (let i = 0; i < 400; i++) {
    const profile: Profile = {
      defaultAction: pick(actions),
      defaultErrnoRet: pick([1, 38]),
      syscalls: Array.from({ length: random(9) }, () => ({
        names: [pick(calls), pick([...calls, "made_up"])],
        action: pick(actions),
        errnoRet: pick([1, 5, 38]),
        args: Array.from({ length: pick([0, 1, 1, 2, 3]) }, () => ({
          index: random(3),
          value: pick(values),
          valueTwo: pick(values),
          op: pick(operators),
        })),
      })),
    };
    const ask = asker(profile);
    for (let j = 0; j < 60; j++) {
      const call = pick(calls);
      const args = [pick(given), pick(given), pick(given)];
      const expected = interpret(profile, call, args);
      assert.equal(ask(call, ...args), expected, `${JSON.stringify(profile)} ${call}(${args})`);
      seen.add(expected);
    }
  }
  assert.deepEqual([...seen].sort(), [
    "allow",
    "errno 1",
    "errno 38",
    "errno 5",
    "kill_process",
    "log",
    "trap",
  ]);
});
