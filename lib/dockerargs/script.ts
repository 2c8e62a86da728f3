/** A shell script that comes by stdin, and the command that runs it. Pure. */

/**
 * Reads the whole script before the first command of it runs, and gives it an empty stdin: its commands cannot eat it.
 * Read by the shell it is not bound to the 128 KiB of one argument (execve(2), MAX_ARG_STRLEN).
 */
const READ_AND_RUN = 'eval "$(cat)" </dev/null';

const CHOOSE = `if command -v bash >/dev/null 2>&1; then exec bash -lc '${READ_AND_RUN}' bash "$@"; fi; ` +
  `exec sh -c '${READ_AND_RUN}' sh "$@"`;

/** The command whose stdin is a script: `bash -lc` where there is bash, else sh. `args` are its $1, $2, … */
export function scriptCommand(args: readonly string[]): string[] {
  return ["sh", "-c", CHOOSE, "sh", ...args];
}
