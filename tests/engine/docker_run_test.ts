/** The suite with dockerd, with containers made for each run and with such as were made ahead. */
import { WarmPool } from "../../lib/engine/docker/pool.ts";
import { dockerNeeds, startDocker } from "../helpers/engines.ts";
import { test } from "../helpers/need.ts";
import { coldSubject, EAGER, warmSubject, withClient } from "./containers.ts";
import { engineSuite } from "./suite.ts";

test("the docker engine with dockerd", { needs: dockerNeeds }, async (t) => {
  await using engine = await startDocker();
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
