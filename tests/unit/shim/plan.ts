/** A made-up sandbox for tests of its program. Nothing of this machine is in it. */
import type { SandboxPlan } from "../../../lib/shim/programs/sandbox.ts";
import type { Step } from "../../../lib/engine/namespaces/steps.ts";

export const STEPS: Step[] = [
  { do: "bind", source: "/usr", dest: "/usr", own: true, readOnly: true, devices: false, optional: false },
  { do: "symlink", path: "/bin", target: "usr/bin" },
  { do: "directory", path: "/proc", mode: 0o755 },
  { do: "directory", path: "/tmp", mode: 0o1777 },
  { do: "file", path: "/etc/passwd", content: "root:x:0:0::/:/bin/sh\n" },
  {
    do: "bind",
    source: "/dev/null",
    dest: "/dev/null",
    own: true,
    readOnly: false,
    devices: true,
    optional: false,
  },
  { do: "proc", dest: "/proc", nested: false, root: false },
  {
    do: "bind",
    source: "/home/ann/w",
    dest: "/home/ann/w",
    own: false,
    readOnly: false,
    devices: false,
    optional: false,
  },
];

/** The filter's bytes: two made-up instructions. */
export const FILTER = Uint8Array.from({ length: 16 }, (_, i) => i + 1);

export function madeUpPlan(changes: Partial<SandboxPlan> = {}): SandboxPlan {
  return {
    arch: "x86_64",
    uid: 1234,
    gid: 5678,
    insideUid: 1234,
    insideGid: 5678,
    clearGroups: false,
    steps: STEPS,
    assembleAt: "/tmp",
    tmpBytes: 1 << 28,
    cp: "/bin/cp",
    hostname: "box",
    ownNetwork: true,
    command: ["prog", "one", "two words"],
    env: ["HOME=/home/ann", "LANG=C"],
    path: ["/usr/local/bin", "/usr/bin"],
    workdir: { path: "/home/ann/w", required: false, home: "/home/ann" },
    seccomp: FILTER,
    rlimits: [],
    keepFds: [],
    rawStdio: true,
    tellLimits: false,
    verbose: false,
    ...changes,
  };
}
