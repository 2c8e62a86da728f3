/** Starting programs as on Linux 4.18: see old_kernel.py. */
import { tmp } from "./run.ts";

const SOURCE = new URL("old_kernel.py", import.meta.url).pathname;

let copy: string | undefined;

/** What to start a command with. Any user may (the checkout may lie in a private home). */
export function onOldKernel(): string[] {
  if (copy === undefined) {
    copy = `${tmp()}/old_kernel.py`;
    Deno.copyFileSync(SOURCE, copy);
    Deno.chmodSync(copy, 0o644);
  }
  return ["/usr/bin/python3", copy];
}
