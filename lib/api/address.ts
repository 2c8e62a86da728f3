/** The address of an API: `http:`, `https:` or `unix:`. What in it is secret is never shown. Pure. */
import { UsageError } from "../errors.ts";

export interface ApiAddress {
  /** Scheme, host and path without a slash at the end and without credentials. */
  base: string;
  /** The socket, when it is one; `base` is then only what the request says. */
  socket?: string;
  /** Value of the header Authorization. */
  authorization?: string;
  /** For people: without password and token. */
  shown: string;
}

/**
 * Reads an address. `http://me:SECRET@host` sends the secret as Basic, and a path may hold a token, as Dockyter's
 * users write it; `unix:/run/cordon.sock` is a socket, `unix:/run/cordon.sock:/TOKEN` one with a path behind it.
 *
 * @param option what gave it, for messages, which do not repeat the address
 */
export function parseApiAddress(option: string, text: string): ApiAddress {
  const unix = /^unix:(?:\/\/)?(\/[^:]*)(?::(\/.*))?$/.exec(text);
  if (unix) {
    const path = (unix[2] ?? "").replace(/\/+$/, "");
    const socket = unix[1]!;
    return {
      base: `http://localhost${path}`,
      socket,
      shown: `unix:${socket}${path && ":" + shownPath(path)}`,
    };
  }
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    throw new UsageError(`Cannot use the address of ${option}`, {
      why: "Wanted http://HOST:PORT, https://HOST or unix:/PATH, without ? and #",
    });
  }
  const path = url.pathname.replace(/\/+$/, "");
  const user = decode(option, url.username), password = decode(option, url.password);
  const credentials = user !== "" || password !== "";
  return {
    base: url.origin + path,
    ...(credentials && { authorization: `Basic ${base64(`${user}:${password}`)}` }),
    shown: `${url.protocol}//${credentials ? `${url.username}:***@` : ""}${url.host}${shownPath(path)}`,
  };
}

/** An address as it may be shown, also one that is none. */
export function shownAddress(text: string): string {
  try {
    return parseApiAddress("", text).shown;
  } catch (error) {
    if (error instanceof UsageError) return "***";
    throw error;
  }
}

/** With a token from a file. */
export function withToken(address: ApiAddress, token: string): ApiAddress {
  return { ...address, authorization: `Bearer ${token}` };
}

/** A part this long may be a token. */
const SECRET_LENGTH = 12;

function shownPath(path: string): string {
  return path.split("/").map((part) => part.length >= SECRET_LENGTH ? "***" : part).join("/");
}

function decode(option: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new UsageError(`Cannot use the address of ${option}`, {
      why: "Its user or password holds a % that starts no escape: write %25",
      cause,
    });
  }
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
