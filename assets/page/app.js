/**
 * The page of `cordon serve`: who is signed in, what is run, and that what is shown stays up to date. It uses the API
 * alone.
 */
import { ask, asked, forgetToken, keepToken, Refused, token } from "./api.js";
import { at, say } from "./dom.js";
import { showExecutions } from "./executions.js";
import { follow, followed, unfollow } from "./following.js";
import { showApi, showMe } from "./tenant.js";

const REFRESH_MS = 2000;
const RECENT = 20;

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
    follow(id, refresh);
    refresh();
  } catch (error) {
    unfollow();
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
  showExecutions([...known.values()], {
    most: RECENT,
    actions: { show: (id) => follow(id, refresh), cancel },
  });
}

function failed(error, otherwise = (text) => say("trouble", text, true)) {
  if (error instanceof Refused && error.status === 401) return leave("This token is not taken (any more)");
  otherwise(error instanceof Refused ? error.message : `The server cannot be reached: ${error.message}`);
}

function leave(why = "") {
  forgetToken();
  unfollow();
  clearTimeout(timer);
  for (const id of ["now", "recent", "usage", "images"]) at(id).replaceChildren();
  delete at("usage").dataset.now;
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
    const asksFirst = error instanceof Refused && error.status === 401 && !token();
    return asksFirst ? leave() : failed(error);
  }
  say("trouble", "");
  at("enter").hidden = true;
  at("inside").hidden = false;
  at("leave").hidden = !token();
  at("command").focus();
  await Promise.all([refresh(), showApi().catch((error) => failed(error))]);
}

at("enter-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(at("token").value.trim());
  at("token").value = "";
  enter();
});
at("try").addEventListener("submit", run);
at("try").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("try").requestSubmit();
});
at("stop").addEventListener("click", () => followed() && cancel(followed()));
at("leave").addEventListener("click", () => leave());
document.addEventListener("visibilitychange", () => document.hidden || at("inside").hidden || refresh());
enter();
