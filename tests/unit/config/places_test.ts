import assert from "node:assert/strict";
import { type PlaceFacts, places } from "../../../lib/config/places.ts";

function paths(facts: Partial<PlaceFacts>): string[] {
  return places({ env: {}, home: "/home/ada", cwd: "/work", ...facts }).map(({ path }) => path);
}

Deno.test("places: Dockyter's four in its order, and cordon's by the same pattern", () => {
  const env = { CORDON_CONFIG: "c.toml", DOCKYTER_CONFIG: "/etc/d.toml", XDG_CONFIG_HOME: "/x" };
  assert.deepEqual(paths({ env }), [
    "/work/c.toml",
    "/work/cordon.toml",
    "/home/ada/.cordon.toml",
    "/x/cordon/config.toml",
    "/etc/d.toml",
    "/work/dockyter.toml",
    "/home/ada/.dockyter.toml",
    "/home/ada/.config/dockyter/config.toml",
  ]);
});

Deno.test("places: variables that say nothing, and a relative XDG_CONFIG_HOME, do not count", () => {
  const env = { CORDON_CONFIG: "", DOCKYTER_CONFIG: "", XDG_CONFIG_HOME: "relative" };
  assert.deepEqual(paths({ env }), paths({}));
  assert.equal(paths({})[2], "/home/ada/.config/cordon/config.toml");
});

Deno.test("places: only what CORDON_CONFIG names has to be there, and only the working directory is distrusted", () => {
  const all = places({ env: { CORDON_CONFIG: "/c", DOCKYTER_CONFIG: "/d" }, home: "/h", cwd: "/w" });
  assert.deepEqual(all.filter(({ required }) => required).map(({ path }) => path), ["/c"]);
  assert.deepEqual(
    all.filter(({ trust }) => trust === "directory").map(({ path }) => path),
    ["/w/cordon.toml", "/w/dockyter.toml"],
  );
});
