/**
 * From what failed and what the machine's switches say to advice: what does not work, why, and the command that mends
 * it. Pure, so that machines which cannot be had are tested as recordings. A cause is only named when a fact confirms
 * it.
 */

import type { Situation, Sysctl } from "./situation.ts";
import type { Failure } from "./steps.ts";

export interface Advice {
  /** What does not work, one line, sentence case, no final period. */
  what: string;
  /** The confirmed cause, or what the kernel answered where none is known. */
  why: string;
  /** Commands to paste; absent where the cause is not known. */
  mend?: string;
}

type Rule = (failure: Failure, situation: Situation) => Advice | undefined;

const NAMESPACE_STEPS: Record<string, { kind: string; sysctl: Sysctl }> = {
  "user-namespace": { kind: "user", sysctl: "user.max_user_namespaces" },
  "mount-namespace": { kind: "mount", sysctl: "user.max_mnt_namespaces" },
  "pid-namespace": { kind: "pid", sysctl: "user.max_pid_namespaces" },
  "net-namespace": { kind: "network", sysctl: "user.max_net_namespaces" },
  "ipc-namespace": { kind: "ipc", sysctl: "user.max_ipc_namespaces" },
  "uts-namespace": { kind: "uts", sysctl: "user.max_uts_namespaces" },
  "cgroup-namespace": { kind: "cgroup", sysctl: "user.max_cgroup_namespaces" },
};
const MOUNT_STEPS = ["private-mounts", "tmpfs", "bind", "read-only", "overlay", "proc", "pivot-root"];
const ENOUGH_NAMESPACES = 15000;

/** What to do about one failed step. The first rule whose cause is confirmed speaks. */
export function advise(failure: Failure, situation: Situation): Advice {
  for (const rule of RULES) {
    const advice = rule(failure, situation);
    if (advice) return advice;
  }
  return { what: describeStep(failure.step), why: `the kernel answered ${failure.errno}` };
}

/** The step in words, as something that does not work. */
function describeStep(step: string): string {
  const namespace = NAMESPACE_STEPS[step];
  if (namespace) {
    return `${namespace.kind === "ipc" ? "An" : "A"} ${namespace.kind} namespace cannot be created`;
  }
  return STEP_WORDS[step] ?? `${step} cannot be used`;
}

const STEP_WORDS: Record<string, string> = {
  "id-map": "User and group ids cannot be mapped into a user namespace",
  "private-mounts": "Mounts cannot be changed inside a namespace",
  "tmpfs": "A tmpfs cannot be mounted inside a namespace",
  "bind": "Directories cannot be bind-mounted inside a namespace",
  "read-only": "Trees of mounts cannot be made read-only",
  "overlay": "Overlays cannot be mounted inside a namespace",
  "proc": "A private /proc cannot be mounted",
  "pivot-root": "The root directory cannot be exchanged",
  "seccomp": "A seccomp filter cannot be installed",
  "memfd": "Programs cannot be executed from memory",
  "file": "A program cannot be executed from a private directory",
};

const isDenied = ({ errno }: Failure) => errno === "EPERM" || errno === "EACCES";

/** Sets a sysctl now and for every later start. */
function setSysctl(name: string, value: number): string {
  return `sudo sysctl -w ${name}=${value}\n` +
    `echo ${name}=${value} | sudo tee /etc/sysctl.d/60-cordon.conf`;
}

const kernelWithout: Rule = ({ step }, { hasUserNamespaces }) =>
  step !== "user-namespace" || hasUserNamespaces ? undefined : {
    what: describeStep(step),
    why: "this kernel was built without user namespaces (CONFIG_USER_NS)",
  };

/** The built-in filter refuses before the count does; another one (`--seccomp`) may not. */
const insideCordon: Rule = (failure, situation) => {
  const { step, errno } = failure;
  if (step !== "user-namespace") return undefined;
  if (errno !== "ENOSPC" && !(situation.filtered && isDenied(failure))) return undefined;
  if (!situation.inUserNamespace || situation.sysctl["user.max_user_namespaces"] !== 0) return undefined;
  return {
    what: describeStep(step),
    why:
      "this is itself the inside of a sandbox that allows no further ones (user.max_user_namespaces is 0 here)",
    mend: "cordon isolate --nested   # for the outer sandbox",
  };
};

/** RHEL and its hardening guides; ENOSPC is the kernel's word for a count that is used up. */
const countUsedUp: Rule = ({ step, errno }, { sysctl, distribution }) => {
  const namespace = NAMESPACE_STEPS[step];
  if (!namespace || errno !== "ENOSPC") return undefined;
  const limit = sysctl[namespace.sysctl];
  if (limit === undefined) return undefined;
  const value = Math.max(2 * limit, ENOUGH_NAMESPACES);
  return {
    what: describeStep(step),
    why: limit === 0
      ? `${namespace.sysctl} is 0${distribution === "rhel" ? ", as hardening profiles of RHEL set it" : ""}`
      : `all ${limit} that ${namespace.sysctl} allows are in use, or namespaces are nested too deep`,
    mend: setSysctl(namespace.sysctl, value),
  };
};

