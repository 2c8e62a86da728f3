/** The checks of `cordon doctor` and `cordon isolate --check`: each tries something and says what came of it. */

import { createCgroup, planCgroup, removeCgroup } from "../engine/namespaces/cgroup.ts";
import { CordonError } from "../errors.ts";
import { type Advice, advise, adviseOnWords } from "./advice.ts";
import type { Controller } from "./cgroups.ts";
import type { Probes } from "./probes.ts";
import type { Situation } from "./situation.ts";
import type { Failure, StepId } from "./steps.ts";

/** `missing`: an optional capability is not there; `failed`: sandboxes cannot be made. */
export type Status = "ok" | "missing" | "failed" | "skipped";

export interface CheckResult {
  status: Status;
  /** How it works here, or what it is good for. */
  detail?: string;
  failure?: Failure;
  advice?: Advice;
}

export interface Check {
  id: string;
  title: string;
  /** Without it `cordon isolate` cannot run anything. */
  necessary: boolean;
  /** Checks that must have passed; otherwise this one would only repeat their failure. */
  after?: string;
  run(probes: Probes, situation: Situation): CheckResult;
}

export interface CheckReport extends CheckResult {
  id: string;
  title: string;
  necessary: boolean;
}

const USER: StepId[] = ["user-namespace", "id-map"];
const MOUNTS: StepId[] = [...USER, "mount-namespace", "private-mounts", "tmpfs", "bind"];
const PROC: StepId[] = [
  ...USER,
  "mount-namespace",
  "net-namespace",
  "ipc-namespace",
  "uts-namespace",
  "cgroup-namespace",
  "pid-namespace",
  "private-mounts",
  "tmpfs",
  "bind",
  "proc",
];

/** A check that takes steps of building a sandbox for real. */
function stepCheck(
  id: string,
  title: string,
  options: { steps: StepId[]; necessary?: boolean; after?: string },
): Check {
  const { steps, necessary = true, after } = options;
  return {
    id,
    title,
    necessary,
    ...(after ? { after } : {}),
    run(probes, situation) {
      const failure = probes.steps(steps);
      if (!failure) return { status: "ok" };
      return {
        status: necessary ? "failed" : "missing",
        failure,
        advice: advise(failure, situation),
      };
    },
  };
}

const namespaceCheck = (name: "net" | "ipc" | "uts" | "cgroup" | "pid", title: string) =>
  stepCheck(`${name}-namespace`, title, { steps: [...USER, `${name}-namespace`], after: "user-namespace" });

const memory: Check = {
  id: "exec",
  title: "Executing the sandbox's set-up program",
  necessary: true,
  run(probes, situation) {
    const inMemory = probes.memfd();
    if (!inMemory) return { status: "ok", detail: "from memory" };
    const { path } = situation.runtimeDir;
    const inFile = probes.fileExec(path);
    const advice = advise(inFile ?? inMemory, situation);
    return inFile
      ? { status: "failed", failure: inFile, advice }
      : { status: "ok", detail: `from a private file in ${path}`, failure: inMemory, advice };
  },
};

const LIMITS: Record<Controller, { title: string; stands: string }> = {
  memory: { title: "Memory limit", stands: "for each process only, with --best-effort" },
  pids: { title: "Limit on processes", stands: "by RLIMIT_NPROC, with --best-effort" },
  cpu: { title: "Processor limit", stands: "not without a control group" },
};

function limitCheck(controller: Controller): Check {
  const { title, stands } = LIMITS[controller];
  return {
    id: `limit-${controller}`,
    title,
    necessary: false,
    run(_probes, { cgroups, uid }) {
      const at = cgroups.controllers[controller];
      const instead = controller === "pids" && uid === 0 ? "not without a control group" : stands;
      if (at.by === "none") {
        const mend = at.hint ? { mend: at.hint } : {};
        return {
          status: "missing",
          detail: instead,
          advice: { what: `${title}: not for a sandbox as a whole`, why: at.why, ...mend },
        };
      }
      if (at.by === "reexec") return { status: "ok", detail: "cgroup v2, in a scope of systemd" };
      return tryGroup(controller, cgroups, { title, parent: at.parent, by: at.by });
    },
  };
}

/** Makes a group with such a limit and removes it again. */
function tryGroup(
  controller: Controller,
  cgroups: Situation["cgroups"],
  at: { title: string; parent: string; by: "cgroup1" | "cgroup2" },
): CheckResult {
  const asked = { memory: { memoryBytes: 64 << 20 }, pids: { pids: 64 }, cpu: { cpus: 1 } }[controller];
  try {
    removeCgroup(createCgroup(planCgroup(asked, cgroups)));
    return { status: "ok", detail: `cgroup v${at.by === "cgroup1" ? 1 : 2}, below ${at.parent}` };
  } catch (error) {
    if (!(error instanceof CordonError)) throw error;
    return {
      status: "missing",
      advice: { what: `${at.title}: ${error.message}`, why: error.why ?? "the kernel refused it" },
    };
  }
}

