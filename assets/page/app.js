/**
 * The page of `cordon serve`. It uses the API alone, with a token that stays in this tab. Whatever comes from the
 * server or from commands is shown as text.
 */

const TOKEN = "cordon-token";
const REFRESH_MS = 2000;
const RETRY_MS = 1000;
/** Characters of output that are shown; the first ones go. */
const MOST_SHOWN = 200_000;
const RECENT = 20;

const at = (id) => document.getElementById(id);

class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? problem?.title ?? `The server answered ${status}`);
    this.status = status;
  }
}

// Asking

/** Without credentials: the browser is not to ask for a name and password by itself. */
async function ask(path, { method = "GET", json, signal, headers = {} } = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const response = await fetch(path, {
    method,
    signal,
    credentials: "omit",
    headers: {
      ...headers,
      ...(token && { authorization: `Bearer ${token}` }),
      ...(json && { "content-type": "application/json" }),
    },
    ...(json && { body: JSON.stringify(json) }),
  });
  if (response.ok) return response;
  const problem = /json/.test(response.headers.get("content-type") ?? "")
    ? await response.json().catch(() => undefined)
    : undefined;
  throw new Refused(response.status, problem);
}

const asked = async (path, options) => await (await ask(path, options)).json();

/** Events of an execution, from the first to the last, over as many connections as it takes. */
async function* events(id, signal) {
  for (let last = 0;;) {
    try {
      const response = await ask(`v1/executions/${id}/events`, {
        signal,
        headers: { "last-event-id": `${last}` },
      });
      if (response.status === 204) return;
      for await (const event of parsed(response.body)) {
        last = event.id;
        yield event;
        if (event.type === "state" && over(event.data)) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status < 500) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function* parsed(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (held + value).split("\n\n");
      held = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(
          block.split("\n").map((line) => /^(\w*): ?(.*)$/.exec(line)?.slice(1) ?? []),
        );
        if (fields.event) yield { id: Number(fields.id), type: fields.event, data: JSON.parse(fields.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// Showing

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Sets it only where it differs: screen readers tell each change. */
function say(id, text, wrong = false) {
  const place = at(id);
  if (place.textContent !== text) place.textContent = text;
  place.classList.toggle("wrong", wrong);
}

function seconds(ms) {
  return ms === null || ms === undefined
    ? ""
    : ms < 10_000
    ? `${(ms / 1000).toFixed(2)} s`
    : duration(ms / 1000);
}

function duration(s) {
  if (s < 120) return `${Number(s.toFixed(1))} s`;
  return s < 7200 ? `${Number((s / 60).toFixed(1))} min` : `${Number((s / 3600).toFixed(1))} h`;
}

function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024;
  return `${bytes >= 10 || unit === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

const clock = (time) => time === null ? "" : new Date(time).toLocaleTimeString();

function commandOf({ command }) {
  const text = typeof command === "string" ? command : command.join(" ");
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

const over = ({ state }) => state !== "queued" && state !== "running";

/** How it ended, for people. */
function outcome({ state, reason, detail, exit_code, signal, limits }) {
  switch (reason) {
    case "exited":
      return exit_code === 0 ? "done" : `exit code ${exit_code}`;
    case "signaled":
      return `ended by signal ${signal}`;
    case "timeout":
      return limits ? `time limit of ${duration(limits.time)}` : "time limit";
    case "memory":
      return "memory limit";
    case "asked":
      return "cancelled";
    case "client":
      return "its client went away";
    case "shutdown":
      return "the server was shut down";
    case "cordon":
      return `it could not be run${detail ? `: ${detail.slice(0, 300)}` : ""}`;
    default:
      return state;
  }
}

/** Terminal control is taken out, also where it comes in two pieces; what is left is text. */
class Plain {
  #held = "";

  // deno-lint-ignore no-control-regex
  static #WHOLE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\`-~])/g;
  // deno-lint-ignore no-control-regex
  static #BEGUN = /\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)$/;

  of(text) {
    const all = this.#held + text;
    const begun = all.slice(-4096).match(Plain.#BEGUN)?.[0] ?? "";
    this.#held = begun || (all.endsWith("\r") ? "\r" : "");
    return all.slice(0, all.length - this.#held.length)
      .replace(Plain.#WHOLE, "")
      .replace(/\r\n?/g, "\n")
      // deno-lint-ignore no-control-regex
      .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");
  }
}

class Shown {
  #plain = { stdout: new Plain(), stderr: new Plain() };
  #length = 0;

  constructor() {
    at("output").replaceChildren();
  }

  add(stream, text) {
    const output = at("output");
    const follows = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
    const plain = this.#plain[stream].of(text);
    if (plain === "") return;
    output.append(element("span", { className: stream, textContent: plain }));
    this.#length += plain.length;
    while (this.#length > MOST_SHOWN && output.childNodes.length > 1) {
      this.#length -= output.firstChild.textContent.length;
      output.firstChild.remove();
    }
    if (follows) output.scrollTop = output.scrollHeight;
  }
}

// Following one execution

let following;

async function follow(id) {
  following?.gone.abort();
  const mine = following = { id, gone: new AbortController() };
  const shown = new Shown();
  at("stop").disabled = true;
  say("status", "…");
  try {
    for await (const { type, data } of events(id, mine.gone.signal)) {
      if (mine !== following) return;
      if (type !== "state") shown.add(type, data.data);
      else {
        at("stop").disabled = over(data);
        tell(data);
      }
    }
    refresh();
  } catch (error) {
    if (mine === following) say("status", error.message, true);
  } finally {
    if (mine === following) at("stop").disabled = true;
  }
}

function tell(execution) {
  const { state, reason, exit_code, truncated } = execution;
  if (!over(execution)) return say("status", state === "queued" ? "Waits for its turn" : "Runs");
  const cut = truncated ? "; there was more output than is kept" : "";
  say("status", `Ended: ${outcome(execution)}${cut}`, reason !== "exited" || exit_code !== 0);
}

async function run(event) {
  event.preventDefault();
  const time = at("time").valueAsNumber;
  const [image, stdin] = [at("image").value.trim(), at("stdin").value];
  at("run").disabled = true;
  try {
    const { id } = await asked("v1/executions", {
      method: "POST",
      json: {
        command: at("command").value,
        ...(image && { image }),
        ...(stdin && { stdin }),
        ...(!Number.isNaN(time) && { limits: { time } }),
      },
    });
    follow(id);
    refresh();
  } catch (error) {
    following?.gone.abort();
    following = undefined;
    at("stop").disabled = true;
    new Shown();
    failed(error, (text) => say("status", `Not run: ${text}`, true));
  } finally {
    at("run").disabled = false;
  }
}

async function cancel(id) {
  try {
    await ask(`v1/executions/${id}/cancel`, { method: "POST" });
    await refresh();
  } catch (error) {
    failed(error);
  }
}

// Tables

/** Rows are changed in place, so that what has the focus keeps it. */
function fill(id, executions, cells) {
  const body = at(id), table = body.closest(".scroll");
  const old = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const focused = document.activeElement;
  const rows = executions.map((execution) => {
    const row = old.get(execution.id) ?? rowOf(execution, id);
    cells(execution).forEach((text, i) => {
      const cell = row.cells[i + 1];
      if (cell.textContent !== text) cell.textContent = text;
    });
    old.delete(execution.id);
    return row;
  });
  for (const row of old.values()) {
    if (row.contains(focused)) at("command").focus();
    row.remove();
  }
  rows.forEach((row, i) => body.rows[i] === row || body.insertBefore(row, body.rows[i] ?? null));
  table.hidden = rows.length === 0;
  at(`${id}-none`).hidden = rows.length > 0;
}

function rowOf(execution, table) {
  const command = commandOf(execution);
  const row = element(
    "tr",
    {},
    element("td", { className: "command" }, element("code", { textContent: command })),
  );
  row.dataset.id = execution.id;
  const others = table === "now" ? 3 : 6;
  for (let i = 0; i < others; i++) row.append(element("td"));
  const button = (text, act) => {
    const made = element("button", { type: "button", textContent: text, onclick: act });
    made.setAttribute("aria-label", `${text}: ${command.slice(0, 60)}`);
    return made;
  };
  const show = button("Show", () => {
    follow(execution.id);
    at("output").focus();
  });
  row.append(
    element("td", {}, show, ...(table === "now" ? [button("Cancel", () => cancel(execution.id))] : [])),
  );
  return row;
}

function describe(list, pairs) {
  const texts = pairs.filter(([, text]) => text !== "");
  const now = JSON.stringify(texts);
  if (list.dataset.now === now) return;
  list.dataset.now = now;
  list.replaceChildren(
    ...texts.flatMap(([name, text]) => [
      element("dt", { textContent: name }),
      element("dd", { textContent: text }),
    ]),
  );
}

function showMe({ tenant, running, waiting, concurrency, queue, rate, usage, policy }) {
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

async function showApi() {
  const { paths } = await asked("openapi.json");
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary }]) => [`${method.toUpperCase()} ${path}`, summary ?? ""])
  );
  describe(at("api"), operations);
}

// The page as a whole

let timer;
let refreshing;

/** One at a time; who asks meanwhile gets the one after. */
function refresh() {
  clearTimeout(timer);
  const before = refreshing;
  const mine = refreshing = (async () => {
    await before;
    if (mine !== refreshing || at("inside").hidden) return;
    try {
      await refreshOnce();
      say("trouble", "");
    } catch (error) {
      failed(error);
    }
    clearTimeout(timer);
    if (!at("inside").hidden) timer = setTimeout(() => document.hidden || refresh(), REFRESH_MS);
  })();
  return mine;
}

async function refreshOnce() {
  showMe(await asked("v1/me"));
  const [running, queued, all] = await Promise.all(
    ["state=running&limit=100", "state=queued&limit=100", `limit=${RECENT}`].map((query) =>
      asked(`v1/executions?${query}`)
    ),
  );
  const known = new Map(
    [running, queued, all].flatMap(({ executions }) => executions.map((one) => [one.id, one])),
  );
  const sorted = [...known.values()].sort((a, b) => a.id < b.id ? 1 : -1);
  fill("now", sorted.filter((one) => !over(one)), (one) => [
    one.image,
    one.state,
    clock(one.started ?? one.created),
  ]);
  fill("recent", sorted.filter(over).slice(0, RECENT), (one) => [
    one.image,
    outcome(one),
    seconds(one.wall_ms),
    one.user_ms === null ? "" : seconds(one.user_ms + one.system_ms),
    size(one.max_rss_bytes || null),
    `${size((one.stdout_bytes ?? 0) + (one.stderr_bytes ?? 0))}${one.truncated ? ", cut" : ""}`,
  ]);
}

function failed(error, otherwise = (text) => say("trouble", text, true)) {
  if (error instanceof Refused && error.status === 401) return leave("This token is not taken (any more)");
  otherwise(error instanceof Refused ? error.message : `The server cannot be reached: ${error.message}`);
}

function leave(why = "") {
  sessionStorage.removeItem(TOKEN);
  following?.gone.abort();
  following = undefined;
  clearTimeout(timer);
  for (const id of ["output", "now", "recent", "usage", "images"]) at(id).replaceChildren();
  delete at("usage").dataset.now;
  at("stop").disabled = true;
  say("status", "Nothing was run yet.");
  say("who", "");
  say("trouble", why, true);
  at("inside").hidden = at("leave").hidden = true;
  at("enter").hidden = false;
  at("token").focus();
}

/** Shows what is inside, or asks for the token where one is wanted. */
async function enter() {
  try {
    showMe(await asked("v1/me"));
  } catch (error) {
    const asksFirst = error instanceof Refused && error.status === 401 && !sessionStorage.getItem(TOKEN);
    return asksFirst ? leave() : failed(error);
  }
  say("trouble", "");
  at("enter").hidden = true;
  at("inside").hidden = false;
  at("leave").hidden = !sessionStorage.getItem(TOKEN);
  at("command").focus();
  await Promise.all([refresh(), showApi().catch((error) => failed(error))]);
}

at("enter-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, at("token").value.trim());
  at("token").value = "";
  enter();
});
at("try").addEventListener("submit", run);
at("try").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("try").requestSubmit();
});
at("stop").addEventListener("click", () => following && cancel(following.id));
at("leave").addEventListener("click", () => leave());
document.addEventListener("visibilitychange", () => document.hidden || at("inside").hidden || refresh());
enter();
