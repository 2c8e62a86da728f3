/** The private /proc, with what could change the machine read-only or covered. */
import { MOUNT_ATTR, O } from "../../../ffi/constants.ts";
import type { Step } from "../../engine/namespaces/steps.ts";
import { type Assembly, attach, maybe } from "./assembly.ts";
import { coverWithNull } from "./devices.ts";

const PROC_READ_ONLY = ["sys", "irq", "bus", "fs", "sysrq-trigger"];
const PROC_COVERED = ["kcore", "keys", "timer_list", "latency_stats", "sched_debug"];
/** What root needs no capability for: it owns these files. */
const ROOT_READ_ONLY = ["acpi", "asound", "scsi", "dynamic_debug", "mtrr"];
const ROOT_COVERED = [
  "kmsg",
  "kpagecgroup",
  "kpagecount",
  "kpageflags",
  "pagetypeinfo",
  "slabinfo",
  "vmallocinfo",
];

/**
 * A proc of the new pid namespace. User namespaces are set to zero inside: a second lock behind the seccomp filter. What
 * could change the machine for a root that is mapped to itself becomes read-only or is covered.
 */
export function proc(a: Assembly, step: Step & { do: "proc" }): void {
  const { p } = a;
  const fd = p.slot(), knob = p.slot();
  const attributes = MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC;
  a.mounts.make(fd, { type: "proc", options: [], attributes });
  attach(a, fd, { dest: step.dest, own: a.own[0]?.dest === "/" });
  if (step.nested) {
    p.sys("close", [fd]);
    return;
  }
  const limit = "sys/user/max_user_namespaces";
  p.sys("openat", [fd, limit, O.WRONLY | O.CLOEXEC, 0], { into: knob, say: `open /proc/${limit}` });
  p.sys("write", [knob, "0", 1], { say: `set /proc/${limit} to 0` });
  p.sys("close", [knob]);
  for (const name of step.root ? [...PROC_READ_ONLY, ...ROOT_READ_ONLY] : PROC_READ_ONLY) {
    maybe(p, (absent) => {
      const tree = p.slot();
      a.mounts.takeOne({ fd, name }, tree, { recursive: true, fail: absent, say: `take /proc/${name}` });
      a.mounts.restrict(tree, {
        attributes: MOUNT_ATTR.RDONLY | attributes,
        recursive: true,
        say: `make /proc/${name} read-only`,
      });
      a.mounts.put(tree, { fd, name }, { say: `mount /proc/${name}` });
      p.sys("close", [tree]);
    });
  }
  for (const name of step.root ? [...PROC_COVERED, ...ROOT_COVERED] : PROC_COVERED) {
    maybe(p, (absent) => {
      const there = p.slot();
      p.sys("openat", [fd, name, O.PATH | O.CLOEXEC, 0], {
        into: there,
        fail: absent,
        say: `find /proc/${name}`,
      });
      p.sys("close", [there]);
      coverWithNull(a, fd, name, `cover /proc/${name}`);
    });
  }
  p.sys("close", [fd]);
}
