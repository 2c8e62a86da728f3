/**
 * The program of a sandbox. Three processes:
 *
 *   monitor  the pid the caller knows. Outside every namespace; forwards signals, stops and continues with the target,
 *            gives back the terminal, passes the exit status on.
 *   init     pid 1 inside. Assembles the sandbox, reaps, keeps the wall clock; when it dies the kernel ends all inside.
 *   target   what the user asked for.
 *
 * and, where descriptors 0–2 are regular files or output is limited, a pump that copies between them and pipes.
 */
import type { Arch } from "../../../ffi/syscalls.ts";
import type { Step } from "../../engine/namespaces/steps.ts";
import type { HostMount } from "../../host/mounts.ts";
import { Label, Program, type Slot } from "../program.ts";
import { type Pipe, pipeSlots } from "../kit.ts";
import { initProcess } from "./init.ts";
import { monitor } from "./monitor.ts";
import type { OutboundPlan } from "./outbound.ts";
import type { RelayPlan } from "./relay.ts";
import { targetProcess } from "./target.ts";

export interface Rlimit {
  /** Number of the resource (setrlimit(2)). */
  resource: number;
  soft: bigint;
  hard: bigint;
}

/** Everything the program needs, resolved on the host: the engine makes it of a Spec. */
export interface SandboxPlan {
  arch: Arch;
  uid: number;
  gid: number;
  /** Ids the caller has inside. */
  insideUid: number;
  insideGid: number;
  /** Supplementary groups are left behind (root only: nobody else may). */
  clearGroups: boolean;
  steps: Step[];
  assembleAt: string;
  /** The mounts of this machine, where the kernel is an old one: see {@link Program}. */
  hostMounts?: HostMount[];
  tmpBytes: number;
  cp: string;
  hostname: string;
  ownNetwork: boolean;
  command: string[];
  /** NAME=VALUE strings. */
  env: string[];
  /** Directories searched for a command without a slash. */
  path: string[];
  workdir: { path: string; required: boolean; home: string };
  /** struct sock_filter array. */
  seccomp: Uint8Array;
  rlimits: Rlimit[];
  cgroup?: { joinFiles: string[]; oomFile?: string; removeDirs: string[] };
  keepFds: number[];
  rawStdio: boolean;
  wallSeconds?: number;
  /** See `Spec.graceSeconds`. */
  graceSeconds?: number;
  outputBytes?: number;
  result?: ResultPlan;
  /** Connections from listeners outside to sockets inside. */
  relay?: RelayPlan;
  /** Say on stderr which limit ended it; stderr then stays open until the end. */
  tellLimits: boolean;
  /** Destinations outside that can be reached from inside. */
  outbound?: OutboundPlan;
  /** End when this process, our parent, has ended. */
  endWithParent?: number;
  /** The monitor leaves its caller's session; see `Spec.ownSession`. */
  ownSession?: boolean;
  /** See `Spec.pty`. */
  pty?: { master: number; slave: number };
  verbose: boolean;
  /** Refuse to run as anybody else: set in saved images. */
  onlyUid?: number;
}

export interface ResultPlan {
  to: { directory: string; name: string } | { fd: number };
  /** Fixed members of the object, as JSON text without braces: `"engine":"namespaces",…`. */
  members: string;
}

/** Variables that several of the processes use. */
export interface Shared {
  p: Program;
  plan: SandboxPlan;
  /** The stack pointer at start: argc, argv, envp lie there. */
  stack: Slot;
  /** Where the program's name lies in memory, or 0: see `names.ts`. */
  nameAt: Slot;
  monitorPid: Slot;
  /** Stderr for the monitor's own words, or -1: see `keepForComplaints`. */
  complain: Slot;
  /** Descriptors that init inherits and has no business with. */
  monitorOnly: Slot[];
  /** Signal mask of the caller, restored for the target. */
  callerMask: Slot;
  /** Every signal: blocked in monitor, init and pumps. */
  allSignals: Slot;
  /** 1 when the target gets a process group of its own on the caller's terminal. */
  onTerminal: Slot;
  /** 1 when we started in that terminal's foreground. */
  foreground: Slot;
  /** The terminal, or -1. */
  terminal: Slot;
  /** monitor → init: a word `signal | foreground << 8`, or {@link END_ALL}. Its end of file: the monitor died. */
  control: Pipe;
  /** init → monitor: a word `kind | value << 32`, see {@link REPORT}. Its end of file tells the monitor that init died. */
  report: Pipe;
  /** Between init and the relay, see {@link RelayLinks}. */
  go: Pipe;
  entered: Pipe;
  /** A socket between monitor (`read`) and init (`write`), for listeners; its end tells init that the uplink is gone. */
  network: Pipe;
  initLabel: Label;
  targetLabel: Label;
}

/** Kinds of report from init. */
export const REPORT = { exited: 1, stopped: 2, timeout: 3, failed: 4 } as const;

/** To init: kill all that is inside and wait for it, so that the result counts what it used. */
export const END_ALL = 0x200;

/** Builds the program of a sandbox. */
export function sandboxProgram(plan: SandboxPlan): Program {
  const p = new Program(plan.arch, plan.hostMounts !== undefined);
  p.trace = plan.verbose;
  const s: Shared = {
    p,
    plan,
    stack: p.slot(),
    nameAt: p.slot(),
    monitorPid: p.slot(),
    complain: p.slot(-1),
    monitorOnly: [],
    callerMask: p.slot(),
    allSignals: p.slot(-1n),
    onTerminal: p.slot(),
    foreground: p.slot(),
    terminal: p.slot(-1),
    control: pipeSlots(p),
    report: pipeSlots(p),
    go: pipeSlots(p),
    entered: pipeSlots(p),
    network: pipeSlots(p),
    initLabel: new Label("init"),
    targetLabel: new Label("target"),
  };
  monitor(s);
  initProcess(s);
  targetProcess(s);
  return p;
}
