/** Who asks: tokens as they can be presented. Pure. */

export interface Presented {
  /** The path without the token. */
  path: string;
  /** Any that fits will do. */
  tokens: string[];
}

/** Each costs a hash and a comparison with each tenant's. */
const LONGEST_TOKEN = 1024;

/** `Authorization: Basic` (the password), `Bearer`, or `/TOKEN/execute`, as users of Dockyter put it into the URL. */
export function presented(path: string, authorization: string | null): Presented {
  const tokens: string[] = [];
  const inPath = /^\/([^/]+)(\/(?:health|execute|v1\/.+))$/.exec(path);
  if (inPath) tokens.push(inPath[1]!);
  const [scheme = "", credentials = ""] = (authorization ?? "").split(/ +/, 2);
  if (scheme.toLowerCase() === "bearer") tokens.push(credentials);
  if (scheme.toLowerCase() === "basic") {
    const password = /^[^:]*:([^]*)$/.exec(decodeBase64(credentials))?.[1];
    if (password !== undefined) tokens.push(password);
  }
  return {
    path: inPath ? inPath[2]! : path,
    tokens: tokens.filter((token) => token !== "" && token.length <= LONGEST_TOKEN),
  };
}

function decodeBase64(text: string): string {
  try {
    return atob(text);
  } catch {
    return "";
  }
}
