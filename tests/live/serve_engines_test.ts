/** `cordon serve` with real container engines. */
import { dockerNeeds, podmanNeeds, startDocker, startPodman } from "../helpers/engines.ts";
import { program, test } from "../helpers/need.ts";
import { serveSuite } from "./serve_containers.ts";

test("cordon serve with dockerd", { needs: [...dockerNeeds, program("unshare")] }, async (t) => {
  await using docker = await startDocker();
  await serveSuite(t, docker);
});

test("cordon serve with Podman", { needs: [...podmanNeeds, program("unshare")] }, async (t) => {
  await using podman = await startPodman();
  await serveSuite(t, podman);
});
