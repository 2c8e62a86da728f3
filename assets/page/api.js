/** The API of `cordon serve`, with a token that stays in this tab. */

const TOKEN = "cordon-token";
const RETRY_MS = 1000;

export const token = () => sessionStorage.getItem(TOKEN);
export const keepToken = (text) => sessionStorage.setItem(TOKEN, text);
export const forgetToken = () => sessionStorage.removeItem(TOKEN);

export class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? problem?.title ?? `The server answered ${status}`);
    this.status = status;
  }
}

/** Without credentials: the browser is not to ask for a name and password by itself. */
export async function ask(path, { method = "GET", json, signal, headers = {} } = {}) {
  const held = token();
  const response = await fetch(path, {
    method,
    signal,
    credentials: "omit",
    headers: {
      ...headers,
      ...(held && { authorization: `Bearer ${held}` }),
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

export const asked = async (path, options) => await (await ask(path, options)).json();

/** Events of an execution, from the first to the last, over as many connections as it takes. */
export async function* events(id, signal) {
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

/** Whether an execution has ended. */
export const over = ({ state }) => state !== "queued" && state !== "running";
