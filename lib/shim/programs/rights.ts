/** Descriptors in messages from one process to another: SCM_RIGHTS of unix(7), cmsg(3). */
import { SCM_RIGHTS, SOL_SOCKET } from "../../../ffi/constants.ts";
import type { Address, Program } from "../program.ts";

/**
 * struct msghdr with one byte of data and room for `count` descriptors; `control` is its struct cmsghdr, behind whose 16
 * bytes they stand as ints.
 */
export function messageFor(p: Program, count: number): { message: Address; control: Address } {
  const space = 16 + 8 * Math.ceil(count / 2);
  const vector = p.words(p.buffer(8), 1);
  const control = p.words(
    16 + 4 * count,
    BigInt(SOL_SOCKET) | BigInt(SCM_RIGHTS) << 32n,
    ...Array(space / 8 - 2).fill(0),
  );
  const message = p.words(0, 0, vector, 1, control, space, 0);
  return { message, control };
}
