/** The terminal on stdin in raw mode: every key as it is typed, and output as it comes. */
import { IOCTL, TERMIOS } from "../../ffi/constants.ts";
import { errnoText } from "../../ffi/errno.ts";
import { ioctl, lastErrno } from "../../ffi/libc.ts";
import { CordonError } from "../errors.ts";

const STDIN = 0;

/**
 * Not the runtime's raw mode, which goes on translating output: a line feed that a program meant as a step down would
 * begin a new line.
 *
 * @returns puts it back as it was; harmless when the terminal has gone
 * @throws CordonError
 */
export function rawTerminal(): () => void {
  const before = new Uint8Array(TERMIOS.SIZE);
  checked(ioctl(STDIN, IOCTL.TCGETS, before));
  checked(ioctl(STDIN, IOCTL.TCSETSW, raw(before)));
  return () => void ioctl(STDIN, IOCTL.TCSETSW, before);
}

/** What cfmakeraw(3) makes of a struct termios. */
export function raw(before: Uint8Array): Uint8Array<ArrayBuffer> {
  const { IFLAG, OFLAG, CFLAG, LFLAG, RAW_IFLAG, RAW_OFLAG, RAW_CFLAG, RAW_LFLAG, CS8, VMIN, VTIME } =
    TERMIOS;
  const modes = new Uint8Array(before);
  const view = new DataView(modes.buffer);
  const set = (at: number, cleared: number, added = 0) =>
    view.setUint32(at, (view.getUint32(at, true) & ~cleared | added) >>> 0, true);
  set(IFLAG, RAW_IFLAG);
  set(OFLAG, RAW_OFLAG);
  set(CFLAG, RAW_CFLAG, CS8);
  set(LFLAG, RAW_LFLAG);
  modes[VMIN] = 1;
  modes[VTIME] = 0;
  return modes;
}

function checked(result: number): void {
  if (result < 0) throw new CordonError("Cannot set the terminal's modes", { why: errnoText(lastErrno()) });
}
