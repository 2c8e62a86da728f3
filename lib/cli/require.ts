/**
 * commander is CommonJS; bundled into an ES module its `require("node:events")` looks for a global `require`, which
 * Deno does not define there. A module that imports commander imports this one first.
 */
import { createRequire } from "node:module";

(globalThis as { require?: unknown }).require ??= createRequire(import.meta.url);
