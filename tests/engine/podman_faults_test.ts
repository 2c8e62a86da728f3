/** Podman and our daemon, dying and hanging. */
import { podmanNeeds, startPodman } from "../helpers/engines.ts";
import { test } from "../helpers/need.ts";
import { faultSuite } from "./faults.ts";

test("Podman that dies or hangs, and a daemon that does", { needs: podmanNeeds }, async (t) => {
  await using engine = await startPodman();
  await faultSuite(t, engine);
});
