/** The token of an API, in a file: in an argument every user of the machine could read it. */
import { CordonError, reasonOf } from "../errors.ts";

/** @throws CordonError when there is none in it, or more */
export function readToken(path: string): string {
  let text: string;
  try {
    text = Deno.readTextFileSync(path).trim();
  } catch (cause) {
    throw new CordonError(`Cannot read the token file ${path}`, { why: reasonOf(cause), cause });
  }
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new CordonError(`Cannot use the token in ${path}`, {
    why: "Wanted one word of ASCII, alone in the file",
  });
}
