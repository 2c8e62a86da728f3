/** Who asks on this machine itself. */
import assert from "node:assert/strict";
import { isNear } from "../../../lib/serve/near.ts";

const UNIX = { transport: "unix", address: "", port: 0 } as const;
const LOOPBACK = { transport: "tcp", address: "127.0.0.1", port: 1 } as const;

Deno.test("near: programs of this machine", () => {
  for (
    const url of ["http://localhost/metrics", "http://127.0.0.1:8377/metrics", "http://[::1]:8377/metrics"]
  ) {
    for (const peer of [UNIX, LOOPBACK, { ...LOOPBACK, address: "::1" }]) {
      assert.equal(isNear(new Request(url), peer), true, url);
    }
  }
});

Deno.test("near: nobody else, nor a proxy on this machine", () => {
  const url = "http://localhost/metrics";
  for (const address of ["10.0.0.1", "::2", "128.0.0.1"]) {
    assert.equal(isNear(new Request(url), { ...LOOPBACK, address }), false, address);
  }
  for (
    const name of ["http://class.example.org/metrics", "http://127.0.0.1.example.org/", "http://10.0.0.1/"]
  ) {
    assert.equal(isNear(new Request(name), UNIX), false, name);
  }
  for (const header of ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"]) {
    assert.equal(isNear(new Request(url, { headers: { [header]: "x" } }), UNIX), false, header);
  }
});
