/** Streams of JSON values, one a line, as pull, import and events send them. */

import { BrokenConnectionError } from "./errors.ts";

/** A line longer than this is no progress message. */
const MAX_LINE_CHARACTERS = 4 * 1024 * 1024;

/** The values of a stream as they arrive. @throws BrokenConnectionError for a line that is no JSON */
export async function* jsonLines<T>(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") yield parse<T>(line);
    if (rest.length > MAX_LINE_CHARACTERS) {
      throw new BrokenConnectionError("The engine's answer is not JSON", {
        why: `A line exceeds ${MAX_LINE_CHARACTERS} characters`,
      });
    }
  }
  rest += decoder.decode();
  if (rest.trim() !== "") yield parse<T>(rest);
}

function parse<T>(line: string): T {
  try {
    return JSON.parse(line) as T;
  } catch (error) {
    throw new BrokenConnectionError("The engine's answer is not JSON", {
      why: JSON.stringify(line.slice(0, 80)),
      cause: error,
    });
  }
}
