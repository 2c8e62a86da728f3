/**
 * What a machine may be unable to have at all, whatever is installed on it. A test that needs one of these is neither
 * passed nor skipped where it is absent: `run-tests` prints the count and the reasons of this list.
 *
 * Something that can be installed does not belong here: it is a need (helpers/need.ts) and a line in install.sh.
 */
import { exists } from "./helpers/machine.ts";

export interface NotPossible {
  /** Name for `possible(id)` in helpers/need.ts. */
  id: string;
  what: string;
  /** Why it cannot be had where {@link absent} says so. */
  reason: string;
  absent: () => boolean;
}

export const NOT_POSSIBLE: readonly NotPossible[] = [
  {
    id: "systemd-delegation",
    what: "control groups delegated by a user's systemd",
    reason: "pid 1 is not systemd, so there is nobody to ask for a scope with Delegate=yes",
    absent: () => read("/proc/1/comm").trim() !== "systemd",
  },
  {
    id: "apparmor",
    what: "AppArmor, and with it Ubuntu's restriction of user namespaces",
    reason: "the running kernel has AppArmor not built in or not enabled",
    absent: () => read("/sys/module/apparmor/parameters/enabled").trim() !== "Y",
  },
  {
    id: "gpu",
    what: "a GPU",
    reason: "there is neither /dev/nvidia0, /dev/kfd nor /dev/dri",
    absent: () => !["/dev/nvidia0", "/dev/kfd", "/dev/dri"].some(exists),
  },
  {
    id: "aarch64-base",
    what: "the whole executable on aarch64",
    reason:
      "Deno's base executable for aarch64 is on no npm registry, and user-mode emulation refuses user " +
      "namespaces; the interpreter of the shim is tested under emulation",
    absent: () => Deno.build.arch !== "aarch64",
  },
];

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

if (import.meta.main) {
  const absent = NOT_POSSIBLE.filter((entry) => entry.absent());
  for (const { what, reason } of absent) console.log(`not possible here: ${what}: ${reason}`);
  console.log(`${absent.length} not possible here`);
}
