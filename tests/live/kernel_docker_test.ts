/** Kernels in containers of a real dockerd. */
import { addKernelImage, dockerNeeds, startDocker } from "../helpers/engines.ts";
import { ordinaryUser, program, test } from "../helpers/need.ts";
import { ordinaryUid } from "../helpers/user.ts";
import { containerSuite } from "./kernel_containers.ts";
import { kernelNeeds } from "./kernel_suite.ts";

const needs = [...dockerNeeds, ...kernelNeeds, program("dpkg-query")];

test("kernels in Docker [root]", { needs }, async (t) => {
  await using docker = await startDocker();
  await addKernelImage(docker.engine);
  await containerSuite(t, docker, { uid: 0 });
});

test("kernels in Docker [user]", { needs: [...needs, ordinaryUser] }, async (t) => {
  await using docker = await startDocker();
  await addKernelImage(docker.engine);
  await containerSuite(t, docker, { uid: ordinaryUid });
});
