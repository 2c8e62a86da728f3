/** `--allow proxy`: where the variables of a site's proxy lead. Pure. */
import { CordonError } from "../errors.ts";

const NAMES = ["http_proxy", "https_proxy", "all_proxy"];
const PORTS: Record<string, number> = {
  "http:": 80,
  "https:": 443,
  "socks:": 1080,
  "socks5:": 1080,
  "socks5h:": 1080,
};

/** `HOST:PORT` of each proxy named. Throws {@link CordonError} when there is none, or what is there is no URL. */
export function proxyDestinations(env: Readonly<Record<string, string | undefined>>): string[] {
  const found = NAMES.flatMap((name) => [name, name.toUpperCase()]).flatMap((name) => {
    const text = env[name];
    if (!text) return [];
    const typed = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
    const url = URL.canParse(typed) ? new URL(typed) : undefined;
    const port = Number(url?.port) || PORTS[url?.protocol ?? ""];
    if (!url?.hostname || !port) {
      throw new CordonError(`The variable ${name} names no proxy: ${JSON.stringify(text)}`, {
        why: "--allow proxy expects a URL such as http://proxy.example.org:3128",
      });
    }
    return [`${url.hostname}:${port}`];
  });
  if (found.length > 0) return [...new Set(found)];
  throw new CordonError("--allow proxy finds no proxy", {
    why: `none of the variables ${NAMES.join(", ")} is set`,
  });
}
