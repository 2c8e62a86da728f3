/** One record of comma-separated values, as Go's encoding/csv reads it. Pure. */
import { refuse } from "../cli/values.ts";

/**
 * The fields of a value such as `type=bind,"source=/a,b",target=/c`. Docker reads the first line of a value of several
 * and drops the others in silence; here a line break outside quotes is refused.
 *
 * @throws UsageError
 */
export function parseCsv(option: string, text: string): string[] {
  const fields: string[] = [];
  for (let at = 0;;) {
    if (text[at] === '"') {
      const { field, end } = quoted(option, text, at);
      fields.push(field);
      at = end;
    } else {
      const comma = text.indexOf(",", at);
      const field = text.slice(at, comma < 0 ? text.length : comma);
      if (/["\r\n]/.test(field)) {
        throw refuse(option, text, 'quotes (") around whole fields only, and one line');
      }
      fields.push(field);
      at += field.length;
    }
    if (at === text.length) break;
    if (text[at] !== ",") throw refuse(option, text, "a comma after a quoted field");
    at++;
  }
  if (fields.length === 1 && fields[0] === "") throw refuse(option, text, "a value");
  return fields;
}

function quoted(option: string, text: string, start: number): { field: string; end: number } {
  let field = "";
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] !== '"') {
      field += text[at];
    } else if (text[at + 1] === '"') {
      field += '"';
      at++;
    } else {
      return { field, end: at + 1 };
    }
  }
  throw refuse(option, text, 'a closing quote (")');
}

/** The text before and after the first `separator`; `rest` is undefined when there is none. */
export function cut(text: string, separator: string): [head: string, rest: string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}
