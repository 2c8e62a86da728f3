/** GET /v1/me: who a token stands for, what may be run with it and what was. */
import type { Policy, Tenant } from "./config/types.ts";
import type { Call, Route } from "./route.ts";
import { Me } from "./schemas-me.ts";
import type * as z from "zod";

/** Executions that usage is counted over at most: this is asked for often. */
const MOST_COUNTED = 10_000;

export const meRoutes: Route[] = [{
  method: "GET",
  path: "/v1/me",
  id: "me",
  summary: "The tenant: what it has running, what it used, and what its policy allows",
  answers: { 200: { description: "As it is now", schema: Me } },
  problems: [],
  answer: (call, tenant) => Response.json(me(call, tenant)),
}];

function me({ service: { executor, situation, store } }: Call, tenant: Tenant): z.input<typeof Me> {
  const { config } = situation;
  const { since, ...used } = store.usage(tenant.name, MOST_COUNTED);
  return {
    tenant: tenant.name,
    ...executor.of(tenant.name),
    concurrency: tenant.concurrency ?? config.concurrency ?? navigator.hardwareConcurrency,
    queue: tenant.queue ?? config.queue,
    rate: tenant.rate ?? null,
    usage: { since: since === null ? null : new Date(since).toISOString(), ...used },
    policy: toldPolicy(tenant.policy),
  };
}

function toldPolicy(policy: Policy): z.input<typeof Me>["policy"] {
  const { name, images, aliases, flags, network, mounts, limits } = policy;
  return {
    name,
    images,
    aliases,
    flags,
    network,
    mounts: mounts.map(({ host, write }) => ({ path: host, write })),
    limits: Object.fromEntries(
      Object.entries(limits).map(([limit, { value, most }]) => [limit, { value, most }]),
    ) as z.input<typeof Me>["policy"]["limits"],
  };
}
