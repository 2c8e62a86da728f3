import assert from "node:assert/strict";
import { parseBatchspawnerPortwrap, parseLegacyPortwrap } from "../../../cmd/legacy/portwrap.options.ts";

function options(request: ReturnType<typeof parseLegacyPortwrap>) {
  assert.ok("options" in request);
  return request.options;
}

Deno.test("portwrap: listens on every address, has an uplink, and finds its two options anywhere", () => {
  for (
    const argv of [
      ["-p", "8000", "-P", "80", "prog", "--flag", "arg"],
      ["prog", "-p", "8000", "--flag", "arg", "-P80"],
      ["--host-port=8000", "prog", "--flag", "arg", "--guest-port", "80"],
    ]
  ) {
    const { hostPort, guestPort, hostAddr, network, command } = options(parseLegacyPortwrap(argv));
    assert.deepEqual(
      { hostPort, guestPort, hostAddr, mode: network.mode, command },
      {
        hostPort: 8000,
        guestPort: 80,
        hostAddr: "0.0.0.0",
        mode: "auto",
        command: ["prog", "--flag", "arg"],
      },
    );
  }
});

Deno.test("portwrap: an option of the program's own of the same name is the program's", () => {
  const { command } = options(parseLegacyPortwrap(["-p", "1", "-P", "2", "prog", "-p", "3"]));
  assert.deepEqual(command, ["prog", "-p", "3"]);
  const after = options(parseLegacyPortwrap(["-p", "1", "prog", "-P", "2", "--", "-P", "3"]));
  assert.deepEqual([after.guestPort, after.command], [2, ["prog", "--", "-P", "3"]]);
});

Deno.test("portwrap: both ports and a command are needed", () => {
  assert.throws(() => parseLegacyPortwrap(["-P", "1", "prog"]), /needs -p PORT/);
  assert.throws(() => parseLegacyPortwrap(["-p", "1", "prog"]), /needs -P PORT/);
  assert.throws(() => parseLegacyPortwrap(["-p", "1", "-P", "1"]), /needs PROG/);
  assert.deepEqual(parseLegacyPortwrap(["-h"]), { help: "short" });
});

Deno.test("batchspawner-portwrap: its options anywhere, --port left to the Hub's rules", () => {
  const argv = [
    "-P",
    "9000",
    "--portwrap-path",
    "/opt/portwrap",
    "jupyterhub-singleuser",
    "--arg",
    "--port=4000",
  ];
  const o = options(parseBatchspawnerPortwrap(argv));
  assert.deepEqual(
    [o.hostPort, o.guestPort, o.hubAddr, o.network.mode, o.command],
    [undefined, 9000, "0.0.0.0", "auto", ["jupyterhub-singleuser", "--arg", "--port=4000"]],
  );
  assert.equal(options(parseBatchspawnerPortwrap(["x", "-P", "9000"])).guestPort, 9000);
  assert.equal(options(parseBatchspawnerPortwrap(["x"])).guestPort, undefined);
});
