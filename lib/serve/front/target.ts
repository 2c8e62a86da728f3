/** Request targets: only one spelling of a path is let through. Pure. */

const MOST_TARGET = 8192;
const PATH = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/;
/** What servers take as it comes, besides what RFC 3986 allows in a query. */
const QUERY = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?"<>[\]^`{|}\\]|%[0-9A-Fa-f]{2})*$/;
// Encoded: control characters, / and \.
const HIDDEN = /%(?:[01][0-9A-F]|7F|2F|5C)/i;

/** Why this target is refused (RFC 9112 3.2, origin-form only); undefined when it is not. */
export function refusedTarget(target: string): string | undefined {
  if (!target.startsWith("/")) return "the request target is not a path";
  if (target.includes("#")) return "the request target has a fragment";
  const question = target.indexOf("?");
  const path = question < 0 ? target : target.slice(0, question);
  if (!PATH.test(path)) return "the path has a character that must be percent-encoded";
  if (HIDDEN.test(path)) return "the path hides a control character or a slash";
  if (question >= 0 && !QUERY.test(target.slice(question + 1))) {
    return "the query has a broken percent-encoding";
  }
  const segments = path.slice(1).split("/");
  // The last segment is empty for /, and after a slash at the end.
  if (segments.some((segment, index) => segment === "" && index < segments.length - 1)) {
    return "the path has an empty segment";
  }
  if (segments.some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment))) return "the path has a dot segment";
  return undefined;
}

export function tooLong(target: string): boolean {
  return target.length > MOST_TARGET;
}
