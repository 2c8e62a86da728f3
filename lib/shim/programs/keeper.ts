/**
 * The keeper of a container: a process of a few pages in a session of its own. It waits for the end of a pipe that the
 * launcher alone holds, through everything the launcher becomes, and then executes cordon to remove what is left: also
 * after a SIGKILL. It is there before the container is.
 */
import { PR, SIG_BLOCK, SIG_SETMASK, SIGSET } from "../../../ffi/constants.ts";
import type { Arch } from "../../../ffi/syscalls.ts";
import { closeRange, LAST } from "../descriptors.ts";
import { Program } from "../program.ts";

export interface KeeperPlan {
  arch: Arch;
  /** See {@link Program}. */
  oldKernel: boolean;
  /** The pipe, both ends as the keeper inherits them. */
  line: { read: number; write: number };
  /** argv of cordon that removes what is there. */
  reap: string[];
  /** argv of cordon for a container that the engine may yet be about to make. */
  reapLater: string[];
  env: string[];
}

/** What the launcher tells its keeper, a byte each. */
export const TELL = {
  /** The engine is being asked to make the container. */
  asked: "a",
  /** The container exists. */
  created: "c",
  /** Nothing is left to remove. */
  dismissed: "q",
} as const;

export function keeperProgram(plan: KeeperPlan): Program {
  const p = new Program(plan.arch, plan.oldKernel);
  const { read, write } = plan.line;
  const all = p.slot(-1n), mask = p.slot(), n = p.slot(), word = p.slot(), asked = p.slot();
  const byte = p.buffer(8), ended = p.label("the launcher has ended");
  p.sys("rt_sigprocmask", [SIG_BLOCK, all.address, mask.address, SIGSET]);
  p.sys("prctl", [PR.SET_NAME, "cordon-keeper"]);
  p.sys("close", [write]);
  closeRange(p, 3, read - 1);
  closeRange(p, read + 1, LAST);
  p.loop((_, again) => {
    p.sys("read", [read, byte, 1], { into: n, fail: again });
    p.when([n, "==", 0], ended);
    p.field(word, byte, 8);
    p.if([word, "==", TELL.dismissed.charCodeAt(0)], () => p.exit(0));
    p.set(asked, 0);
    p.if([word, "==", TELL.asked.charCodeAt(0)], () => p.set(asked, 1));
    p.goto(again);
  });
  p.place(ended);
  p.sys("rt_sigprocmask", [SIG_SETMASK, mask.address, 0, SIGSET]);
  const env = p.vector(plan.env);
  p.if([asked, "!=", 0], () => p.sys("execve", [plan.reapLater[0]!, p.vector(plan.reapLater), env]));
  p.sys("execve", [plan.reap[0]!, p.vector(plan.reap), env]);
  return p;
}
