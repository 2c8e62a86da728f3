/**
 * Pid 1 of a kernel's container: starts the kernel, reaps, passes on signals. Its standard input is the line to the
 * launcher outside: a byte is a signal for the kernel, the end of it means that the launcher has died, and everything
 * here ends with it.
 */
import {
  AT,
  O,
  POLL,
  PR,
  SFD_CLOEXEC,
  SIG,
  SIG_BLOCK,
  SIG_SETMASK,
  SIGSET,
  W,
} from "../../../ffi/constants.ts";
import type { Arch } from "../../../ffi/syscalls.ts";
import { fork, ifPolled, pollWord } from "../kit.ts";
import { Program, type Slot } from "../program.ts";
import { executeSearching } from "./target.ts";

export interface ContainerInitPlan {
  arch: Arch;
  command: string[];
  env: string[];
  path: string[];
}

export function containerInit(plan: ContainerInitPlan): Program {
  const p = new Program(plan.arch);
  const all = p.slot(-1n), mask = p.slot(), target = p.slot(), child = p.label("target");
  p.sys("rt_sigprocmask", [SIG_BLOCK, all.address, mask.address, SIGSET]);
  p.sys("prctl", [PR.SET_NAME, "cordon-init"]);
  p.sys("prctl", [PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0]);
  p.sys("prctl", [PR.SET_DUMPABLE, 0, 0, 0, 0]); // the kernel has our user id and would own us
  fork(p, target, child, { say: "start the kernel" });
  p.sys("close_range", [1, 2, 0]); // readers must see the end when the kernel closes them
  serve(p, target);

  p.place(child);
  p.sys("setsid", []);
  const none = p.slot();
  p.sys("openat", [AT.FDCWD, "/dev/null", O.RDONLY, 0], { into: none, say: "open /dev/null" });
  p.sys("dup3", [none, 0, 0]);
  p.sys("close_range", [3, 0xffffffff, 0]);
  p.sys("rt_sigprocmask", [SIG_SETMASK, mask.address, 0, SIGSET]);
  executeSearching(p, plan);
  return p;
}

function serve(p: Program, target: Slot): void {
  const signals = p.slot(),
    info = p.buffer(128),
    polled = p.words(0, BigInt(POLL.IN) << 32n),
    all = p.slot(-1n);
  const signal = p.slot(), n = p.slot(), group = p.slot(), status = p.slot(), who = p.slot();
  p.sys("signalfd4", [-1, all.address, SIGSET, SFD_CLOEXEC], { into: signals });
  pollWord(p, polled.cell(0), signals);
  p.sub(group, 0, target);
  p.loop((_, again) => {
    const line = p.label("line"), children = p.label("children"), pass = p.label("pass on");
    p.sys("ppoll", [polled, 2, 0, 0, SIGSET], { fail: again });
    ifPolled(p, polled.plus(8), POLL.IN | POLL.HUP | POLL.ERR, line);
    p.sys("read", [signals, info, 128], { fail: again });
    p.field(signal, info, 32);
    p.when([signal, "==", SIG.CHLD], children);
    p.goto(pass);

    p.place(line);
    const byte = p.buffer(8), gone = p.label("launcher is gone");
    p.sys("read", [0, byte, 1], { into: n, fail: gone });
    p.when([n, "==", 0], gone);
    p.field(signal, byte, 8);
    p.place(pass);
    p.sys("kill", [group, signal], { fail: "ignore" }); // ESRCH: it has just ended
    p.goto(again);

    p.place(gone);
    p.exit(128 + SIG.KILL); // pid 1 ends, and with it everything in the container

    p.place(children);
    p.loop((empty, more) => {
      p.sys("wait4", [-1, status.address, W.NOHANG, 0], { into: who, fail: empty });
      p.when([who, "==", 0], empty);
      p.when([who, "!=", target], more);
      p.and(signal, status, 0x7f);
      p.shr(n, status, 8);
      p.and(n, n, 0xff);
      p.if([signal, "!=", 0], () => p.add(n, signal, 128));
      p.exit(n);
    });
    p.goto(again);
  });
}
