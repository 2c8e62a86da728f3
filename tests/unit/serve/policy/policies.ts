/** Policies, machines and requests for the tests of the policy. */
import type { EngineName, Policy, Tenant } from "../../../../lib/serve/config/types.ts";
import { readConfig } from "../../../../lib/serve/config/read.ts";
import type { Enforceable, Places, PolicyFacts, Verdict } from "../../../../lib/serve/policy/verdict.ts";
import { judge } from "../../../../lib/serve/policy/judge.ts";
import type { Host } from "../../../../lib/host/host.ts";

export const HOST: Host = {
  uid: 990,
  gid: 990,
  groups: [990],
  user: "cordon",
  group: "cordon",
  home: "/var/lib/cordon",
  shell: "/usr/sbin/nologin",
  env: { PATH: "/server/bin", SECRET: "of the server", HOME: "/var/lib/cordon" },
  arch: "x86_64",
  kernel: { release: "6.1", major: 6, minor: 1 },
  rlimits: {} as Host["rlimits"],
  tasks: 1,
};

export const ALL: Enforceable = { memory: true, cpus: true, pids: true };

/** A file system where `links` lead elsewhere, `loose` places can be exchanged, and everything in `there` exists. */
export function places(
  { there = [], links = {}, loose = [], sockets = [], mounted = [] }: {
    there?: string[];
    links?: Record<string, string>;
    loose?: string[];
    sockets?: string[];
    mounted?: string[];
  } = {},
): Places {
  return {
    realpath(path) {
      let real = path.replace(/\/+$/, "") || "/";
      for (let turns = 0; turns < 5; turns++) {
        real = new URL(`file://${real}`).pathname.replace(/(?<=.)\/$/, "");
        const link = Object.keys(links).find((link) => real === link || real.startsWith(`${link}/`));
        if (link === undefined) break;
        real = links[link]! + real.slice(link.length);
      }
      const system = /^\/($|etc|proc|sys|dev|run|var|usr|root|boot)/.test(real);
      return system || there.some((one) => one === real || one.startsWith(`${real}/`)) ? real : undefined;
    },
    exchangeable: (path) => loose.find((one) => path === one || path.startsWith(`${one}/`)),
    sockets: () => sockets,
    mountsBelow: (path) => mounted.filter((one) => one.startsWith(`${path}/`)),
  };
}

export function facts(more: Partial<PolicyFacts> = {}): PolicyFacts {
  return {
    host: HOST,
    engines: { namespaces: ALL, docker: ALL } satisfies Record<EngineName, Enforceable>,
    shell: "/bin/bash",
    places: places({ there: ["/srv/data/a/b", "/srv/work/x"] }),
    ...more,
  };
}

/** The policy `default` of a configuration with these lines in it. */
export function policyOf(lines: string): Policy {
  const config = readConfig(`[policies.default]\n${lines}`, "/etc/cordon/serve.toml");
  return config.policies[0]!;
}

export function tenantOf(lines: string): Tenant {
  return { name: "class", tokens: [], policy: policyOf(lines) };
}

/** Allows about all that can be allowed. */
export const GENEROUS = `
images = ["host", "**"]
flags = ["usual", "add-host", "cpu-shares", "cpuset-cpus", "dns", "dns-option", "dns-search", "domainname", "gpus",
  "group-add", "label", "platform", "stop-signal", "stop-timeout", "ulimit"]
network = ["none", "bridge", "course"]
mounts = ["/srv/data", { path = "/srv/work", write = true }]
`;

export function verdict(args: string, lines = GENEROUS, more: Partial<PolicyFacts> = {}): Verdict {
  return judge({ tenant: tenantOf(lines), args, cmd: "echo hi" }, facts(more));
}
