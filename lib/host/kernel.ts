/** What this machine's kernel lacks. */
import { hasMountSetattr } from "../../ffi/libc.ts";

let old: boolean | undefined;

/**
 * Whether to do without what came after Linux 4.18. mount_setattr(2) of 5.12 is the youngest of the calls that programs
 * make; where it is missing they make none of the others either, whichever of them a distribution has brought over.
 */
export function isOldKernel(): boolean {
  return old ??= !hasMountSetattr();
}
