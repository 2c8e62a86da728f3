import assert from "node:assert/strict";
import { loadConfig } from "../../../lib/config/config.ts";
import type { Found, ReadPlace } from "../../../lib/config/file.ts";
import { CordonError } from "../../../lib/errors.ts";

const FACTS = { env: {}, home: "/home/ada", cwd: "/work" };

/** Files by their path; a failure is thrown. */
function files(contents: Record<string, string | Found | Error>): ReadPlace {
  return ({ path }) => {
    const content = contents[path];
    if (content === undefined) return { absent: true };
    if (content instanceof Error) throw content;
    return typeof content === "string" ? { bytes: new TextEncoder().encode(content) } : content;
  };
}

function load(contents: Parameters<typeof files>[0], env: Record<string, string> = {}) {
  return loadConfig({ ...FACTS, env }, files(contents));
}

const states = (config: ReturnType<typeof load>) =>
  config.files.filter(({ state }) => state !== "absent").map(({ path, state }) => `${path} ${state}`);

Deno.test("config: nothing there is nothing set", () => {
  const config = load({});
  assert.deepEqual([config.mode, config.profiles.size, config.problems, states(config)], [
    undefined,
    0,
    [],
    [],
  ]);
});

Deno.test("config: the first of a format counts alone, and cordon's values count before dockyter's", () => {
  const config = load({
    "/work/dockyter.toml": '[docker]\ndefault_args = "d"\n[profiles]\na = "da"\nb = "db"\n',
    "/home/ada/.dockyter.toml": '[backend]\nmode = "api"\n',
    "/home/ada/.cordon.toml": '[docker]\ndefault_args = "c"\n[profiles]\na = "ca"\n',
  });
  assert.equal(config.mode, undefined);
  assert.equal(config.defaultArgs?.value, "c");
  assert.deepEqual([...config.profiles].map(([name, { value }]) => [name, value]), [["a", "ca"], [
    "b",
    "db",
  ]]);
  assert.deepEqual(states(config), [
    "/home/ada/.cordon.toml read",
    "/work/dockyter.toml read",
    "/home/ada/.dockyter.toml shadowed",
  ]);
});

Deno.test("config: a broken file is an error when it counts, and none when it does not", () => {
  const good = '[docker]\ndefault_args = "c"\n';
  assert.throws(() => load({ "/work/cordon.toml": "x" }), CordonError);
  assert.equal(load({ "/work/cordon.toml": good, "/home/ada/.cordon.toml": "x" }).defaultArgs?.value, "c");
  const unreadable = new CordonError("Cannot read it", { why: "EACCES" });
  assert.throws(() => load({ "/work/cordon.toml": unreadable }), CordonError);
  const second = load({ "/work/cordon.toml": good, "/home/ada/.cordon.toml": unreadable });
  assert.deepEqual(states(second), ["/work/cordon.toml read", "/home/ada/.cordon.toml refused"]);
});

Deno.test("config: a file that is refused is told, and the next place counts", () => {
  const config = load({
    "/work/cordon.toml": { refused: "it belongs to uid 7, not to you" },
    "/home/ada/.cordon.toml": '[docker]\ndefault_args = "c"\n',
  });
  assert.equal(config.defaultArgs?.value, "c");
  assert.deepEqual(config.problems.map(({ at, what }) => [at.path, what]), [
    ["/work/cordon.toml", "not read: it belongs to uid 7, not to you"],
  ]);
});

Deno.test("config: CORDON_CONFIG has to name a file; DOCKYTER_CONFIG may not, as in the original", () => {
  assert.throws(() => load({}, { CORDON_CONFIG: "/none" }), /Cannot read \/none/);
  const config = load({ "/home/ada/.dockyter.toml": '[profiles]\na = "x"\n' }, { DOCKYTER_CONFIG: "/none" });
  assert.equal(config.profiles.get("a")?.value, "x");
});
