/** Words as one line for a shell, and for a server that takes a command line apart as one would. Pure. */

/** A word that nobody takes apart stays as it is: servers that split at blanks alone understand it too. */
export function quoteWords(words: readonly string[]): string {
  return words.map((word) => /^[\w@%+=:,./^-]+$/.test(word) ? word : quoted(word)).join(" ");
}

/** What sh(1) and bash(1) read as grammar where a command begins. */
const RESERVED =
  /^(case|coproc|do|done|elif|else|esac|fi|for|function|if|in|select|then|time|until|while)$|=/;

/** A line that runs exactly this program with exactly these arguments. */
export function commandLine([program = "", ...args]: readonly string[]): string {
  const first = RESERVED.test(program) ? quoted(program) : quoteWords([program]);
  return [first, ...(args.length > 0 ? [quoteWords(args)] : [])].join(" ");
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
