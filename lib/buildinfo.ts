/** What this executable was made from. The first-run script `cordon` writes it into the bundle. */
import manifest from "../deno.json" with { type: "json" };

export interface BuildInfo {
  /** cordon's own version, as in deno.json. */
  version: string;
  /** Where the base executable came from: Deno's own site, an npm registry, or none (run from the sources). */
  base: "deno" | "registry" | "source";
  /** Version of the Deno inside. */
  deno: string;
}

/** The line the script puts before the bundle sets this property to `"deno"` or `"registry"`. */
const BASE = Symbol.for("cordon.base");

export const buildInfo: BuildInfo = {
  version: manifest.version,
  base: (globalThis as { [BASE]?: "deno" | "registry" })[BASE] ?? "source",
  deno: Deno.version.deno,
};
