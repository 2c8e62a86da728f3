/** How the relay gets into a sandbox: its user, mount and network namespaces, not its pid namespace. setns(2). */
import { AT, CLONE, E, O, openFlags } from "../../../ffi/constants.ts";
import { numberPath, type Pipe } from "../kit.ts";
import type { Label, Program, Slot } from "../program.ts";

/** What the relay shares with init. */
export interface SandboxLinks {
  /** Its end of file says that the root stands and the namespaces can be entered. */
  go: Pipe;
  /** A byte says to init that the relay has entered and serves; its end of file alone, that it could not. */
  entered: Pipe;
  /** pidfd of init; on old kernels its pid. */
  init: Slot;
}

/** Waits for the assembled root and enters the sandbox. */
export function enter(p: Program, { go, entered, init }: SandboxLinks): void {
  const byte = p.buffer(8), failed = p.label(), inside = p.label();
  p.sys("close", [go.write]);
  p.sys("close", [entered.read]);
  p.sys("read", [go.read, byte, 1], { fail: "ignore" }); // returns at its end of file
  const say = "enter the sandbox's namespaces";
  if (p.oldKernel) enterEach(p, init, { fail: failed, say });
  else p.sys("setns", [init, CLONE.NEWUSER | CLONE.NEWNS | CLONE.NEWNET], { fail: failed, say });
  p.goto(inside);
  p.place(failed);
  if (p.oldKernel) p.if([p.errno, "==", E.NOENT], () => p.exit(0));
  p.when([p.errno, "!=", E.SRCH], p.abort);
  p.exit(0); // init could not assemble the sandbox, and has said why
  p.place(inside);
}

/** Before Linux 5.8 setns(2) takes a file of one namespace at a time; the user namespace gives the right to the others. */
function enterEach(p: Program, pid: Slot, { fail, say }: { fail: Label; say: string }): void {
  const of = numberPath(p, "/proc/"), start = p.label(), process = p.slot();
  p.goto(start);
  of.define();
  p.place(start);
  of.call(pid);
  p.sys("openat", [AT.FDCWD, of.path, O.PATH | O.CLOEXEC | openFlags(p.arch).DIRECTORY, 0], {
    into: process,
    fail,
    say,
  });
  const files = ([["user", CLONE.NEWUSER], ["net", CLONE.NEWNET], ["mnt", CLONE.NEWNS]] as const)
    .map(([name, type]) => ({ fd: p.slot(), name, type }));
  for (const { fd, name } of files) {
    p.sys("openat", [process, `ns/${name}`, O.RDONLY | O.CLOEXEC, 0], { into: fd, fail, say });
  }
  for (const { fd, type } of files) p.sys("setns", [fd, type], { fail, say });
}
