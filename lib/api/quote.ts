/** Words as one line for a shell, and for a server that takes a command line apart as one would. Pure. */

/** A word that nobody takes apart stays as it is: servers that split at blanks alone understand it too. */
export function quote(word: string): string {
  return /^[\w@%+=:,./~^-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

export function quoteWords(words: readonly string[]): string {
  return words.map(quote).join(" ");
}
