/** The built-in seccomp filter. A profile of the user's own goes through `seccomp-oci.ts`. */
import { failWith, SECCOMP } from "../../../ffi/bpf.ts";
import { NEWEST_CALL, policyNumber, type SeccompArch, UNUSED_CALLS } from "../../../ffi/seccomp-default.ts";
import { compile, type Rule } from "./seccomp-compile.ts";
import { type PolicyOptions, policyRules } from "./seccomp-policy.ts";

/**
 * The policy of `seccomp-policy.ts` as an array of `struct sock_filter` for seccomp(2). System calls newer than those
 * known here are answered with ENOSYS, as by an older kernel, because what they do cannot be judged.
 */
export function defaultFilter(arch: SeccompArch, options: PolicyOptions): Uint8Array {
  const rules: Rule[] = [];
  for (const { calls, verdict, when } of policyRules(options)) {
    for (const name of calls) {
      const call = policyNumber(arch, name);
      if (call !== undefined) rules.push({ call, when: when ?? [], verdict });
    }
  }
  return compile({
    arch,
    rules,
    otherwise: SECCOMP.allow,
    newest: NEWEST_CALL,
    newer: failWith(38),
    unused: UNUSED_CALLS[arch],
  });
}
