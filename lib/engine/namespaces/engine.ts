/** The embedded engine: Linux namespaces, nothing to install. From a Spec to one program, and into it. */
import { RLIMIT } from "../../../ffi/constants.ts";
import { errnoText } from "../../../ffi/errno.ts";
import { lastErrno, libc, vector } from "../../../ffi/libc.ts";
import { writeStderr } from "../../cli/streams.ts";
import { CordonError } from "../../errors.ts";
import { cString } from "../../host/bytes.ts";
import { type CgroupSupport, probeCgroups } from "../../host/cgroups.ts";
import { hostFs } from "../../host/fs.ts";
import type { Host } from "../../host/host.ts";
import { isOldKernel } from "../../host/kernel.ts";
import { readMounts } from "../../host/mounts.ts";
import { explain } from "../../shim/explain.ts";
import { writeImage } from "../../shim/image.ts";
import { type SandboxPlan, sandboxProgram } from "../../shim/programs/sandbox.ts";
import { become } from "../../shim/run.ts";
import type { Spec } from "../../spec/spec.ts";
import type { Engine } from "../engine.ts";
import { type Cgroup, createCgroup, removeCgroup } from "./cgroup.ts";
import { sweepCgroups } from "./cgroup_sweep.ts";
import { type LimitPlan, needsCgroups, planLimits } from "./limits.ts";
import { networkFacts, planNetwork } from "./network.ts";
import { resultPlan } from "./result.ts";
import { withPlaces } from "./plain.ts";
import { planRoot } from "./root.ts";
import { runBeside } from "./run.ts";
import { defaultFilter } from "./seccomp.ts";
import type { Step } from "./steps.ts";
import { Templates } from "./template.ts";

/** Connections a relay carries at once; each costs a process of some 12 KiB. */
const MOST_CONNECTIONS = 1024;
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";

export const namespaces: Engine = {
  name: "namespaces",

  unsupported(spec) {
    const fields: string[] = [];
    if (spec.image !== undefined) fields.push(`image ${spec.image}: this engine runs programs of the host`);
    if (spec.network.mode === "host" && spec.network.allow.length > 0) {
      fields.push(`allow ${spec.network.allow[0]} beside network host, where everything can be reached`);
    }
    return fields;
  },

  exec(spec, host) {
    const limits = limitsOf(spec, host);
    if (limits.reexec) startAgain(limits.reexec, host);
    const cgroup = limits.cgroup ? createCgroup(limits.cgroup) : undefined;
    try {
      become(writeImage(sandboxProgram(plan(spec, host, { limits, cgroup }))));
    } catch (error) {
      if (cgroup) removeCgroup(cgroup);
      throw error;
    }
  },

  run(spec, host, streams) {
    let cgroup: Cgroup | undefined;
    return runBeside(spec, {
      host,
      streams,
      maker: {
        image(spec, directory) {
          const limits = limitsOf(spec, host, recentCgroups);
          if (limits.reexec) {
            throw new CordonError("A limit needs a control group that this process does not have", {
              why: "it is running already, and cannot start again inside one for a single execution",
            });
          }
          if (limits.cgroup) cgroup = createCgroup(limits.cgroup);
          return templates.image({
            spec,
            paths: [directory, ...cgroup?.dirs ?? []],
            build: (spec) => writeImage(sandboxProgram(plan(spec, host, { limits, cgroup }))),
          });
        },
        cleanUp() {
          if (cgroup) removeCgroup(cgroup);
        },
      },
    });
  },
};

/** The program of a Spec, for reading: nothing is created. */
export function explainNamespaces(spec: Spec, host: Host): string {
  return explain(sandboxProgram(plan(spec, host, { limits: limitsOf(spec, host) })));
}

/** An executable that makes this very sandbox on its own. It refuses another uid. */
export function imageOf(spec: Spec, host: Host): Uint8Array<ArrayBuffer> {
  const limits = limitsOf(spec, host);
  if (limits.cgroup || limits.reexec) {
    throw new CordonError("A saved sandbox cannot hold limits of a control group", {
      why:
        "the group is made anew at each start, which takes cordon; --time, --cpu-time, --file-size, --output, " +
        "--tmp-size and --core can be saved",
    });
  }
  return writeImage(sandboxProgram({ ...plan(spec, host, { limits }), onlyUid: host.uid }));
}

function limitsOf(spec: Spec, host: Host, look = currentCgroups): LimitPlan {
  if (!needsCgroups(spec.limits)) return planLimits(spec.limits, { host });
  return planLimits(spec.limits, { host, cgroups: look() });
}

function currentCgroups(): CgroupSupport {
  const cgroups = probeCgroups();
  sweepCgroups(cgroups);
  return cgroups;
}

/** For a daemon, which is in the same group all the time. */
const templates = new Templates();
const FRESH_MS = 1000;
let recent: { cgroups: CgroupSupport; at: number } | undefined;

function recentCgroups(): CgroupSupport {
  const now = performance.now();
  if (!recent || now - recent.at > FRESH_MS) recent = { cgroups: currentCgroups(), at: now };
  return recent.cgroups;
}

