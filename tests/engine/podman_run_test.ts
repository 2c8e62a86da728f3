/** The suite with Podman, with containers made for each run and with such as were made ahead. */
import { WarmPool } from "../../lib/engine/docker/pool.ts";
import { podmanNeeds, startPodman } from "../helpers/engines.ts";
import { ordinaryUser, test, userns } from "../helpers/need.ts";
import { coldSubject, EAGER, warmSubject, withClient } from "./containers.ts";
import { engineSuite } from "./suite.ts";

test("the docker engine with Podman", { needs: podmanNeeds }, async (t) => {
  await using engine = await startPodman();
  await withClient(engine, async (client) => {
    await t.step("a container for each run", (t) => engineSuite(t, coldSubject(client)));
    await t.step("containers made ahead", async (t) => {
      const pool = new WarmPool(client, EAGER);
      try {
        await engineSuite(t, warmSubject(client, pool));
      } finally {
        await pool.close();
      }
    });
  });
});

test("the docker engine with a Podman of an ordinary user", {
  needs: [...podmanNeeds, ordinaryUser, userns],
}, async (t) => {
  await using engine = await startPodman({ rootless: true });
  await withClient(engine, (client) => engineSuite(t, coldSubject(client)));
});
