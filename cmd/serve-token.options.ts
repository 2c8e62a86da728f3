import { defineCommand } from "../lib/cli/command.ts";
import { parseChoice, parsePath, refuse } from "../lib/cli/values.ts";
import { UsageError } from "../lib/errors.ts";

const ACTIONS = ["add", "remove", "list"] as const;

export interface ServeTokenOptions {
  action: typeof ACTIONS[number];
  /** Name of the tenant; absent for all, when they are listed. */
  tenant?: string;
  /** Which of the tenant's tokens; absent means all. */
  id?: string;
  config?: string;
}

export const serveToken = defineCommand<ServeTokenOptions>({
  name: "serve token",
  summary: "Make, list and remove the tokens of tenants of cordon serve",
  description:
    "add prints a new token on stdout, once: only its hash is kept, in the tokens file that the configuration names " +
    "(the file tokens beside it, when it names none). Without a configuration there is one tenant, default.\n\n" +
    "A server that runs reads the file again on SIGHUP.",
  usage: ["add NAME [--config FILE]", "list [NAME] [--config FILE]", "remove NAME [ID] [--config FILE]"],
  examples: [
    { text: "A token for a class", command: "cordon serve token add class --config /etc/cordon/serve.toml" },
    { text: "Take one of them back", command: "cordon serve token remove class 5f2b9c01" },
  ],
  options: [{
    long: "config",
    value: "FILE",
    complete: "file",
    default: "/etc/cordon/serve.toml for root, else $XDG_CONFIG_HOME/cordon/serve.toml",
    description: "The configuration that has the tenants",
  }],
  operands: [
    {
      name: "ACTION",
      description: "add, list or remove",
      required: true,
      complete: { words: ACTIONS },
    },
    { name: "NAME", description: "The tenant", complete: "none" },
    {
      name: "ID",
      description: "Which token, as list shows it; all of the tenant's without it",
      complete: "none",
    },
  ],
  passThrough: false,
  exitUsage: 2,
  read(parsed) {
    const [word = "", tenant, id] = parsed.operands;
    const action = parseChoice("ACTION", word, ACTIONS);
    if (tenant === undefined && action !== "list") {
      throw new UsageError(`cordon serve token ${action} needs NAME`, { hint: "cordon serve token --help" });
    }
    if (id !== undefined && (action !== "remove" || !/^[0-9a-f]{8}$/.test(id))) {
      throw refuse("ID", id, action === "remove" ? "8 hexadecimal digits, as list shows them" : "nothing");
    }
    const config = parsed.one("config");
    return {
      action,
      ...(tenant !== undefined && { tenant }),
      ...(id !== undefined && { id }),
      ...(config !== undefined && { config: parsePath("--config", config) }),
    };
  },
  load: () => import("./serve-token.ts"),
});