const debianSwitch: Rule = (failure, { sysctl, uid }) => {
  const name = "kernel.unprivileged_userns_clone";
  if (failure.step !== "user-namespace" || !isDenied(failure) || sysctl[name] !== 0 || uid === 0) {
    return undefined;
  }
  return {
    what: "Ordinary users may not create user namespaces",
    why: `${name} is 0 (a switch of Debian's kernels)`,
    mend: setSysctl(name, 1),
  };
};

/** Ubuntu: the namespace can often be made and is then without any right, so the refusal comes a step later. */
const ubuntuAppArmor: Rule = (failure, { sysctl, uid, executable }) => {
  const name = "kernel.apparmor_restrict_unprivileged_userns";
  const early = failure.step.endsWith("-namespace") || failure.step === "id-map" ||
    MOUNT_STEPS.includes(failure.step);
  if (!early || !isDenied(failure) || sysctl[name] !== 1 || uid === 0) return undefined;
  return {
    what: "AppArmor takes away the rights of user namespaces that ordinary users create",
    why: `${name} is 1 (Ubuntu's default since 23.10) and no AppArmor profile lets ${executable} through`,
    mend: [
      "sudo tee /etc/apparmor.d/cordon >/dev/null <<'EOF'",
      "abi <abi/4.0>,",
      `profile cordon "${executable}" flags=(unconfined) {`,
      "  userns,",
      "}",
      "EOF",
      "sudo apparmor_parser -r /etc/apparmor.d/cordon",
      "# or, for every program of this machine:",
      `# sudo sysctl -w ${name}=0`,
    ].join("\n"),
  };
};

/** What to add to the container's own command line. */
function containerOptions(kind: Situation["container"], need: "seccomp" | "proc" | "apparmor"): string {
  switch (kind) {
    case "podman":
      return {
        seccomp: "podman run --security-opt seccomp=unconfined …",
        proc: "podman run --security-opt unmask=ALL …",
        apparmor: "podman run --security-opt apparmor=unconfined …",
      }[need];
    case "kubernetes":
      return {
        seccomp: "securityContext: { seccompProfile: { type: Unconfined } }   # of the container",
        proc: "hostUsers: false, and for the container securityContext: { procMount: Unmasked }",
        apparmor: "securityContext: { appArmorProfile: { type: Unconfined } }   # of the container",
      }[need];
    default:
      return {
        seccomp: "docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined …",
        proc: "docker run --security-opt systempaths=unconfined …",
        apparmor:
          "docker run --security-opt apparmor=unconfined --security-opt seccomp=unconfined --security-opt systempaths=unconfined …",
      }[need];
  }
}

/** Docker's default filter refuses unshare, clone of namespaces, mount and pivot_root without CAP_SYS_ADMIN. */
const containerSeccomp: Rule = (failure, { container, filtered, apparmor }) => {
  if (!isDenied(failure) || !filtered || container === undefined) return undefined;
  const refusedByFilter = failure.step.endsWith("-namespace") || failure.step === "private-mounts" ||
    failure.step === "pivot-root";
  if (!refusedByFilter || (failure.step === "private-mounts" && isConfined(apparmor))) return undefined;
  return {
    what: describeStep(failure.step),
    why: `the seccomp profile of this container refuses it (the kernel answered ${failure.errno})`,
    mend: containerOptions(container, "seccomp"),
  };
};

function isConfined(apparmor: string): boolean {
  return apparmor !== "" && !apparmor.startsWith("unconfined");
}

const containerAppArmor: Rule = (failure, { container, apparmor }) => {
  if (!isDenied(failure) || !MOUNT_STEPS.includes(failure.step)) return undefined;
  if (!isConfined(apparmor) || container === undefined) return undefined;
  // A masked /proc is refused by the kernel itself; the other mounts came through before it.
  if (failure.step === "proc") return undefined;
  return {
    what: describeStep(failure.step),
    why: `the AppArmor profile ${apparmor} of this container refuses mounts`,
    mend: containerOptions(container, "apparmor"),
  };
};

