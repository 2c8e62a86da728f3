/**
 * Strings of the system as JavaScript strings and back. Paths, arguments and environment are bytes to Linux; a byte B
 * that is not part of valid UTF-8 stands in the string as the lone surrogate U+DC00+B, as in Python's PEP 383, so that
 * nothing is lost on the way through.
 */

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8 = new TextEncoder();

/** Bytes of the system as a string. */
export function decodeOs(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return decodeLossless(bytes);
  }
}

function decodeLossless(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length;) {
    const first = bytes[i]!;
    const length = first < 0x80
      ? 1
      : first < 0xc2
      ? 0
      : first < 0xe0
      ? 2
      : first < 0xf0
      ? 3
      : first < 0xf5
      ? 4
      : 0;
    let character: string | undefined;
    if (length > 0 && i + length <= bytes.length) {
      try {
        character = strict.decode(bytes.subarray(i, i + length));
      } catch { /* not UTF-8: the byte is escaped below */ }
    }
    text += character ?? String.fromCharCode(0xdc00 + first);
    i += character === undefined ? 1 : length;
  }
  return text;
}

/** A string as the bytes the system gets; the reverse of {@link decodeOs}. */
export function encodeOs(text: string): Uint8Array<ArrayBuffer> {
  if (text.isWellFormed()) return utf8.encode(text) as Uint8Array<ArrayBuffer>;
  const parts: number[] = [];
  for (const character of text) {
    const code = character.charCodeAt(0);
    if (character.length === 1 && code >= 0xdc80 && code <= 0xdcff) parts.push(code - 0xdc00);
    else parts.push(...utf8.encode(character));
  }
  return Uint8Array.from(parts);
}

/** A string as a C string: its bytes and a NUL. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  const bytes = encodeOs(text);
  const out = new Uint8Array(bytes.length + 1);
  out.set(bytes);
  return out;
}
