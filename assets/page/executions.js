/** The tables of executions. */
import { over } from "./api.js";
import { at, element } from "./dom.js";
import { clock, commandOf, outcome, seconds, size } from "./words.js";

/** Those that run or wait, and the latest `most` of those that ended; `actions` is what their buttons do with an id. */
export function showExecutions(executions, { most, actions }) {
  const sorted = [...executions].sort((a, b) => a.id < b.id ? 1 : -1);
  fill("now", sorted.filter((one) => !over(one)), {
    actions,
    cells: (one) => [one.image, one.state, clock(one.started ?? one.created)],
  });
  fill("recent", sorted.filter(over).slice(0, most), {
    actions,
    cells: (one) => [
      one.image,
      outcome(one),
      seconds(one.wall_ms),
      one.user_ms === null ? "" : seconds(one.user_ms + one.system_ms),
      size(one.max_rss_bytes || null),
      `${size((one.stdout_bytes ?? 0) + (one.stderr_bytes ?? 0))}${one.truncated ? ", cut" : ""}`,
    ],
  });
}

/** Rows are changed in place, so that what has the focus keeps it. */
function fill(id, executions, { cells, actions }) {
  const body = at(id), table = body.closest(".scroll");
  const old = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const focused = document.activeElement;
  const rows = executions.map((execution) => {
    const row = old.get(execution.id) ?? rowOf(execution, { table: id, actions });
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

function rowOf(execution, { table, actions }) {
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
    actions.show(execution.id);
    at("output").focus();
  });
  row.append(
    element(
      "td",
      {},
      show,
      ...(table === "now" ? [button("Cancel", () => actions.cancel(execution.id))] : []),
    ),
  );
  return row;
}
