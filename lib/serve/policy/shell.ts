/** How the script of a request is run. */

/** Decided inside: nobody outside knows whether an image has bash. A core file would be the host's to keep. */
const CHOOSE =
  'ulimit -c 0; if command -v bash >/dev/null 2>&1; then exec bash -lc "$1"; fi; exec sh -c "$1"';

/** `Cmd` of a container: `bash -lc` where there is bash, else `sh -c`. */
export function containerCommand(script: string): string[] {
  return ["sh", "-c", CHOOSE, "sh", script];
}

/** The same for the programs of this machine, whose shell is known. */
export function hostCommand(script: string, shell: string): string[] {
  return shell.endsWith("/bash") ? [shell, "-lc", script] : [shell, "-c", script];
}

/** The shell of this machine: bash where it is. */
export function hostShell(): string {
  try {
    return Deno.statSync("/bin/bash").isFile ? "/bin/bash" : "/bin/sh";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "/bin/sh";
    throw error;
  }
}
