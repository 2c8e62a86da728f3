/** The page at `/`: files that are part of the executable. They load nothing from elsewhere, and are no part of the API. */
import script from "../../assets/page/app.js" with { type: "text" };
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

const FILES: Record<string, [type: string, text: string]> = {
  "/": ["text/html", page],
  "/page/app.js": ["text/javascript", script],
  "/page/style.css": ["text/css", style],
  "/page/icon.svg": ["image/svg+xml", icon],
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