interface Prepared {
  limits: LimitPlan;
  cgroup?: Cgroup | undefined;
}

/** Resolves a Spec on this host. Looks, and changes nothing. */
function plan(spec: Spec, host: Host, { limits, cgroup }: Prepared): SandboxPlan {
  refuseUnsupported(spec, host);
  const { uid, gid } = spec.user;
  const network = planNetwork(spec, networkFacts(host));
  if (network.note !== undefined) writeStderr(`cordon: ${network.note}\n`);
  const path = spec.env["PATH"] || DEFAULT_PATH;
  const steps = [
    ...planRoot(spec, hostFs),
    ...network.files.map(({ path, content }): Step => ({ do: "text", dest: path, content })),
  ];
  const old = isOldKernel();
  return {
    arch: host.arch,
    uid,
    gid,
    insideUid: spec.mapRoot ? 0 : uid,
    insideGid: spec.mapRoot ? 0 : gid,
    clearGroups: uid === 0 && host.groups.some((group) => group !== gid),
    steps: old ? withPlaces(steps, hostFs) : steps,
    ...(old && { hostMounts: readMounts() }),
    assembleAt: assemblyPlace(spec.root.assembleAt),
    tmpBytes: spec.limits.tmpBytes,
    cp: hostFs.stat("/bin/cp") ? "/bin/cp" : "/usr/bin/cp",
    hostname: spec.hostname,
    ownNetwork: spec.network.mode !== "host",
    command: spec.command,
    env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    path: path.split(":").map((directory) => directory || "."),
    workdir: { path: spec.workdir.path, required: spec.workdir.required, home: spec.user.home },
    seccomp: spec.seccomp ?? defaultFilter(host.arch, { nested: spec.nested }),
    rlimits: limits.rlimits.map(({ resource, soft, hard }) => ({ resource: RLIMIT[resource], soft, hard })),
    ...(cgroup && {
      cgroup: {
        joinFiles: cgroup.procsFiles,
        removeDirs: cgroup.dirs,
        ...(cgroup.oom && { oomFile: cgroup.oom.path }),
      },
    }),
    keepFds: spec.keepFds,
    rawStdio: spec.rawStdio,
    ...(spec.limits.wallSeconds !== undefined && { wallSeconds: spec.limits.wallSeconds }),
    ...(spec.graceSeconds !== undefined && { graceSeconds: spec.graceSeconds }),
    ...(spec.limits.outputBytes !== undefined && { outputBytes: spec.limits.outputBytes }),
    ...(spec.result && { result: resultPlan(spec.result, limits.enforced) }),
    ...(spec.forwards && { relay: { forwards: spec.forwards, most: MOST_CONNECTIONS } }),
    ...(network.outbound && { outbound: network.outbound }),
    ...(spec.endWithParent !== undefined && { endWithParent: spec.endWithParent }),
    ...(spec.ownSession && { ownSession: true }),
    ...(spec.pty && { pty: spec.pty }),
    tellLimits: spec.tellLimits ?? false,
    verbose: spec.verbose,
  };
}

function refuseUnsupported(spec: Spec, host: Host): void {
  const fields = namespaces.unsupported(spec);
  if (fields.length > 0) {
    throw new CordonError(`The namespaces engine cannot do: ${fields.join("; ")}`, {
      why: "cordon never runs a program with less isolation or less than was asked for",
    });
  }
  if (spec.nested && host.uid === 0) {
    throw new CordonError("--nested is not for root", {
      why: "with mounts and user namespaces allowed, root inside could change /proc/sys of the machine",
      hint: "run it as an ordinary user",
    });
  }
}

/** The directory the root covers, in the sandbox's namespace only. */
function assemblyPlace(path: string): string {
  const real = hostFs.realpath(path);
  if (typeof real !== "string") {
    throw new CordonError(`The root cannot be assembled on ${path}: ${errnoText(real)}`, {
      hint: "choose an existing directory with -b DIR",
    });
  }
  if (hostFs.stat(real) !== "directory" || real === "/") {
    throw new CordonError(`The root cannot be assembled on ${path}`, {
      why: real === "/" ? "it is the root itself" : "it is not a directory",
      hint: "choose an existing directory with -b DIR",
    });
  }
  return real;
}

/** Starts this command again through a helper that gives us a control group of our own. */
export function startAgain(
  { argv, env }: { argv: string[]; env: Record<string, string> },
  host: Host,
): never {
  const own = Deno.readFileSync("/proc/self/cmdline");
  const words: Uint8Array<ArrayBuffer>[] = argv.map(cString);
  words.push(cString(Deno.execPath()));
  for (let at = own.indexOf(0) + 1; at < own.length;) {
    const end = own.indexOf(0, at) + 1;
    words.push(own.slice(at, end));
    at = end;
  }
  const variables = Object.entries({ ...host.env, ...env }).map(([name, value]) =>
    cString(`${name}=${value}`)
  );
  const a = vector(words), e = vector(variables);
  libc().execve(cString(argv[0]!), a.vec, e.vec);
  throw new CordonError(`Cannot execute ${argv[0]}: ${errnoText(lastErrno())}`);
}
