/** Data goes to stdout, everything else to stderr. */

/** Writes all of it. A reader that went away (`cordon help | head`) has seen what it wanted: no error. */
export function writeStdout(text: string): void {
  write(Deno.stdout, text);
}

export function writeStderr(text: string): void {
  write(Deno.stderr, text);
}

function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = new TextEncoder().encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
