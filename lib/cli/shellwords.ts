/**
 * The words of a command line as sh reads them (XCU section 2.2): quotes and backslashes are understood, nothing is
 * expanded. Undefined when a quote is not closed. Pure.
 */
export function shellWords(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!;
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "'" || character === '"') {
      const quoted = readQuoted(line, at);
      if (quoted === undefined) return undefined;
      word = (word ?? "") + quoted.text;
      at = quoted.end;
    } else if (character === "\\") {
      at++;
      if (at === line.length) return undefined;
      word = (word ?? "") + line[at];
    } else {
      word = (word ?? "") + character;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** What stands between the quote at `start` and its partner at `end`. */
function readQuoted(line: string, start: number): { text: string; end: number } | undefined {
  const quote = line[start];
  let text = "";
  for (let at = start + 1; at < line.length; at++) {
    if (line[at] === quote) return { text, end: at };
    // Between double quotes a backslash is itself unless one of these follows.
    const escapes = quote === '"' && line[at] === "\\" && /["\\$`]/.test(line[at + 1] ?? "");
    if (escapes) at++;
    text += line[at];
  }
  return undefined;
}