/** mount_too_revealing(): a new proc would show what the container's masks hide. */
const maskedProc: Rule = (failure, { masked, container, inUserNamespace }) => {
  if (failure.step !== "proc" || failure.errno !== "EPERM" || masked.length === 0) return undefined;
  const some = masked.slice(0, 3).join(", ") + (masked.length > 3 ? ` and ${masked.length - 3} more` : "");
  const why =
    `parts of /proc are covered here (${some}), and the kernel allows no fresh one that would show them`;
  if (container !== undefined) {
    return { what: describeStep("proc"), why, mend: containerOptions(container, "proc") };
  }
  if (inUserNamespace) {
    return { what: describeStep("proc"), why, mend: "cordon isolate --nested   # for the outer sandbox" };
  }
  return { what: describeStep("proc"), why, mend: masked.map((path) => `sudo umount ${path}`).join("\n") };
};

const noMemfd: Rule = ({ step }, { sysctl, runtimeDir }) => {
  if (step !== "memfd" && step !== "file") return undefined;
  const forbidden = sysctl["vm.memfd_noexec"] === 2;
  if (step === "memfd" && forbidden) {
    return {
      what: describeStep(step),
      why: "vm.memfd_noexec is 2; cordon then uses a file that it removes at once",
      mend: setSysctl("vm.memfd_noexec", 1),
    };
  }
  if (step !== "file" || !runtimeDir.noexec) return undefined;
  return {
    what: describeStep(step),
    why: `${runtimeDir.path} is mounted noexec`,
    mend: forbidden
      ? setSysctl("vm.memfd_noexec", 1)
      : 'mkdir -p -m 700 "$HOME/.cache/cordon/run" && export XDG_RUNTIME_DIR="$HOME/.cache/cordon/run"',
  };
};

/** The oldest release that sandboxes work on: that of RHEL 8. */
const OLDEST = { major: 4, minor: 18 };

function isOlder({ kernel }: Situation, { major, minor }: { major: number; minor: number }): boolean {
  return kernel.major < major || (kernel.major === major && kernel.minor < minor);
}

function missingCall(situation: Situation): string {
  if (isOlder(situation, OLDEST)) {
    return `Linux ${situation.kernel.release} is older than ${OLDEST.major}.${OLDEST.minor}, which cordon needs`;
  }
  return situation.filtered
    ? "the kernel answered ENOSYS although it is young enough: the seccomp filter around us may hide the call"
    : "the kernel answered ENOSYS";
}

/** What to say of a sandbox that failed with these words on stderr. */
export function adviseOnWords(said: string, situation: Situation): Advice {
  const [first = "", second] = said.trim().split("\n");
  const what = first.replace(/^cordon: /, "");
  if (what.includes(": ENOSYS ")) return { what, why: missingCall(situation) };
  return { what, why: second || "the kernel refused it" };
}

const oldKernel: Rule = ({ step, errno }, situation) => {
  const { kernel } = situation;
  if (errno === "ENOSYS") return { what: describeStep(step), why: missingCall(situation) };
  if (step !== "overlay" || !isOlder(situation, { major: 5, minor: 11 })) return undefined;
  return {
    what: describeStep(step),
    why: `Linux ${kernel.release} is older than 5.11, the first that allows it to ordinary users`,
    mend: "cordon isolate -m 'copy:DIRECTORY'   # a copy serves small directories as well",
  };
};

/** Diskless cluster nodes that run from the image they booted with. bubblewrap stops at the same place. */
const rootOnInitramfs: Rule = ({ step, errno }, situation) =>
  step !== "pivot-root" || errno !== "EINVAL" || !situation.rootOnInitramfs ? undefined : {
    what: describeStep(step),
    why: "this machine runs from its initramfs, which the kernel lets nobody exchange; " +
      "its boot would have to go on to a tmpfs or a disk (switch_root(8))",
  };

const noOverlayDriver: Rule = ({ step, errno }) =>
  step !== "overlay" || errno !== "ENODEV" ? undefined : {
    what: describeStep(step),
    why: "the kernel's overlay module is not loaded",
    mend: "sudo modprobe overlay\necho overlay | sudo tee /etc/modules-load.d/cordon.conf",
  };

const fullDisk: Rule = ({ step, errno }) => {
  if (errno !== "EDQUOT" && errno !== "ENOSPC") return undefined;
  if (!step.startsWith("/")) return undefined;
  return errno === "EDQUOT"
    ? { what: `Nothing can be written to ${step}`, why: "your disk quota is used up", mend: "quota -s" }
    : { what: `Nothing can be written to ${step}`, why: "the file system is full", mend: `df -h '${step}'` };
};

const RULES: readonly Rule[] = [
  kernelWithout,
  insideCordon,
  countUsedUp,
  debianSwitch,
  ubuntuAppArmor,
  containerSeccomp,
  containerAppArmor,
  maskedProc,
  noMemfd,
  rootOnInitramfs,
  noOverlayDriver,
  oldKernel,
  fullDisk,
];
