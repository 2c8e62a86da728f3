/** What the routes have in common: the configuration of the moment, and the parts of the daemon. */
import type { ServeConfig, Tenant } from "./config/types.ts";
import type { Executor } from "./executor.ts";
import type { FileStore } from "./files/store.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Verdict } from "./policy/verdict.ts";
import type { Sessions } from "./sessions/sessions.ts";
import type { Store } from "./store.ts";

/** What changes as a whole when the configuration is read again. */
export interface Situation {
  config: ServeConfig;
  tenants: readonly Tenant[];
  /** Who everybody is when there is no authentication. */
  everybody?: Tenant;
}

export interface Service {
  readonly situation: Situation;
  readonly executor: Executor;
  readonly store: Store;
  readonly files: FileStore;
  readonly sessions: Sessions;
  readonly outgoing: Outgoing;
  readonly metrics: Metrics;
  readonly log: Log;
  judge(asked: { tenant: Tenant; args: string; cmd: string }): Verdict;
}

export function situationOf(config: ServeConfig): Situation {
  const { tenants, auth } = config;
  if (auth) return { config, tenants };
  const everybody = tenants.find(({ name }) => name === "default") ?? tenants[0];
  return { config, tenants, ...(everybody && { everybody }) };
}
