/** Volumes of images. */
import assert from "node:assert/strict";
import type { ImageDetails } from "../../../../lib/docker/images.ts";
import { withoutVolumes } from "../../../../lib/serve/policy/volumes.ts";

function imageWith(...places: string[]): ImageDetails {
  const Volumes = Object.fromEntries(places.map((place) => [place, {}]));
  return {
    Id: "sha256:0",
    RepoTags: null,
    RepoDigests: null,
    Architecture: "amd64",
    Os: "linux",
    Size: 0,
    Config: { Volumes },
  };
}

const HOST = { ReadonlyRootfs: true, Tmpfs: { "/tmp": "rw,exec,nosuid,nodev,mode=1777,size=1048576" } };

Deno.test("volumes: each is a file system in memory of the size of /tmp", () => {
  const { HostConfig } = withoutVolumes({ Image: "db", HostConfig: HOST }, imageWith("/data/", "var/lib/db"));
  assert.deepEqual(HostConfig?.["Tmpfs"], {
    ...HOST.Tmpfs,
    "/data": HOST.Tmpfs["/tmp"],
    "/var/lib/db": HOST.Tmpfs["/tmp"],
  });
});

Deno.test("volumes: what is mounted there stays", () => {
  const Mounts = [{ Type: "bind", Source: "/srv/data", Target: "/data", ReadOnly: true }];
  const config = { Image: "db", HostConfig: { ...HOST, Mounts } };
  assert.equal(withoutVolumes(config, imageWith("/data", "/tmp")), config);
});

Deno.test("volumes: where the root may be written they are what they are", () => {
  const config = { Image: "db", HostConfig: { ...HOST, ReadonlyRootfs: false } };
  assert.equal(withoutVolumes(config, imageWith("/data")), config);
});

Deno.test("volumes: an image with very many is not run", () => {
  const places = Array.from({ length: 40 }, (_, index) => `/data/${index}`);
  assert.throws(
    () => withoutVolumes({ Image: "db", HostConfig: HOST }, imageWith(...places)),
    /declares 40 volumes/,
  );
});
