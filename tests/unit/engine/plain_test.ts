/** Mount points behind symlinks, planned for kernels that cannot look them up within the new root. */
import assert from "node:assert/strict";
import { withPlaces } from "../../../lib/engine/namespaces/plain.ts";
import type { Step } from "../../../lib/engine/namespaces/steps.ts";
import { madeUpFs } from "../../helpers/made_up_fs.ts";

const bind = (source: string, dest: string, own = false): Step => ({
  do: "bind",
  source,
  dest,
  own,
  readOnly: true,
  devices: false,
  optional: false,
});
const tmpfs = (dest: string): Step => ({
  do: "tmpfs",
  dest,
  own: false,
  readOnly: false,
  bytes: 1,
  mode: 0o755,
});
/** Where the last of the steps goes. */
function placeOfLast(steps: Step[], entries: string[]): string | undefined {
  return withPlaces(steps, madeUpFs(entries)).at(-1)!.place;
}

Deno.test("symlinks in a bind are followed within the new root, whatever they name outside", () => {
  const entries = [
    "/data/real/",
    "/data/near -> real",
    "/data/far -> /srv/x",
    "/data/up -> ../../../x",
    "/x/",
  ];
  const first = bind("/data", "/d", true);
  assert.equal(placeOfLast([first, bind("/x", "/d/real")], entries), undefined);
  assert.equal(placeOfLast([first, bind("/x", "/d/near")], entries), "/d/real");
  assert.equal(placeOfLast([first, bind("/x", "/d/far/y")], entries), "/srv/x/y");
  assert.equal(placeOfLast([first, bind("/x", "/d/up")], entries), "/x");
});

Deno.test("symlinks of our own making count, and so does what was mounted before", () => {
  const entries = ["/data/l -> /m/k", "/other/k -> elsewhere", "/other/elsewhere/"];
  const steps: Step[] = [
    bind("/data", "/d", true),
    { do: "symlink", path: "/m", target: "n" },
    bind("/other", "/n", true),
    { do: "text", dest: "/d/l/resolv.conf", content: "" },
  ];
  assert.equal(placeOfLast(steps, entries), "/n/elsewhere/resolv.conf");
  // On a file system of ours there are no symlinks of the host's.
  assert.equal(placeOfLast([...steps, tmpfs("/d/l"), bind("/x", "/n/elsewhere/l")], entries), undefined);
});

Deno.test("a circle of symlinks ends, an overlay is refused", () => {
  const entries = ["/data/a -> b", "/data/b -> a", "/x/"];
  assert.throws(
    () => placeOfLast([bind("/data", "/d", true), bind("/x", "/d/a")], entries),
    /Mount point \/d\/a runs through more than 40 symlinks/,
  );
  assert.throws(
    () => placeOfLast([{ do: "overlay", source: "/x", dest: "/o", own: true }], entries),
    /\/o cannot be an overlay on this machine/,
  );
});
