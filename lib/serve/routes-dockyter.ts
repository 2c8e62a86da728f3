/** Dockyter's contract: GET /health and POST /execute, wire for wire. */
import type { Tenant } from "./config/types.ts";
import { admit } from "./admit.ts";
import { readJson } from "./body.ts";
import { type Execution, statusOf } from "./execution.ts";
import { Printed } from "./printed.ts";
import type { Call, Route } from "./route.ts";
import { ExecuteAnswer, ExecuteRequest, Health, MOST_EXECUTE_BYTES } from "./schemas.ts";
import { whenItEnds } from "./wait.ts";
import type * as z from "zod";

export const dockyterRoutes: Route[] = [
  {
    open: true,
    method: "GET",
    path: "/health",
    id: "health",
    summary: "Whether there is a server",
    answers: { 200: { description: "There is", schema: Health } },
    problems: [],
    answer: () => Response.json({ status: "ok" }),
  },
  {
    method: "POST",
    path: "/execute",
    id: "execute",
    summary: "Run a shell script to its end",
    body: { schema: ExecuteRequest, most: MOST_EXECUTE_BYTES },
    answers: {
      200: { description: "What it printed; or in stderr why nothing was executed", schema: ExecuteAnswer },
    },
    problems: ["rate", "tenant-busy", "capacity", "draining", "record"],
    answer: execute,
  },
];

type Answer = Omit<z.input<typeof ExecuteAnswer>, "stdout" | "stderr"> & {
  stdout: string | Printed;
  stderr: string | Printed;
};

async function execute(call: Call, tenant: Tenant): Promise<Response> {
  const { service, request, requestId } = call;
  const { cmd, args } = await readJson(request, ExecuteRequest, {
    tenant: tenant.name,
    most: MOST_EXECUTE_BYTES,
  });
  const verdict = service.judge({ tenant, args, cmd });
  if ("refused" in verdict) {
    service.metrics.refused(verdict.rule);
    service.log("info", "refused", { request_id: requestId, tenant: tenant.name, rule: verdict.rule });
    return Response.json(refusal(verdict.refused));
  }
  const execution = admit(service, tenant, {
    requestId,
    via: "execute",
    job: verdict,
    args,
    command: cmd,
    script: cmd,
  });
  const gone = () => service.executor.cancel(execution, "client");
  request.signal.addEventListener("abort", gone, { once: true });
  if (request.signal.aborted) gone();
  const { outgoing } = service;
  return await whenItEnds(execution.ended, () => tell(execution), {
    gone,
    outgoing,
    tenant: tenant.name,
    request,
  });
}

function tell(execution: Execution): Answer {
  const row = execution.record();
  const { output } = execution;
  return {
    stdout: new Printed(output.pieces("stdout"), { encoding: "text" }),
    stderr: new Printed(output.pieces("stderr"), { encoding: "text", remark: remark(execution) }),
    exit_code: statusOf(row),
    duration_ms: row.wall_ms ?? 0,
    truncated: output.truncated,
    id: row.id,
    reason: row.reason,
    not_enforced: execution.admitted.job.dropped,
  };
}

/** Its last line on stderr, where a user of Dockyter sees it. */
function remark({ result, admitted, cancelled }: Execution): string {
  const { limits } = admitted.job;
  if (result?.reason === "timeout") {
    return `cordon: the time limit of ${limits.wallSeconds} s ended the command\n`;
  }
  if (result?.reason === "memory") return "cordon: the memory limit ended the command\n";
  if (cancelled === "shutdown" && result?.reason !== "exited") return "cordon: the server was shut down\n";
  return "";
}

function refusal(reason: string): Answer {
  return {
    stdout: "",
    stderr: `${reason}\n`,
    exit_code: null,
    duration_ms: 0,
    truncated: false,
    id: null,
    reason: "refused",
    not_enforced: [],
  };
}
