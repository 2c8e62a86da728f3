import { type CommandSpec, defineCommand, type OptionSpec } from "../lib/cli/command.ts";

export interface ConfigOptions {
  json: boolean;
}

const JSON_OPTION: OptionSpec = { long: "json", description: "Print one JSON object" };

/** What all three have. */
const COMMON: Pick<
  CommandSpec<ConfigOptions>,
  "options" | "operands" | "usage" | "passThrough" | "exitUsage" | "read"
> = {
  options: [JSON_OPTION],
  operands: [],
  usage: ["[--json]"],
  passThrough: false,
  exitUsage: 2,
  read: (parsed) => ({ json: parsed.flag("json") }),
};

const PLACES =
  "The first of these that is there is read: the file that CORDON_CONFIG names, cordon.toml in the working " +
  "directory (or in CORDON_CONFIG_DIR: the magics name the one they were loaded in), ~/.cordon.toml, $XDG_CONFIG_HOME/cordon/config.toml; and in the same way DOCKYTER_CONFIG, " +
  "dockyter.toml, ~/.dockyter.toml, ~/.config/dockyter/config.toml. What cordon's file sets counts before what " +
  "dockyter's sets. A file of the working directory must be yours, and nobody else may be able to write it. Only " +
  "cordon run and cordon magics read any of them.";

const KEYS = "The keys are backend.mode (docker, api or namespaces), backend.api_url, backend.token_file, " +
  "docker.default_args (options and image of cordon run), and profiles.NAME (the same, under a name).";

export const configShow = defineCommand<ConfigOptions>({
  ...COMMON,
  name: "config show",
  summary: "Show what is configured for cordon run and the magics, and where",
  description:
    `${KEYS}\n\n${PLACES}\n\nThe variable CORDON_API counts before all of them. Tokens in addresses are not shown.`,
  examples: [
    { text: "What holds in this directory?", command: "cordon config show" },
    { text: "The names of the profiles", command: "cordon config show --json | jq '.profiles | keys'" },
  ],
  options: [{
    ...JSON_OPTION,
    details:
      "Keys: backend {mode, api_url, token_file}, docker {default_args} and profiles {NAME}, each of them " +
      "{value, origin}, where origin is null or {path, line, column}, the path being CORDON_API for what that variable " +
      "says, and value is null when nothing sets it; files, a " +
      "list of {path, format, place, state, why}; problems, a list of {path, line, column, what}.",
  }],
  load: () => import("./config-show.ts"),
});

export const configCheck = defineCommand<ConfigOptions>({
  ...COMMON,
  name: "config check",
  summary: "Look for mistakes in every configuration file",
  description:
    "Reads all of them, also those that do not count, and tells what is broken, unknown or of no use. The status is 1 " +
    `when there is something to tell.\n\n${KEYS}`,
  examples: [{ text: "Is everything right?", command: "cordon config check" }],
  options: [{
    ...JSON_OPTION,
    details: "Keys: sound, and problems, a list of {path, line, column, what}.",
  }],
  load: () => import("./config-check.ts"),
});

export const configPath = defineCommand<ConfigOptions>({
  ...COMMON,
  name: "config path",
  summary: "List the places of configuration files, and what is there",
  description: PLACES,
  examples: [{ text: "Where do I write it?", command: "cordon config path" }],
  options: [{
    ...JSON_OPTION,
    details: "Key: files, a list of {path, format, place, state (read, absent, shadowed or refused), why}.",
  }],
  load: () => import("./config-path.ts"),
});
