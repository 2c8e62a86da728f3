/** The page at `/`: files that are part of the executable. They load nothing from elsewhere, and are no part of the API. */
import api from "../../assets/page/api.js" with { type: "text" };
import app from "../../assets/page/app.js" with { type: "text" };
import dom from "../../assets/page/dom.js" with { type: "text" };
import executions from "../../assets/page/executions.js" with { type: "text" };
import following from "../../assets/page/following.js" with { type: "text" };
import output from "../../assets/page/output.js" with { type: "text" };
import tenant from "../../assets/page/tenant.js" with { type: "text" };
import words from "../../assets/page/words.js" with { type: "text" };
import icon from "../../assets/page/icon.svg" with { type: "text" };
import page from "../../assets/page/index.html" with { type: "text" };
import style from "../../assets/page/style.css" with { type: "text" };
import type { OpenRoute } from "./route.ts";

/** Nothing but the page's own files, nothing written into it, no text that is taken for HTML. */
const POLICY = [
  "default-src 'none'",
  ...["script-src", "style-src", "img-src", "connect-src"].map((kind) => `${kind} 'self'`),
  ...["base-uri", "form-action", "frame-ancestors"].map((kind) => `${kind} 'none'`),
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const MODULES = { api, app, dom, executions, following, output, tenant, words };

/** All that is served: no path of a request reaches a file system. */
const FILES: Record<string, [type: string, text: string]> = {
  "/": ["text/html", page],
  "/page/style.css": ["text/css", style],
  "/page/icon.svg": ["image/svg+xml", icon],
  ...Object.fromEntries(
    Object.entries(MODULES).map(([name, text]) => [`/page/${name}.js`, ["text/javascript", text]]),
  ),
};

export const pageRoutes: OpenRoute[] = Object.entries(FILES).map(([path, [type, text]]) => ({
  open: true,
  method: "GET",
  path,
  id: "page",
  summary: "The page for people",
  answers: { 200: { description: "A file of it", type } },
  problems: [],
  answer: () =>
    new Response(text, {
      headers: {
        "content-type": `${type}; charset=utf-8`,
        "content-security-policy": POLICY,
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
      },
    }),
}));
