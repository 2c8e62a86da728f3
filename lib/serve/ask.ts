/** From what /v1 is asked for to what the policy judges, and what becomes of its verdict. Pure. */
import { Buffer } from "node:buffer";
import type { Tenant } from "./config/types.ts";
import type { Job } from "./execution.ts";
import type { Interactive } from "./interaction.ts";
import type { Refusal, Verdict } from "./policy/verdict.ts";
import { Problem } from "./problem.ts";
import type { CreateExecution } from "./schemas-v1.ts";

/** What stands in for the flags of docker run, so that there is one way to be judged. */
const STRUCTURED = ["image", "env", "workdir", "network"] as const;

/** Docker's flags and the image. @throws Problem when they were given twice */
export function argsOf(asked: CreateExecution): string {
  const { args, image, env = {}, workdir, network, limits = {} } = asked;
  const { memory, cpus, pids } = limits;
  if (args !== undefined) {
    const twice = STRUCTURED.find((name) => asked[name] !== undefined) ??
      Object.entries({ memory, cpus, pids }).find(([, value]) => value !== undefined)?.[0];
    if (twice === undefined) return args;
    throw new Problem("invalid", { detail: `args and ${twice} exclude each other` });
  }
  const words = [
    ...Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
    ...(workdir === undefined ? [] : ["--workdir", workdir]),
    ...(network === undefined ? [] : ["--network", network]),
    ...(memory === undefined ? [] : ["--memory", String(memory)]),
    ...(cpus === undefined ? [] : ["--cpus", String(cpus)]),
    ...(pids === undefined ? [] : ["--pids-limit", String(pids)]),
    image ?? "host",
  ];
  return words.map(quoted).join(" ");
}

/** Of the words of a program, in the record. A script has at most as much. */
const MOST_RECORDED = 128 * 1024;

/** What the record keeps of a command: of one with very many or long words the beginning, and a last word of "…". */
export function recordedOf({ command }: CreateExecution): string {
  if (typeof command === "string") return JSON.stringify(command);
  let room = MOST_RECORDED;
  const kept = command.findIndex((word) => (room -= word.length) < 0);
  return JSON.stringify(kept < 0 ? command : [...command.slice(0, kept), "…"]);
}

/** The script that is judged; of a program and its arguments, one that becomes that program. */
export function scriptOf({ command }: CreateExecution): string {
  return typeof command === "string" ? command : `exec ${command.map(quoted).join(" ")}`;
}

/** @throws Problem when both kinds were given */
function stdinOf({ stdin, stdin_base64 }: CreateExecution): Uint8Array | undefined {
  if (stdin !== undefined && stdin_base64 !== undefined) {
    throw new Problem("invalid", { detail: "stdin and stdin_base64 exclude each other" });
  }
  if (stdin !== undefined) return new TextEncoder().encode(stdin);
  return stdin_base64 === undefined ? undefined : new Uint8Array(Buffer.from(stdin_base64, "base64"));
}

/** How it takes what comes later. @throws Problem when that was asked for in part, or beside stdin */
function interactiveOf(asked: CreateExecution): Interactive | undefined {
  const { interactive = false, tty = false, on_detach } = asked;
  if (!interactive) {
    const alone = tty !== false ? "tty" : on_detach !== undefined ? "on_detach" : undefined;
    if (alone) throw new Problem("invalid", { detail: `${alone} needs interactive` });
    return undefined;
  }
  if (asked.stdin !== undefined || asked.stdin_base64 !== undefined) {
    throw new Problem("invalid", { detail: "interactive and stdin exclude each other" });
  }
  const terminal = tty === true ? USUAL_TERMINAL : tty;
  return { onDetach: on_detach ?? "keep", ...(terminal && { terminal }) };
}

const USUAL_TERMINAL = { rows: 24, columns: 80 };

/** The verdict with what docker run has no flag for: time, output, and a program without a shell. */
export function complete(
  verdict: Exclude<Verdict, Refusal>,
  asked: CreateExecution,
  tenant: Tenant,
): Job | Refusal {
  const { command, limits: { time, output } = {} } = asked;
  const ceilings = tenant.policy.limits;
  for (const [name, wanted] of [["time", time], ["output", output]] as const) {
    const { most } = ceilings[name];
    if (wanted === undefined || wanted <= most) continue;
    return {
      refused: `${name} ${wanted} is not allowed: there is at most ${most}`,
      rule: "limit",
      configuredAt: `policies.${tenant.policy.name}.limits.${name}`,
    };
  }
  const limits = {
    ...verdict.limits,
    ...(time !== undefined && { wallSeconds: time }),
    ...(output !== undefined && { outputBytes: output }),
  };
  const stdin = stdinOf(asked);
  const interactive = interactiveOf(asked);
  const more = {
    limits,
    ...(stdin && { stdin }),
    ...(interactive && { interactive }),
    ...(typeof command !== "string" && { argv: command }),
  };
  if (verdict.engine === "docker") return { ...verdict, ...more };
  const spec = {
    ...verdict.spec,
    limits: { ...verdict.spec.limits, wallSeconds: limits.wallSeconds },
    ...(typeof command !== "string" && { command }),
    // As engines set it for a container.
    ...(interactive?.terminal && { env: { TERM: "xterm", ...verdict.spec.env } }),
  };
  return { ...verdict, ...more, spec };
}

/** As one word for sh and for those who read words as it does. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
