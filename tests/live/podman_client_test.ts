import { podmanNeeds, registryNeeds, startPodman, startRegistry } from "../helpers/engines.ts";
import { test } from "../helpers/need.ts";
import { clientSuite } from "./client_suite.ts";
import { pullSuite } from "./pull_suite.ts";

test("the Engine API client with Podman", { needs: podmanNeeds }, async (t) => {
  await using podman = await startPodman();
  await clientSuite(t, podman.engine);
});

test("Podman pulls with credentials", { needs: [...podmanNeeds, ...registryNeeds] }, async () => {
  await using registry = await startRegistry({ auth: true });
  await using podman = await startPodman({ insecure: [registry.address] });
  await pullSuite(podman, registry);
});
