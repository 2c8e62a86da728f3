/** Proxies of the Docker configuration, which its client hands to every container (docker/cli, `configfile`). Pure. */

import { isObject } from "../host/json.ts";

const NAMES = {
  httpProxy: "HTTP_PROXY",
  httpsProxy: "HTTPS_PROXY",
  noProxy: "NO_PROXY",
  ftpProxy: "FTP_PROXY",
  allProxy: "ALL_PROXY",
};

/** The variables, in capitals and in small letters, of `proxies` for this engine, else of its `default`. */
export function proxyVariables(config: Record<string, unknown>, engine: string): Record<string, string> {
  const proxies = isObject(config["proxies"]) ? config["proxies"] : {};
  const chosen = proxies[engine] ?? proxies["default"];
  const variables: Record<string, string> = {};
  for (const [field, name] of Object.entries(NAMES)) {
    const value = isObject(chosen) ? chosen[field] : undefined;
    if (typeof value !== "string" || value === "") continue;
    variables[name] = value;
    variables[name.toLowerCase()] = value;
  }
  return variables;
}
