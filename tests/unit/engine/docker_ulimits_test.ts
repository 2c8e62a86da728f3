import assert from "node:assert/strict";
import { completed, hardLimits } from "../../../lib/engine/docker/ulimits.ts";

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max processes             100                  unlimited            processes 
Max open files            1024                 20000                files     
Max locked memory         8388608              8388608              bytes     
`;

Deno.test("hard limits are read; what is not limited is left out, and no more is given than Podman takes", () => {
  assert.deepEqual(hardLimits(LIMITS), [{ Name: "nofile", Soft: 20000, Hard: 20000 }]);
  const more = LIMITS.replace("20000", "9999999").replace(
    "unlimited            processes",
    "96365 processes",
  );
  assert.deepEqual(hardLimits(more), [
    { Name: "nproc", Soft: 32768, Hard: 32768 },
    { Name: "nofile", Soft: 1048576, Hard: 1048576 },
  ]);
  assert.deepEqual(hardLimits(""), []);
});

Deno.test("a request's own limits stay, and one without any gets none", () => {
  const core = { Name: "core", Soft: 0, Hard: 0 };
  const nofile = { Name: "nofile", Soft: 5, Hard: 6 };
  const own = { Name: "nofile", Soft: 1, Hard: 2 };
  assert.deepEqual(completed([core], [nofile]), [core, nofile]);
  assert.deepEqual(completed([own], [nofile]), [own]);
  assert.deepEqual([completed([], [nofile]), completed(undefined, [nofile])], [[], undefined]);
});
