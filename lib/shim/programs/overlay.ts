/** Overlay mounts: changes to a directory that go to memory. */
import { AT, MOUNT_ATTR, MOVE_MOUNT, O } from "../../../ffi/constants.ts";
import type { Step } from "../../engine/namespaces/steps.ts";
import type { Slot } from "../program.ts";
import { type Assembly, attach, tmpfs } from "./assembly.ts";

const WHITEOUT_PROBE = "overlayfs (removing a directory that has lower files)";

/** A tmpfs below the new root, out of sight, that holds the upper directories of overlays. */
export function makeScratch(a: Assembly, bytes: number): void {
  const { p } = a;
  tmpfs(a, a.scratch, { bytes, mode: 0o700 });
  const onto = [a.scratch, "", a.base, "", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH];
  p.sys("move_mount", onto, { say: "mount the space for overlays" });
  probeOverlay(a);
}

/** Makes an overlay whose changes go to two new directories of the scratch space. */
function overlayAt(a: Assembly, { name, lower, into, say }: OverlayOptions): void {
  const { p } = a;
  p.sys("fchdir", [a.scratch], { say }); // the options below name paths from here
  for (const part of ["upper", "work"]) {
    p.sys("mkdirat", [a.scratch, `${name}-${part}`, 0o755], { say });
  }
  if (typeof lower !== "string") a.pathOf.call(lower);
  a.mounts.make(into, {
    type: "overlay",
    options: [
      ["userxattr"],
      ["lowerdir", typeof lower === "string" ? lower : a.pathOf.path],
      ["upperdir", `${name}-upper`],
      ["workdir", `${name}-work`],
    ],
    attributes: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV,
  });
}

interface OverlayOptions {
  name: string;
  /** A descriptor, or a name in the scratch space. */
  lower: Slot | string;
  /** Takes the detached mount. */
  into: Slot;
  say: string;
}

/** Removes a file and a directory through a test overlay: kernels up to 6.1 fail it, and `rm -r` inside would too. */
function probeOverlay(a: Assembly): void {
  const { p } = a;
  const fd = p.slot(), file = p.slot();
  const say = WHITEOUT_PROBE;
  p.sys("mkdirat", [a.scratch, "probe", 0o755], { say });
  p.sys("mkdirat", [a.scratch, "probe/d", 0o755], { say });
  p.sys("openat", [a.scratch, "probe/d/f", O.WRONLY | O.CREAT | O.CLOEXEC, 0o644], { into: file, say });
  p.sys("close", [file]);
  overlayAt(a, { name: "probe", lower: "probe", into: fd, say });
  p.sys("unlinkat", [fd, "d/f", 0], { say });
  p.sys("unlinkat", [fd, "d", AT.REMOVEDIR], { say });
  p.sys("close", [fd]);
}

export function overlay(a: Assembly, step: Step & { do: "overlay" }): void {
  const { p } = a;
  const lower = p.slot(), fd = p.slot();
  a.mounts.openSource(step.source, lower);
  overlayAt(a, {
    name: `overlay${p.operations.length}`,
    lower,
    into: fd,
    say: `make an overlay over ${step.source}`,
  });
  p.sys("close", [lower]);
  attach(a, fd, step);
  p.sys("close", [fd]);
}
