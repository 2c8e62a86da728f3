/** Pulls from a real registry, with credentials and with everything that goes wrong. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { registryAuth } from "../../lib/docker/credentials.ts";
import { EngineError } from "../../lib/docker/errors.ts";
import { inspectImage, pullImage, pushImage, removeImage, tagImage } from "../../lib/docker/images.ts";
import { IMAGE, REGISTRY_USER, type RunningEngine, type RunningRegistry } from "../helpers/engines.ts";

async function drain(steps: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _step of steps) count++;
  return count;
}

export async function pullSuite(running: RunningEngine, registry: RunningRegistry): Promise<void> {
  const { engine, work } = running;
  const image = `${registry.address}/lab/busybox:1`;
  // Credentials come the way `docker login` keeps them.
  const auths = { [registry.address]: { auth: btoa(`${REGISTRY_USER.username}:${REGISTRY_USER.password}`) } };
  await Deno.writeTextFile(join(work, "config.json"), JSON.stringify({ auths }));
  const auth = await registryAuth(registry.address, { facts: { env: { DOCKER_CONFIG: work }, home: work } });
  assert.ok(auth);

  await tagImage(engine, IMAGE, { name: image });
  await drain(pushImage(engine, image, { auth }));
  await removeImage(engine, image);
  await assert.rejects(inspectImage(engine, image));

  const failing = async (name: string, options: { auth?: typeof auth }): Promise<EngineError> => {
    try {
      await drain(pullImage(engine, name, options));
    } catch (error) {
      if (error instanceof EngineError) return error;
      throw error;
    }
    throw new Error(`${name} was pulled`);
  };
  assert.match((await failing(image, {})).engineMessage, /auth|denied|unauthorized|basic/i);
  const wrong = { ...auth, password: "wrong" };
  assert.match((await failing(image, { auth: wrong })).engineMessage, /auth|denied|unauthorized/i);
  assert.match(
    (await failing(`${registry.address}/lab/busybox:absent`, { auth })).engineMessage,
    /manifest|unknown/i,
  );

  assert.ok(await drain(pullImage(engine, image, { auth })) > 0);
  const link = "docker/registry/v2/repositories/lab/busybox/_manifests/tags/1/current/link";
  const digest = `${registry.address}/lab/busybox@${await Deno.readTextFile(join(registry.directory, link))}`;
  assert.ok((await inspectImage(engine, image)).RepoDigests?.includes(digest), digest);
  await removeImage(engine, image);
  await drain(pullImage(engine, digest, { auth }));
  await inspectImage(engine, digest);
}
