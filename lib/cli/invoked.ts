/** Under which name this process was started. */

/** The name to act under: `cordon`, or one of `legacy`. */
export function invokedAs(argv0: string, legacy: readonly string[]): string {
  const name = baseName(argv0);
  return legacy.includes(name) ? name : "cordon";
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** argv[0] as the caller gave it: Deno does not tell, the kernel does (a link's name stays in it). */
export function readArgv0(): string {
  const bytes = Deno.readFileSync("/proc/self/cmdline");
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
