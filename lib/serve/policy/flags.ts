/** Which flags a request may have, by the words of its command line. What they ask for is checked afterwards. Pure. */
import { cut } from "../../dockerargs/csv.ts";
import { DOCKER_FLAGS, type DockerFlag } from "../../dockerargs/flags.ts";
import { scan, type Typed } from "../../dockerargs/scan.ts";
import type { Policy } from "../config/types.ts";
import { at, quoted, refused } from "./refuse.ts";
import { FURTHER_FLAGS, NEVER_FLAGS, USUAL_FLAGS } from "./tables.ts";

/** @throws Refused, or UsageError for what is no command line of docker run's */
export function checkFlags(words: readonly string[], policy: Policy): void {
  for (const typed of scan(words, DOCKER_FLAGS).typed) checkFlag(typed, policy);
}

function checkFlag({ flag, as, value }: Typed<DockerFlag>, policy: Policy): void {
  const name = flag.aliasOf ?? flag.name;
  const never = Object.hasOwn(NEVER_FLAGS, name) ? NEVER_FLAGS[name] : undefined;
  if (never !== undefined) throw refused("flag", as, { why: never });
  if (!allowedFlags(policy).includes(name)) {
    const why = FURTHER_FLAGS.includes(name)
      ? "this server's configuration does not name it among its flags"
      : "this server's configuration lists the flags it takes, and it is not one of them";
    throw refused("flag", as, { why, configuredAt: at(policy, "flags") });
  }
  const values = Object.hasOwn(policy.values, name) ? policy.values[name] : undefined;
  if (values !== undefined && !values.includes(value)) {
    throw refused("value", `${as} ${quoted(value)}`, {
      why: values.length > 0 ? `there is ${values.join(", ")}` : "no value of it is",
      configuredAt: at(policy, `values.${name}`),
    });
  }
  if (name === "env" && cut(value, "=")[1] === undefined) {
    throw refused("environment", `${as} ${quoted(value)}`, {
      why: "Its value would be the server's own; wanted NAME=VALUE",
    });
  }
  if (name === "pull" && value !== "" && value !== "never" && value !== policy.pull) {
    throw refused("value", `${as} ${quoted(value)}`, {
      why: value === "always"
        ? "It replaces an image that others use"
        : "Images are put here by whoever runs the server",
      ...(value === "missing" && { configuredAt: at(policy, "pull") }),
    });
  }
}

function allowedFlags({ flags }: Policy): readonly string[] {
  return flags.flatMap((name) => name === "usual" ? USUAL_FLAGS : [name]);
}
