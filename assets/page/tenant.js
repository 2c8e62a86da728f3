/** What the tenant has, used and may do, and the API it is done by. */
import { asked } from "./api.js";
import { at, describe, element, say } from "./dom.js";
import { duration, seconds, size } from "./words.js";

/** What the tenant has, used and may do. */
export function showMe({ tenant, running, waiting, concurrency, queue, rate, usage, policy }) {
  say("who", `Tenant ${tenant}`);
  const { limits } = policy;
  const limit = ({ value, most }, text) => `${text(value)}${most === value ? "" : `, up to ${text(most)}`}`;
  describe(at("usage"), [
    ["Running now", `${running} of ${concurrency}`],
    ["Waiting now", `${waiting} of ${queue}`],
    ["Rate", rate ? `${rate.count} in ${duration(rate.seconds)}` : "no limit"],
    [
      usage.since === null ? "Used" : `Used since ${new Date(usage.since).toLocaleString()}`,
      `${usage.executions} executions, ${seconds(usage.cpu_ms) || "0 s"} of processors, ` +
      `${size(usage.output_bytes)} of output`,
    ],
    ["Policy", policy.name],
    [
      "Images",
      [...policy.images, ...Object.entries(policy.aliases).map(([name, image]) => `${name} (${image})`)].join(
        ", ",
      ),
    ],
    ["Networks", policy.network.join(", ")],
    [
      "Mounts",
      policy.mounts.map(({ path, write }) => `${path}${write ? " (written to)" : ""}`).join(", ") || "none",
    ],
    ["Time", limit(limits.time, duration)],
    ["Memory", limit(limits.memory, size)],
    ["Processors", limit(limits.cpus, String)],
    ["Processes", limit(limits.pids, String)],
    ["Output", limit(limits.output, size)],
    ["/tmp", limit(limits.tmp, size)],
  ]);
  const names = [...policy.images, ...Object.keys(policy.aliases)].filter((name) => !name.includes("*"));
  const options = at("images");
  if (options.childElementCount !== names.length) {
    options.replaceChildren(...names.map((value) => element("option", { value })));
    if (at("image").value === "") at("image").value = names.includes("host") ? "host" : names[0] ?? "";
  }
  at("time").placeholder = String(limits.time.value);
  at("time").max = String(limits.time.most);
}

/** The requests that the API takes. */
export async function showApi() {
  const { paths } = await asked("openapi.json");
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary }]) => [`${method.toUpperCase()} ${path}`, summary ?? ""])
  );
  describe(at("api"), operations);
}
