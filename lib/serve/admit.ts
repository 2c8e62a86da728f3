/** Admission as HTTP tells it. */
import type { Tenant } from "./config/types.ts";
import type { Admitted, Execution } from "./execution.ts";
import { Busy } from "./executor.ts";
import { Problem } from "./problem.ts";
import type { Service } from "./service.ts";

/** @throws Problem with Retry-After */
export function admit(service: Service, tenant: Tenant, what: Omit<Admitted, "tenant">): Execution {
  service.outgoing.check(tenant.name);
  try {
    return service.executor.submit(tenant, what);
  } catch (error) {
    if (!(error instanceof Busy)) throw error;
    service.metrics.refused(error.kind);
    const problem = error.kind === "tenant" ? "tenant-busy" : error.kind;
    throw new Problem(problem, { headers: { "retry-after": String(error.retryAfter) } });
  }
}
