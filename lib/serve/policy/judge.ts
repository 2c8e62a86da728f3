/** Says what becomes of a request: refused, or the container or Spec that executes it. Default deny. */
import { shellWords } from "../../cli/shellwords.ts";
import { HOST_IMAGE } from "../../dockerargs/host.ts";
import { type DockerRun, parseRun, type RunFacts } from "../../dockerargs/run.ts";
import { CordonError } from "../../errors.ts";
import type { EngineName } from "../config/types.ts";
import { containerOf } from "./container.ts";
import { checkFlags } from "./flags.ts";
import { allowedImage } from "./images.ts";
import { programOf } from "./program.ts";
import { at, oneLine, quoted, Refused, refused } from "./refuse.ts";
import type { Asked, PolicyFacts, Verdict } from "./verdict.ts";

/** Pure but for what {@link PolicyFacts.places} looks at. Never throws for what a client can send. */
export function judge(asked: Asked, facts: PolicyFacts): Verdict {
  try {
    return allowed(asked, facts);
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    if (!(error instanceof CordonError)) throw error;
    const why = error.why === undefined ? "" : `: ${error.why}`;
    return { refused: oneLine(error.message + why), rule: "args" };
  }
}

function allowed(asked: Asked, facts: PolicyFacts): Verdict {
  const { policy } = asked.tenant;
  const run = parsed(asked, facts);
  const image = allowedImage(run.image, policy);
  if (image === undefined) {
    const there = [...Object.keys(policy.aliases), ...policy.images];
    throw refused("image", `image ${quoted(run.image)}`, {
      why: there.length > 0 ? `there is ${enumerated(there)}` : "this server has none",
      configuredAt: at(policy, "images"),
    });
  }
  const engine: EngineName = image === HOST_IMAGE ? "namespaces" : "docker";
  const enforceable = facts.engines[engine];
  if (!enforceable) {
    throw refused("engine", `image ${quoted(run.image)}`, {
      why: engine === "docker"
        ? "no container engine answers on this server"
        : "this server runs containers only",
      configuredAt: "engine",
    });
  }
  const verdict = engine === "docker"
    ? containerOf(run, { image, asked, facts, enforceable })
    : programOf({ ...run, image: HOST_IMAGE }, { asked, facts, enforceable });
  if (run.client.tty) verdict.notes.push("-t has no effect: there is no terminal");
  return verdict;
}

const MOST_NAMES = 20;

function enumerated(names: readonly string[]): string {
  const more = names.length > MOST_NAMES ? ", …" : "";
  return names.slice(0, MOST_NAMES).join(", ") + more;
}

/** The command line, once its flags are allowed. */
function parsed({ args, tenant }: Asked, { apiVersion }: PolicyFacts): DockerRun {
  const words = shellWords(args);
  if (words === undefined) {
    throw refused("args", quoted(args), { why: "A quote is not closed, or a backslash ends it" });
  }
  if (words.length === 0) {
    throw refused("args", "an execution without an image", {
      why: "Wanted the name of an image, as in host",
    });
  }
  checkFlags(words, tenant.policy);
  const facts: RunFacts = {
    cwd: "/",
    env: {},
    readFile: () => {
      throw new CordonError("Files of the server are not read");
    },
    ...(apiVersion !== undefined && { apiVersion }),
  };
  const run = parseRun(words, facts);
  const [more] = run.command;
  if (more !== undefined) {
    throw refused("args", `${quoted(more)} behind the image`, { why: "The command is given apart from it" });
  }
  return run;
}
