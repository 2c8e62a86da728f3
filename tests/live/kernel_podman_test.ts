/** Kernels in containers of a real Podman. */
import { addKernelImage, podmanNeeds, startPodman } from "../helpers/engines.ts";
import { ordinaryUser, program, test, userns } from "../helpers/need.ts";
import { ordinaryUid } from "../helpers/user.ts";
import { containerSuite } from "./kernel_containers.ts";
import { kernelNeeds } from "./kernel_suite.ts";

const needs = [...podmanNeeds, ...kernelNeeds, program("dpkg-query")];

test("kernels in Podman [root]", { needs }, async (t) => {
  await using podman = await startPodman();
  await addKernelImage(podman.engine);
  await containerSuite(t, podman, { uid: 0 });
});

test("kernels in rootless Podman [user]", { needs: [...needs, ordinaryUser, userns] }, async (t) => {
  await using podman = await startPodman({ rootless: true });
  await addKernelImage(podman.engine);
  await containerSuite(t, podman, { uid: ordinaryUid, rootless: true });
});
