import type { CommandContext } from "../lib/cli/command.ts";
import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import { styleFor } from "../lib/cli/style.ts";
import { shownAddress } from "../lib/api/address.ts";
import { type Config, DEFAULT_MODE } from "../lib/config/config.ts";
import { formatPosition, type Setting } from "../lib/config/parse.ts";
import { configHere, fileJson, type Here, here, positionJson, shownPath } from "./config-here.ts";
import type { ConfigOptions } from "./config.options.ts";
import { API_VARIABLE } from "./run-backend.ts";

export function run({ json }: ConfigOptions, context: CommandContext): number {
  const place = here();
  const config = hideSecrets(withVariable(configHere(place), place.facts.env));
  if (json) {
    writeStdout(JSON.stringify(asJson(config), null, 2) + "\n");
    return 0;
  }
  for (const { at, what } of config.problems) {
    writeStderr(`cordon: warning: ${formatPosition(at)}: ${what}\n`);
  }
  const style = styleFor("stdout", context);
  const rows = settings(config).map(([name, setting, otherwise]) => ({
    name,
    value: setting === undefined ? otherwise ?? "" : JSON.stringify(setting.value),
    origin: setting === undefined
      ? otherwise === undefined ? "not set" : "default"
      : formatPosition({ ...setting.at, path: shownPath(setting.at.path, place.facts.home) }),
  }));
  const width = (key: "name" | "value") => Math.max(...rows.map((row) => row[key].length));
  const [names, values] = [width("name"), Math.min(width("value"), 50)];
  for (const { name, value, origin } of rows) {
    writeStdout(`${style.bold(name.padEnd(names))}  ${value.padEnd(values)}  ${style.dim(origin)}\n`);
  }
  return 0;
}

type Row = [name: string, setting: Setting<string> | undefined, otherwise?: string];

function settings({ mode, apiUrl, tokenFile, defaultArgs, profiles }: Config): Row[] {
  return [
    ["backend.mode", mode, DEFAULT_MODE],
    ["backend.api_url", apiUrl],
    ["backend.token_file", tokenFile],
    ["docker.default_args", defaultArgs],
    ...[...profiles].map(([name, profile]): Row => [`profiles.${name}`, profile]),
  ];
}

function asJson(config: Config) {
  const { mode, apiUrl, tokenFile, defaultArgs, profiles, files, problems } = config;
  const json = (setting: Setting<string> | undefined, otherwise: string | null = null) => ({
    value: setting?.value ?? otherwise,
    origin: setting === undefined ? null : positionJson(setting.at),
  });
  return {
    backend: { mode: json(mode, DEFAULT_MODE), api_url: json(apiUrl), token_file: json(tokenFile) },
    docker: { default_args: json(defaultArgs) },
    profiles: Object.fromEntries([...profiles].map(([name, profile]) => [name, json(profile)])),
    files: files.map(fileJson),
    problems: problems.map(({ at, what }) => ({ ...positionJson(at), what })),
  };
}

/** The variable says where commands go, whatever the files say; their token is for their own address. */
function withVariable({ tokenFile, ...config }: Config, env: Here["facts"]["env"]): Config {
  const value = env[API_VARIABLE];
  if (!value) return { ...config, ...(tokenFile && { tokenFile }) };
  const at = { path: API_VARIABLE, line: 0, column: 0 };
  return { ...config, mode: { value: "api", at }, apiUrl: { value, at } };
}

function hideSecrets(config: Config): Config {
  const { apiUrl } = config;
  return apiUrl === undefined
    ? config
    : { ...config, apiUrl: { ...apiUrl, value: shownAddress(apiUrl.value) } };
}
