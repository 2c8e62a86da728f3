/** What Prometheus is told, without the names of tenants: any of them may ask. https://prometheus.io/docs/instrumenting/exposition_formats/ */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Execution } from "./execution.ts";
import type { Recorded } from "./recorded.ts";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter("cordon_requests_total", "Requests answered", ["route", "status"]);
  readonly #ended = this.#counter("cordon_executions_total", "Executions that ended", [
    "engine",
    "state",
    "reason",
  ]);
  readonly #refused = this.#counter("cordon_refusals_total", "Requests that were not executed", [
    "why",
  ]);
  readonly #lost = this.#counter("cordon_lost_total", "Executions that a dead server left unfinished", []);
  readonly #waited = this.#histogram("cordon_queue_seconds", "From admission to the beginning");
  readonly #took = this.#histogram("cordon_execution_seconds", "From the beginning to the end");

  constructor(version: string) {
    new Gauge({
      name: "cordon_info",
      help: "The version that runs",
      labelNames: ["version"],
      registers: [this.#registry],
    }).set({ version }, 1);
    this.#gauge(
      "process_resident_memory_bytes",
      "Resident memory size in bytes",
      () => Deno.memoryUsage().rss,
    );
    for (const name of ["heapTotal", "heapUsed", "external"] as const) {
      const snake = name.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`);
      this.#gauge(
        `cordon_memory_${snake}_bytes`,
        `Memory of the runtime: ${name}`,
        () => Deno.memoryUsage()[name],
      );
    }
    new Gauge({
      name: "process_start_time_seconds",
      help: "Start time of the process since unix epoch in seconds",
      registers: [this.#registry],
    }).set(performance.timeOrigin / 1000);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  watchQueue(look: () => { running: number; waiting: number }): void {
    for (const name of ["running", "waiting"] as const) {
      this.#gauge(`cordon_executions_${name}`, `Executions that are ${name} now`, () => look()[name]);
    }
  }

  watchFront(front: { readonly connections: number; readonly refused: number }): void {
    this.#gauge("cordon_connections", "Connections that are open", () => front.connections);
    this.#gauge("cordon_connections_refused", "Connections turned away since the start", () => front.refused);
  }

  answered(route: string, status: number): void {
    this.#requests.inc({ route, status: String(status) });
  }

  refused(why: string): void {
    this.#refused.inc({ why });
  }

  lost(count: number): void {
    this.#lost.inc(count);
  }

  waited({ created, started }: Execution): void {
    this.#waited.observe(((started ?? created) - created) / 1000);
  }

  ended({ engine, state, reason, started, ended }: Recorded): void {
    this.#ended.inc({ engine, state, reason: reason ?? "" });
    if (started !== null && ended !== null) this.#took.observe((ended - started) / 1000);
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, look: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(look());
      },
    });
  }

  #histogram(name: string, help: string): Histogram {
    return new Histogram({ name, help, buckets: SECONDS, registers: [this.#registry] });
  }
}
