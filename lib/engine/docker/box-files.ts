/** Files of a box: the commands of its shell that write and find them, and what they say. */

/** What a name or pattern led to: a regular file with its size, or what it is instead. */
export interface BoxEntry {
  path: string;
  kind: "file" | "link" | "directory" | "other";
  size: number;
}

const PUT =
  'umask 022; case "$1" in */*) mkdir -p "./${1%/*}";; esac && rm -f "./$1" && cat >"./$1" && chmod "$2" "./$1"';
const LIST = `IFS=; for p; do for f in $p; do
if [ -L "$f" ]; then k=link; elif [ -f "$f" ]; then k=file; elif [ -d "$f" ]; then k=directory
elif [ -e "$f" ]; then k=other; else continue; fi
s=0; [ $k != file ] || s=$(stat -c %s "$f"); printf '%s\\0%s\\0%s\\0' "$k" "$s" "$f"; done; printf '\\0\\0\\0'; done`;

/** A command that writes a file from its input. */
export function putWords(path: string, mode: number): string[] {
  return ["sh", "-c", PUT, "sh", path, mode.toString(8)];
}

/** A command that says what each pattern leads to. */
export function listWords(patterns: readonly string[]): string[] {
  return ["sh", "-c", LIST, "sh", ...patterns.map((one) => one.replace(/[^\w/*?.-]/gu, "\\$&"))];
}

/** What it said, for so many patterns. */
export function entriesOf(said: string, count: number): BoxEntry[][] {
  const found: BoxEntry[][] = Array.from({ length: count }, () => []);
  const words = said.split("\0");
  for (let at = 0, index = 0; at + 2 < words.length && index < found.length; at += 3) {
    const [kind, size, path] = words.slice(at, at + 3);
    if (kind === "") index++;
    else found[index]!.push({ kind: kind as BoxEntry["kind"], size: sizeOf(size), path: path! });
  }
  return found;
}

/** Of a sparse file it can be more than a number tells apart; and it is the image's programs that say it. */
function sizeOf(told: string | undefined): number {
  const size = Number(told);
  return size >= 0 ? Math.min(size, Number.MAX_SAFE_INTEGER) : 0;
}