/** The real thing: a machine can take every step above and still lack a call that the set-up makes on the way. */
const whole: Check = {
  id: "sandbox",
  title: "A whole sandbox",
  necessary: true,
  after: "pivot",
  run(probes, situation) {
    const said = probes.sandbox();
    return said === undefined
      ? { status: "ok" }
      : { status: "failed", advice: adviseOnWords(said, situation) };
  },
};

/** Programs and devices that an outbound network in the sandbox needs. */
const network: Check = {
  id: "network",
  title: "Outbound network (--network auto)",
  necessary: false,
  run(probes) {
    const program = ["pasta", "slirp4netns"].find((name) => probes.which(name) !== undefined);
    if (!program) {
      return {
        status: "missing",
        advice: {
          what: "No sandbox can reach out through a network of its own",
          why: "neither pasta nor slirp4netns is installed",
          mend: "sudo apt install passt || sudo dnf install passt",
        },
      };
    }
    const failure = probes.usable("/dev/net/tun");
    if (!failure) return { status: "ok", detail: `through ${program}` };
    const absent = failure.errno === "ENOENT";
    return {
      status: "missing",
      failure,
      advice: {
        what: "No sandbox can reach out through a network of its own",
        why: absent ? "/dev/net/tun does not exist" : "/dev/net/tun may not be opened by this user",
        mend: absent ? "sudo modprobe tun" : "sudo chmod 0666 /dev/net/tun",
      },
    };
  },
};

const containers: Check = {
  id: "containers",
  title: "Docker or Podman (kernels in images)",
  necessary: false,
  run(probes, { uid }) {
    const sockets = [
      "/var/run/docker.sock",
      uid === 0 ? "/run/podman/podman.sock" : `/run/user/${uid}/podman/podman.sock`,
    ];
    const tried = sockets.map((path) => ({ path, failure: probes.usable(path) }));
    const found = tried.find(({ failure }) => failure === undefined);
    if (found) return { status: "ok", detail: found.path };
    const denied = tried.find(({ failure }) => failure?.errno === "EACCES");
    if (denied?.failure) {
      return {
        status: "missing",
        failure: denied.failure,
        advice: {
          what: "The container engine cannot be reached",
          why: `${denied.path} is not open to this user`,
        },
      };
    }
    return { status: "missing", detail: "no socket of either; images need one" };
  },
};

function writableCheck(id: string, title: string, directory: string): Check {
  return {
    id,
    title,
    necessary: false,
    run(probes, situation) {
      const failure = probes.write(directory);
      return failure
        ? { status: "missing", failure, advice: advise(failure, situation) }
        : { status: "ok", detail: directory };
    },
  };
}

/** All checks in the order in which a sandbox is built, then what makes it better. */
export function allChecks(facts: { home: string }): Check[] {
  return [
    memory,
    stepCheck("user-namespace", "User namespace with our ids mapped", { steps: USER }),
    stepCheck("mounts", "Mount namespace, tmpfs, bind mounts", { steps: MOUNTS, after: "user-namespace" }),
    namespaceCheck("pid", "Process namespace"),
    namespaceCheck("net", "Network namespace"),
    namespaceCheck("ipc", "IPC namespace"),
    namespaceCheck("uts", "Host name namespace"),
    namespaceCheck("cgroup", "Control group namespace"),
    stepCheck("proc", "Private /proc", { steps: PROC, after: "mounts" }),
    stepCheck("pivot", "Exchanging the root directory", {
      steps: [...MOUNTS, "pivot-root"],
      after: "mounts",
    }),
    stepCheck("seccomp", "System call filter", { steps: [...USER, "seccomp"], after: "user-namespace" }),
    stepCheck("read-only", "Read-only trees of mounts", { steps: [...MOUNTS, "read-only"], after: "mounts" }),
    whole,
    stepCheck("overlay", "Overlay mounts", {
      steps: [...MOUNTS, "overlay"],
      necessary: false,
      after: "mounts",
    }),
    limitCheck("memory"),
    limitCheck("pids"),
    limitCheck("cpu"),
    network,
    containers,
    writableCheck("home", "Writing to the home directory", facts.home),
  ];
}

/** Runs the checks in order. One whose ground has failed is skipped. */
export function runChecks(
  checks: Check[],
  { probes, situation }: { probes: Probes; situation: Situation },
): CheckReport[] {
  const reports: CheckReport[] = [];
  const broken = new Set<string>();
  for (const check of checks) {
    const { id, title, necessary, after } = check;
    const result: CheckResult = after !== undefined && broken.has(after)
      ? { status: "skipped", detail: `needs ${after}` }
      : check.run(probes, situation);
    if (result.status === "failed" || result.status === "skipped") broken.add(id);
    reports.push({ id, title, necessary, ...result });
  }
  return reports;
}

/** Whether sandboxes can be made here. */
export function isSound(reports: readonly CheckReport[]): boolean {
  return reports.every((report) => !report.necessary || report.status === "ok");
}
