/** `cordon serve check-policy`: a verdict, explained. */
import { writeStdout } from "../lib/cli/streams.ts";
import { CordonError } from "../lib/errors.ts";
import { probeCgroups } from "../lib/host/cgroups.ts";
import { gatherHost, type Host } from "../lib/host/host.ts";
import { absolute, exists, loadConfig, usualConfigPath } from "../lib/serve/config/files.ts";
import { lineOf } from "../lib/serve/config/lines.ts";
import { DEFAULT_NAME, defaultConfig } from "../lib/serve/config/read.ts";
import type { ServeConfig, Tenant } from "../lib/serve/config/types.ts";
import { namespacesHold } from "../lib/serve/policy/enforceable.ts";
import { judge } from "../lib/serve/policy/judge.ts";
import { amount, bytes } from "../lib/serve/policy/limits.ts";
import { realPlaces } from "../lib/serve/policy/places.ts";
import { hostShell } from "../lib/serve/policy/shell.ts";
import type { ExecutionLimits, PolicyFacts, Refusal, Verdict } from "../lib/serve/policy/verdict.ts";
import type { ServeCheckPolicyOptions } from "./serve-check-policy.options.ts";

export function run(options: ServeCheckPolicyOptions): number {
  const host = gatherHost();
  const config = configOf(options, host);
  const tenant = tenantOf(config, options.tenant);
  const verdict = judge({ tenant, args: options.args, cmd: options.cmd }, factsOf(host, config));
  const place = "refused" in verdict ? placeOf(verdict, config) : undefined;
  writeStdout(options.json ? asJson(verdict, place) : asText(verdict, { tenant, config, place }));
  return "refused" in verdict ? 1 : 0;
}

function configOf({ config }: ServeCheckPolicyOptions, host: Host): ServeConfig {
  const path = config === undefined ? usualConfigPath(host) : absolute(config);
  return config === undefined && !exists(path) ? defaultConfig() : loadConfig(path);
}

function tenantOf({ tenants }: ServeConfig, name: string | undefined): Tenant {
  const only = tenants.length === 1 ? tenants[0] : undefined;
  const found = name === undefined
    ? only ?? tenants.find((tenant) => tenant.name === DEFAULT_NAME)
    : tenants.find((tenant) => tenant.name === name);
  if (found) return found;
  const names = tenants.map((tenant) => tenant.name).join(", ");
  throw new CordonError(name === undefined ? "Whose policy?" : `There is no tenant ${JSON.stringify(name)}`, {
    why: `There is ${names}`,
    ...(name === undefined && { hint: `add --tenant ${tenants[0]?.name}` }),
  });
}

/** The engines are taken to be there: whether they are is the server's affair at its start. */
function factsOf(host: Host, { engine }: ServeConfig): PolicyFacts {
  return {
    host,
    engines: {
      ...(engine !== "docker" && { namespaces: namespacesHold(probeCgroups()) }),
      ...(engine !== "namespaces" && { docker: { memory: true, cpus: true, pids: true } }),
    },
    shell: hostShell(),
    places: realPlaces(),
  };
}

interface ConfiguredAt {
  key: string;
  /** Absent when the rule holds by default, or there is no file. */
  line?: number;
}

function placeOf({ configuredAt }: Refusal, { path }: ServeConfig): ConfiguredAt | undefined {
  if (configuredAt === undefined) return undefined;
  const line = path === undefined ? undefined : lineOf(Deno.readTextFileSync(path), configuredAt.split("."));
  return { key: configuredAt, ...(line !== undefined && { line }) };
}

function asJson(verdict: Verdict, place: ConfiguredAt | undefined): string {
  const shown = "refused" in verdict
    ? {
      allowed: false,
      refused: verdict.refused,
      rule: verdict.rule,
      configured_at: place?.key ?? null,
      line: place?.line ?? null,
    }
    : { allowed: true, ...verdict };
  return JSON.stringify(shown, null, 2) + "\n";
}

function asText(
  verdict: Verdict,
  { tenant, config, place }: { tenant: Tenant; config: ServeConfig; place: ConfiguredAt | undefined },
): string {
  const where = config.path ?? "no configuration, which means the defaults";
  const head = `tenant   ${tenant.name}, policy ${tenant.policy.name} (${where})\n`;
  if ("refused" in verdict) {
    const line = place?.line === undefined ? "" : ` (line ${place.line})`;
    const configured = place ? `${place.key}${line}` : "nothing in the configuration";
    return `refused  ${verdict.refused}\nrule     ${verdict.rule}\nset by   ${configured}\n${head}`;
  }
  const { engine, limits, notes } = verdict;
  const what = engine === "docker" ? `a container of ${verdict.image}` : "programs of this machine";
  const body = engine === "docker" ? verdict.config : verdict.spec;
  return `allowed  ${what}\nlimits   ${limitsText(limits)}\n` +
    notes.map((note) => `note     ${note}\n`).join("") + head +
    JSON.stringify(body, null, 2) + "\n";
}

function limitsText(limits: ExecutionLimits): string {
  const { wallSeconds, memoryBytes, cpus, pids, outputBytes, tmpBytes } = limits;
  return [
    amount("time", wallSeconds),
    ...(memoryBytes === undefined ? [] : [amount("memory", memoryBytes)]),
    ...(cpus === undefined ? [] : [amount("cpus", cpus)]),
    ...(pids === undefined ? [] : [amount("pids", pids)]),
    `${bytes(outputBytes)} of output`,
    `${bytes(tmpBytes)} in /tmp`,
  ].join(", ");
}
