/** A pseudo-terminal for a sandbox that runs beside this process: pty(7), ioctl_tty(2). */
import { F, FD_CLOEXEC, IOCTL, O } from "../../../ffi/constants.ts";
import { errnoText } from "../../../ffi/errno.ts";
import { ioctl, lastErrno, libc } from "../../../ffi/libc.ts";
import { CordonError } from "../../errors.ts";
import { cString } from "../../host/bytes.ts";
import type { Spec } from "../../spec/spec.ts";
import type { TerminalSize } from "../engine.ts";

export interface Pty extends Disposable {
  /** What makes the sandbox take it. */
  spec: Pick<Spec, "pty">;
  /** Runs `start` while what is started inherits it, and gives up the end that the target is to have alone. */
  inherited<T>(start: () => T): T;
  resize(size: TerminalSize): void;
}

/** @throws CordonError when this system gives none */
export function openPty(size: TerminalSize): Pty {
  const flags = O.RDWR | O.NOCTTY | O.CLOEXEC;
  const master = succeeded(libc().open(cString("/dev/ptmx"), flags, 0), "open /dev/ptmx");
  const close = new Set([master]);
  const dispose = () => {
    for (const fd of close) libc().close(fd);
    close.clear();
  };
  try {
    const unlock = new Uint8Array(4);
    succeeded(ioctl(master, IOCTL.TIOCSPTLCK, unlock), "unlock the terminal");
    // Not by its name, which need not lead to the same file system.
    const slave = succeeded(ioctl(master, IOCTL.TIOCGPTPEER, flags), "open the terminal");
    close.add(slave);
    const resize = ({ rows, columns }: TerminalSize) => {
      if (!close.has(master)) return;
      // struct winsize
      const winsize = new Uint16Array([rows, columns, 0, 0]);
      succeeded(ioctl(master, IOCTL.TIOCSWINSZ, winsize), "resize the terminal");
    };
    resize(size);
    return {
      spec: { pty: { master, slave } },
      inherited(start) {
        for (const fd of close) libc().fcntl(fd, F.SETFD, 0n);
        try {
          return start();
        } finally {
          libc().fcntl(master, F.SETFD, BigInt(FD_CLOEXEC));
          libc().close(slave);
          close.delete(slave);
        }
      },
      resize,
      [Symbol.dispose]: dispose,
    };
  } catch (error) {
    dispose();
    throw error;
  }
}

function succeeded(result: number, what: string): number {
  if (result >= 0) return result;
  throw new CordonError(`Cannot ${what}: ${errnoText(lastErrno())}`, {
    why: "There may be no more terminals (kernel.pty.max of sysctl), or no devpts file system at /dev/pts",
  });
}
