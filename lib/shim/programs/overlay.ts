/** Overlay mounts: changes to a directory that go to memory. */
import { AT, MOUNT_ATTR, MOVE_MOUNT, O } from "../../../ffi/constants.ts";
import type { Step } from "../../engine/namespaces/steps.ts";
import type { Slot } from "../program.ts";
import { type Assembly, attach, fileSystem, openSource, tmpfs } from "./assembly.ts";

/** Fixed descriptors, so that overlay options can name them. */
const SCRATCH_FD = 200, LOWER_FD = 201;
const WHITEOUT_PROBE = "overlayfs (removing a directory that has lower files)";

/** A tmpfs below the new root, out of sight, that holds the upper directories of overlays. */
export function scratch(a: Assembly, bytes: number): void {
  const { p } = a;
  const fd = p.slot();
  tmpfs(a, fd, { bytes, mode: 0o700 });
  const onto = [fd, "", a.base, "", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH];
  p.sys("move_mount", onto, { say: "mount the space for overlays" });
  p.sys("dup3", [fd, SCRATCH_FD, O.CLOEXEC]);
  p.sys("close", [fd]);
  probeOverlay(a);
}

function overlayAt(a: Assembly, name: string, lower: string, into: Slot, say: string): void {
  const { p } = a;
  for (const part of ["upper", "work"]) {
    p.sys("mkdirat", [SCRATCH_FD, `${name}-${part}`, 0o755], { say });
  }
  fileSystem(a, into, {
    type: "overlay",
    options: [
      ["userxattr"],
      ["lowerdir", lower],
      ["upperdir", `/proc/self/fd/${SCRATCH_FD}/${name}-upper`],
      ["workdir", `/proc/self/fd/${SCRATCH_FD}/${name}-work`],
    ],
    attributes: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV,
  });
}

/** Removes a file and a directory through a test overlay: kernels up to 6.1 fail it, and `rm -r` inside would too. */
function probeOverlay(a: Assembly): void {
  const { p } = a;
  const fd = p.slot(), file = p.slot();
  const say = WHITEOUT_PROBE;
  p.sys("mkdirat", [SCRATCH_FD, "probe", 0o755], { say });
  p.sys("mkdirat", [SCRATCH_FD, "probe/d", 0o755], { say });
  p.sys("openat", [SCRATCH_FD, "probe/d/f", O.WRONLY | O.CREAT | O.CLOEXEC, 0o644], { into: file, say });
  p.sys("close", [file]);
  overlayAt(a, "probe", `/proc/self/fd/${SCRATCH_FD}/probe`, fd, say);
  p.sys("unlinkat", [fd, "d/f", 0], { say });
  p.sys("unlinkat", [fd, "d", AT.REMOVEDIR], { say });
  p.sys("close", [fd]);
}

export function overlay(a: Assembly, step: Step & { do: "overlay" }): void {
  const { p } = a;
  const source = p.slot(), fd = p.slot();
  openSource(a, step.source, source);
  p.sys("dup3", [source, LOWER_FD, O.CLOEXEC]);
  p.sys("close", [source]);
  overlayAt(
    a,
    `overlay${p.operations.length}`,
    `/proc/self/fd/${LOWER_FD}`,
    fd,
    `make an overlay over ${step.source}`,
  );
  attach(a, fd, step);
  p.sys("close", [fd]);
}
