/** The target: the forked child of init until it becomes the program that was asked for. */
import { AT, E, F, O, RLIMIT, SIG, SIG_SETMASK, SIGSET } from "../../../ffi/constants.ts";
import { EXIT } from "../../errors.ts";
import { posix } from "node:path";
import { tell } from "../kit.ts";
import type { Program } from "../program.ts";
import { REPORT, type Rlimit, type Shared } from "./sandbox.ts";
import { startGroup } from "./terminal.ts";

export function targetProcess(s: Shared): void {
  const { p, plan } = s;
  const self = p.slot();
  p.place(s.targetLabel);
  p.if([s.onTerminal, "!=", 0], () => {
    p.sys("getpid", [], { into: self });
    startGroup(s, self);
  }, () => p.sys("setsid", []));
  const broken = p.label("set-up of the target failed");
  p.set(p.onAbort, broken);
  p.set(p.suspectMachine, 0);
  for (const fd of plan.keepFds) p.sys("fcntl", [fd, F.SETFD, 0]);
  enterDirectory(s);
  p.sys("rt_sigaction", [SIG.PIPE, p.buffer(32), 0, SIGSET]); // the runtime that started us ignores it
  setLimits(p, plan.rlimits);
  p.sys("rt_sigprocmask", [SIG_SETMASK, s.callerMask.address, 0, SIGSET]);
  executeSearching(p, plan);
  // The monitor could not tell this 125 from one of the program's own.
  p.place(broken);
  p.sys("write", [s.report.write, p.words(REPORT.failed), 8], { fail: "ignore" });
  p.exit(EXIT.cordon);
}

/** Appends: limits of this process and of what it becomes, setrlimit(2). */
export function setLimits(p: Program, rlimits: readonly Rlimit[]): void {
  for (const { resource, soft, hard } of rlimits) {
    p.sys("prlimit64", [0, resource, p.words(soft, hard), 0], { say: `set ${limitName(resource)}` });
  }
}

function limitName(resource: number): string {
  const found = Object.entries(RLIMIT).find(([, number]) => number === resource);
  return found ? `RLIMIT_${found[0]}` : `resource limit ${resource}`;
}

/** The directory asked for, or else HOME, or else the root. */
function enterDirectory({ p, plan }: Shared): void {
  const { path, required, home } = plan.workdir;
  if (required) {
    p.sys("chdir", [path], { say: `enter ${path}` });
    return;
  }
  const next = p.label(), done = p.label();
  p.sys("chdir", [path], { fail: next });
  p.goto(done);
  p.place(next);
  p.sys("chdir", [home], { fail: "ignore" }); // we stand in / already
  p.place(done);
}

/** How an ELF file starts: elf(5). */
const ELF = 0x464c457f;

const CANNOT: [number, string][] = [
  [E.ACCES, "permission denied"],
  [E.NOEXEC, "not a program of this machine"],
  [E.NOENT, "the interpreter or loader it names is not inside the sandbox"],
  [E.TOOBIG, "arguments and environment are too long together"],
  [E.TXTBSY, "it is open for writing"],
];

/**
 * execvp(3): each directory of PATH in turn; a file without a known format is a script for sh, unless it starts like a
 * program, which is then one for another kind of machine. Status 126 when one was
 * found that cannot be executed, 127 when none was found. An empty PATH is as good as none; an empty entry in it is the
 * working directory.
 */
export function executeSearching(
  p: Program,
  plan: { command: string[]; env: string[]; path: string[] },
): void {
  const [name, ...rest] = plan.command as [string, ...string[]];
  const argv = p.vector(plan.command), env = p.vector(plan.env);
  const denied = p.slot(), fd = p.slot(), magic = p.slot(), start = p.buffer(8);
  const candidates = name.includes("/") ? [name] : plan.path.map((directory) => posix.join(directory, name));
  for (const path of candidates) {
    const failed = p.label(), next = p.label();
    p.sys("execve", [path, argv, env], { fail: failed });
    p.place(failed);
    p.when([p.errno, "==", E.NOTDIR], next);
    p.if([p.errno, "==", E.NOENT], () => {
      p.sys("faccessat", [AT.FDCWD, path, 0, 0], { fail: next });
      p.set(denied, E.NOENT);
      p.goto(next);
    });
    p.set(denied, p.errno);
    p.if([p.errno, "==", E.NOEXEC], () => {
      const script = p.label();
      p.sys("openat", [AT.FDCWD, path, O.RDONLY | O.CLOEXEC, 0], { into: fd, fail: script });
      p.sys("read", [fd, start, 4], { fail: script });
      p.sys("close", [fd]);
      p.field(magic, start, 32);
      p.when([magic, "==", ELF], next);
      p.place(script);
      p.sys("execve", ["/bin/sh", p.vector(["sh", path, ...rest]), env], { fail: "ignore" });
    });
    p.place(next);
  }
  const missing = p.label("missing");
  p.when([denied, "==", 0], missing);
  const told = p.label();
  for (const [errno, why] of CANNOT) {
    p.if([denied, "==", errno], () => {
      tell(p, `${name} cannot be executed: ${why}`);
      p.goto(told);
    });
  }
  tell(p, `${name} cannot be executed`);
  p.place(told);
  p.exit(EXIT.cannotExecute);
  p.place(missing);
  tell(p, `${name} is not found inside the sandbox`);
  p.exit(EXIT.notFound);
}
