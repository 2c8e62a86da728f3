/**
 * The number of a command in a box. Engines deliver no signal to what runs in a container beside its first process: a
 * shell tells its own number as the first line of the output, and becomes the command.
 */
import type { Output } from "../../docker/frames.ts";

/** Before the words of a command. */
export const TELL_NUMBER: readonly string[] = ["sh", "-c", 'echo $$; exec "$@"', "sh"];
/** Digits of a process number (proc(5), pid_max), and a terminal's end of line. */
const LONGEST_LINE = 12;

/** Words of a command that signals another, and what runs below it: a process of an exec leads a session. */
export function signalWords(leader: number, name: Deno.Signal): string[] {
  const script = 'kill -s "$1" -- "-$2" 2>/dev/null || kill -s "$1" "$2"';
  return ["sh", "-c", script, "sh", name.replace(/^SIG/, ""), String(leader)];
}

/** The output behind the first line of stdout. `told` is called with its number, unless another one comes: nothing ran. */
export async function* withoutNumber(
  output: AsyncIterable<Output>,
  told: (leader: number) => void,
): AsyncGenerator<Output> {
  let line: string | undefined = "";
  for await (const piece of output) {
    if (line === undefined || piece.stream !== "stdout") {
      yield piece;
      continue;
    }
    const { bytes } = piece;
    let at = 0;
    while (at < bytes.length && line.length <= LONGEST_LINE && !line.endsWith("\n")) {
      line += String.fromCharCode(bytes[at++]!);
    }
    if (!line.endsWith("\n") && line.length <= LONGEST_LINE) continue;
    const [, digits] = /^(\d+)\r?\n$/.exec(line) ?? [];
    if (digits !== undefined) told(Number(digits));
    else yield { stream: "stdout", bytes: Uint8Array.from(line, (character) => character.charCodeAt(0)) };
    line = undefined;
    if (at < bytes.length) yield { stream: "stdout", bytes: bytes.subarray(at) };
  }
  if (line) yield { stream: "stdout", bytes: Uint8Array.from(line, (character) => character.charCodeAt(0)) };
}
