/**
 * The caller's terminal. The target runs in a process group of its own in the terminal's foreground; when it ends, modes
 * and foreground go back. tcsetpgrp(3), ioctl_tty(2).
 */
import { E, F, IOCTL } from "../../../ffi/constants.ts";
import type { Address, Slot } from "../program.ts";
import type { Shared } from "./sandbox.ts";

const TERMIOS_SIZE = 64;

export interface Terminal {
  /** The caller's process group, an int. */
  ownGroup: Address;
  /** struct termios of when we first had the foreground; before that they are the shell's own. */
  modes: Address;
  /** 1 when they are known. */
  known: Slot;
}

/**
 * Our controlling terminal on stdin: the target gets a process group of its own there, and the foreground if we have it.
 * Not in a pipeline that goes on behind us (`cordon isolate … | less`): the foreground is the reader's too. Anything
 * else is a session without a terminal. In the background the group is what stops a target that reads (SIGTTIN) from
 * taking the shell's input.
 */
export function findTerminal(s: Shared): Terminal {
  const { p } = s;
  const ownGroup = p.buffer(8), modes = p.buffer(TERMIOS_SIZE), now = p.buffer(8);
  const none = p.label("no terminal"), take = p.label("take it"), known = p.slot();
  const foreground = p.slot(), group = p.slot();
  p.sys("getpgid", [0], { into: group });
  p.set(ownGroup.cell(), group);
  p.sys("ioctl", [0, IOCTL.TCGETS, modes], { fail: none });
  p.sys("ioctl", [0, IOCTL.TIOCGPGRP, now], { fail: none });
  p.field(foreground, now, 32);
  p.when([foreground, "!=", group], take);
  p.sys("ioctl", [1, IOCTL.TCGETS, p.buffer(TERMIOS_SIZE)], { fail: none });
  p.set(known, 1);
  p.set(s.foreground, 1);
  p.place(take);
  p.sys("fcntl", [0, F.DUPFD_CLOEXEC, 3], { into: s.terminal, say: "keep the terminal" });
  p.set(s.onTerminal, 1);
  p.place(none);
  return { ownGroup, modes, known };
}

/** `fg`: our group has the foreground, the target gets it. */
export function noteForeground(s: Shared, { modes, known }: Terminal): void {
  const { p } = s;
  p.if([known, "==", 0], () => {
    p.sys("ioctl", [s.terminal, IOCTL.TCGETS, modes], { fail: "ignore" });
    p.set(known, 1);
  });
}

/**
 * Both parent and child do this, whoever runs first: the terminal must be the target's before it reads. Where Ctrl-C has to
 * be noticed the target stays in init's group, for the terminal tells only the group in its foreground. (Init must not be in
 * the target's: the kernel would wait for ever for that group's id to be given back.)
 */
export function startGroup(s: Shared, pid: Slot): void {
  const { p } = s;
  if (s.plan.graceSeconds !== undefined) {
    p.if([s.foreground, "!=", 0], () => giveTerminal(s, pid));
    return;
  }
  p.sys("setpgid", [pid, pid], { fail: "ignore" }); // EACCES once the target has called exec: it did this itself
  p.if([s.foreground, "!=", 0], () => giveTerminal(s, pid));
}

export function giveTerminal(s: Shared, pid: Slot): void {
  const { p } = s;
  const group = p.buffer(8), init = 1;
  p.set(group.cell(), s.plan.graceSeconds === undefined ? pid : init);
  p.sys("ioctl", [s.terminal, IOCTL.TIOCSPGRP, group], { fail: "ignore" });
}

/**
 * To be called when nothing is left inside. The terminal is ours to take back unless a living group has it: after `bg`
 * that is the caller's shell, which may be reading a line in modes of its own.
 */
export function restoreTerminal(s: Shared, { ownGroup, modes, known }: Terminal): void {
  const { p } = s;
  const now = p.buffer(8), group = p.slot(), take = p.label("take the terminal back"), leave = p.label();
  p.when([s.terminal, "<", 0], leave);
  p.when([known, "==", 0], leave);
  p.sys("ioctl", [s.terminal, IOCTL.TIOCGPGRP, now], { fail: leave });
  p.field(group, now, 32);
  p.when([group, "==", ownGroup.cell()], take);
  const dead = p.label("nobody");
  p.sub(group, 0, group);
  p.sys("kill", [group, 0], { fail: dead });
  p.goto(leave);
  p.place(dead);
  p.when([p.errno, "!=", E.SRCH], leave);
  p.place(take);
  // Exclusive use (TIOCEXCL) would keep ssh and sudo from opening it until it is closed.
  p.sys("ioctl", [s.terminal, IOCTL.TIOCNXCL, 0], { fail: "ignore" });
  p.sys("ioctl", [s.terminal, IOCTL.TCSETSW, modes], { fail: "ignore" });
  p.sys("ioctl", [s.terminal, IOCTL.TIOCSPGRP, ownGroup], { fail: "ignore" });
  p.place(leave);
}
