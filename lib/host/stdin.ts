/** The descriptor 0 of this process, for the program that takes its place. */
import { errnoText } from "../../ffi/errno.ts";
import { lastErrno, libc } from "../../ffi/libc.ts";
import { CordonError } from "../errors.ts";
import { cString } from "./bytes.ts";

/** Puts /dev/null in the place of stdin: what is executed next reads nothing. */
export function emptyStdin(): void {
  libc().close(0);
  // The lowest free descriptor is the one just closed.
  const fd = libc().open(cString("/dev/null"), 0, 0);
  if (fd !== 0) throw new CordonError(`Cannot open /dev/null as stdin: ${errnoText(lastErrno())}`);
}
