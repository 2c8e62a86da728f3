/**
 * How a script gets into a container that was started before there was a script: its shell waits for one line on stdin,
 * which makes it what it would have been. No I/O.
 */

/**
 * Finds the shell that is to run the script, then waits. The line is read by the shell itself, which takes not a byte
 * more (read, POSIX.1); it is long, because a newline in a script stands as "$n" in it. Without a line, when whoever made
 * the container is gone, it ends. No core files: Podman cannot be told so for the container.
 */
const WAIT = `ulimit -c 0; if command -v bash >/dev/null 2>&1; then set -- bash -lc; else set -- sh -c; fi
n='
'
IFS= read -r l || exit 0
eval "$l"`;

/** What the waiting shell has in its environment beside the container's own. */
const LEFT = ["PWD", "OLDPWD", "SHLVL", "_"];

/** Command of a container that waits for {@link handover}. */
export function waitingCommand(): string[] {
  return ["sh", "-c", WAIT];
}

/**
 * The line by which the waiting shell is replaced by the one that runs the script: the same process, with nothing left
 * of the first but its descriptors 0 to 2. `stdin`: what follows the line is the script's input, else /dev/null is.
 * `env` are the container's own variables, `NAME=VALUE`.
 */
export function handover(
  script: string,
  { stdin, env }: { stdin: boolean; env: readonly string[] },
): Uint8Array {
  const own = new Set(env.map((entry) => entry.split("=", 1)[0]));
  const names = [...LEFT.filter((name) => !own.has(name)), "l", "n"].join(" ");
  const input = stdin ? "" : " <>/dev/null"; // for reading and writing, as engines open it
  const line = `set -- "$@" ${quote(script)}; unset ${names}; exec "$@"${input}\n`;
  return new TextEncoder().encode(line);
}

/** As one word of the shell, on one line. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`).replaceAll("\n", `'"$n"'`)}'`;
}
