/** What Podman adds to a container's output of its own accord. */

import { BrokenConnectionError } from "./errors.ts";
import type { Output } from "./frames.ts";

const NOTE = /^Error: (?:read|write) unixpacket [^\n]{0,200}\/attach: [^\n]{0,100}\n?$/;
const LONGEST = 400;

/**
 * The output without Podman's last word on a stdin that the container did not read: it comes (Podman 4.3) as if the
 * container had written it on stderr, and now and then two of them mixed, which are no frames any more. What the
 * container itself wrote last may be lost then, and is not to be had.
 */
export async function* withoutNote(output: AsyncIterable<Output>): AsyncGenerator<Output> {
  let held: Output | undefined;
  try {
    for await (const piece of output) {
      if (held) yield held;
      held = isNote(piece) ? piece : undefined;
      if (!held) yield piece;
    }
  } catch (error) {
    if (held === undefined || !(error instanceof BrokenConnectionError)) throw error;
  }
}

function isNote({ stream, bytes }: Output): boolean {
  return stream === "stderr" && bytes.length < LONGEST && NOTE.test(new TextDecoder().decode(bytes));
}
