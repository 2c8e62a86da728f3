import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { AUDIT_ARCH, NEWEST_CALL, policyNumber, UNUSED_CALLS } from "../../../ffi/seccomp-default.ts";
import { syscallNumbers } from "../../../ffi/seccomp-syscalls.ts";
import { policyRules } from "../../../lib/engine/namespaces/seccomp-policy.ts";
import { AUDIT } from "../../helpers/bpf.ts";
import { test } from "../../helpers/need.ts";

const ARCHES = ["x86_64", "aarch64"] as const;

Deno.test("syscall tables: a number has one name", () => {
  for (const arch of ARCHES) {
    const numbers = [...syscallNumbers(arch).values()];
    assert.equal(new Set(numbers).size, numbers.length);
    assert.equal(Math.max(...numbers), NEWEST_CALL);
    assert.equal(AUDIT_ARCH[arch], AUDIT[arch]);
  }
});

Deno.test("syscall tables: the gaps are what the policy takes for unused", () => {
  for (const arch of ARCHES) {
    const used = new Set(syscallNumbers(arch).values());
    const gaps: number[] = [];
    for (let number = 0; number <= NEWEST_CALL; number++) if (!used.has(number)) gaps.push(number);
    const declared = UNUSED_CALLS[arch].flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, i) => first + i)
    );
    assert.deepEqual(gaps, declared);
  }
});

Deno.test("syscall tables: the policy's own numbers agree with the complete ones", () => {
  for (const arch of ARCHES) {
    for (const call of policyRules({ nested: false }).flatMap((rule) => rule.calls)) {
      assert.equal(policyNumber(arch, call), syscallNumbers(arch).get(call), `${call} on ${arch}`);
    }
  }
});

const X86_HEADER = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";

test("syscall tables: x86_64 agrees with the kernel's header", {
  needs: [{ what: X86_HEADER, met: () => existsSync(X86_HEADER) }],
}, () => {
  const numbers = syscallNumbers("x86_64");
  const defined = [...readFileSync(X86_HEADER, "utf8").matchAll(/^#define __NR_(\w+) (\d+)$/gm)];
  assert.ok(defined.length > 300);
  for (const [, name, number] of defined) assert.equal(numbers.get(name!), Number(number), name);
});

const ARM_HEADER = "/usr/include/asm-generic/unistd.h";

test("syscall tables: aarch64 agrees with the kernel's header", {
  needs: [{ what: ARM_HEADER, met: () => existsSync(ARM_HEADER) }],
}, () => {
  const numbers = syscallNumbers("aarch64");
  const defined = [...readFileSync(ARM_HEADER, "utf8").matchAll(/^#define __NR_(\w+) (\d+)$/gm)];
  const byNumber = new Map([...numbers].map(([name, number]) => [number, name]));
  // Names of 32-bit architectures, and numbers from 244 to 259 that each architecture has for itself.
  const foreign =
    /^(arch_specific_syscall|syscalls|sync_file_range2|.*_time64|clock_.*64|timer_.*64|timerfd_.*64)$/;
  let compared = 0;
  for (const [, name, number] of defined) {
    if (foreign.test(name!)) continue;
    assert.equal(numbers.get(name!), Number(number), `${name} (here ${byNumber.get(Number(number))})`);
    compared++;
  }
  assert.ok(compared > 280);
});
