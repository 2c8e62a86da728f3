/** Following one execution. */
import { events, over } from "./api.js";
import { at, say } from "./dom.js";
import { Shown } from "./output.js";
import { outcome } from "./words.js";

let following;

/** The id of the execution that is followed, if there is one. */
export const followed = () => following?.id;

/** Nothing is followed any more, and nothing of it is shown. */
export function unfollow() {
  following?.gone.abort();
  following = undefined;
  at("stop").disabled = true;
  at("output").replaceChildren();
}

/** Shows an execution's output and state until it is over, or another one is followed. */
export async function follow(id, whenOver) {
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
    whenOver();
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
