/** docs/serve.md names every key of the configuration, and every flag with what becomes of it. */
import assert from "node:assert/strict";
import type { z } from "zod";
import { fileSchema } from "../../../lib/serve/config/schema.ts";
import { readConfig } from "../../../lib/serve/config/read.ts";
import {
  FURTHER_FLAGS,
  NEVER_FLAGS,
  SYSTEM_DIRECTORIES,
  USUAL_FLAGS,
} from "../../../lib/serve/policy/tables.ts";

const text = Deno.readTextFileSync(new URL("../../../docs/serve.md", import.meta.url));

/** `tls`, `connections.most`, `policies.NAME.images`, … */
function keys(schema: z.ZodType, path: string[] = []): string[] {
  const def = schema.def as unknown as {
    type: string;
    innerType?: z.ZodType;
    out?: z.ZodType;
    shape?: Record<string, z.ZodType>;
    valueType?: z.ZodType;
  };
  if (def.type === "object") {
    return Object.entries(def.shape!).flatMap(([name, inner]) => keys(inner, [...path, name]));
  }
  const named = ["tenants", "policies"].includes(path.at(-1) ?? "");
  if (def.type === "record" && named) return keys(def.valueType!, [...path, "NAME"]);
  if (def.innerType) return keys(def.innerType, path);
  return [path.join(".")];
}

Deno.test("docs/serve.md: every key of the configuration", () => {
  const all = keys(fileSchema("/"));
  assert.ok(all.length > 40 && all.includes("policies.NAME.limits.memory"), all.join("\n"));
  for (const key of all) {
    const limit = /^policies\.NAME\.limits\.(.+)$/.exec(key)?.[1];
    const whole = key.startsWith("tls.") ? "tls" : limit ?? key;
    assert.ok(new RegExp(`^\\| \`${RegExp.escape(whole)}\` +\\|`, "m").test(text), key);
  }
});

Deno.test("docs/serve.md: the defaults of limits", () => {
  const { limits } = readConfig("[policies.default]\n", "/etc/x.toml").policies[0]!;
  for (const [name, { value }] of Object.entries(limits)) {
    const shown = new RegExp(`^\\| \`${name}\` +\\| \`(?:"(\\d+)([sM])"|(\\d+))\` `, "m").exec(text);
    assert.ok(shown, name);
    const unit = shown[2] === "M" ? 2 ** 20 : 1;
    assert.equal(Number(shown[1] ?? shown[3]) * unit, value, name);
  }
});

Deno.test("docs/serve.md: every flag, and why it is never taken", () => {
  for (const name of [...USUAL_FLAGS, ...FURTHER_FLAGS]) assert.ok(text.includes(`\`${name}\``), name);
  for (const [name, why] of Object.entries(NEVER_FLAGS)) {
    const row = text.split("\n").find((line) => line.startsWith("|") && line.includes(`\`${name}\``));
    assert.ok(row?.includes(why), name);
  }
});

Deno.test("docs/serve.md: directories that are never mounted", () => {
  for (const path of SYSTEM_DIRECTORIES) assert.ok(text.includes(`\`${path}\``), path);
});
