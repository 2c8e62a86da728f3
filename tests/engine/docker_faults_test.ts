/** dockerd and our daemon, dying and hanging. */
import { dockerNeeds, startDocker } from "../helpers/engines.ts";
import { test } from "../helpers/need.ts";
import { faultSuite } from "./faults.ts";

test("dockerd that dies or hangs, and a daemon that does", { needs: dockerNeeds }, async (t) => {
  await using engine = await startDocker();
  await faultSuite(t, engine);
});
