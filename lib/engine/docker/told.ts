/** What the first process of a kernel's container tells of the end, from the launcher's side. */
import { libc } from "../../../ffi/libc.ts";
import { TOLD_BYTES } from "../../shim/programs/container_init.ts";

export interface Told {
  /** One of `ENDED`. Of memory Podman knows only whether pid 1 itself was killed. */
  by: number;
  /** Times in seconds and microseconds, and the largest process in KiB. */
  usage: [userS: number, userUs: number, systemS: number, systemUs: number, kilobytes: number];
}

/** What pid 1 said before it ended; undefined when it was killed. It has ended, so that this does not wait. */
export function readTold(fd: number): Told | undefined {
  const bytes = new Uint8Array(TOLD_BYTES);
  if (Number(libc().read(fd, bytes, BigInt(TOLD_BYTES))) !== TOLD_BYTES) return undefined;
  const [by, ...usage] = Array.from(new BigInt64Array(bytes.buffer), Number);
  return { by: by!, usage: usage as Told["usage"] };
}
