/** For those who run the server: is it alive, does it take work, and its numbers. */
import { Problem } from "./problem.ts";
import type { Route } from "./route.ts";
import { Health } from "./schemas.ts";

export const operatorRoutes: Route[] = [
  {
    open: true,
    method: "GET",
    path: "/healthz",
    id: "healthz",
    summary: "Whether the process answers",
    answers: { 200: { description: "It does", schema: Health } },
    problems: [],
    answer: () => Response.json({ status: "ok" }),
  },
  {
    open: true,
    method: "GET",
    path: "/readyz",
    id: "readyz",
    summary: "Whether it takes work",
    answers: { 200: { description: "It does", schema: Health } },
    problems: ["draining", "record"],
    answer({ service }) {
      if (service.executor.draining) throw new Problem("draining");
      if (service.store.trouble !== undefined) throw new Problem("record");
      return Response.json({ status: "ok" });
    },
  },
  {
    open: "near",
    method: "GET",
    path: "/metrics",
    id: "metrics",
    summary: "Numbers for Prometheus; from elsewhere than this machine, and through a proxy, with a token",
    answers: { 200: { description: "Text exposition format", type: "text/plain" } },
    problems: [],
    async answer({ service: { metrics } }) {
      return new Response(await metrics.text(), { headers: { "content-type": metrics.contentType } });
    },
  },
];
