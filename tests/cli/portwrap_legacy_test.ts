/** The old names on the executable, and what JupyterHub says without a Hub being there. */
import assert from "node:assert/strict";
import { everyone, ok } from "../helpers/everyone.ts";
import { freePort } from "../helpers/machine.ts";

const SHOW = 'echo "$@" "$JUPYTERHUB_SERVICE_URL"';

everyone("portwrap and batchspawner-portwrap take their old command lines", async (p) => {
  const port = String(freePort());
  const old = await p.cordon(["-p", port, "-P", "8123", "sh", "-c", SHOW, "sh", "--port={guest-port}"], {
    argv0: "portwrap",
  });
  assert.deepEqual([old.code, old.stdout], [0, "--port=8123 \n"], old.stderr);
  const batch = await p.cordon(["-P", "8124", "sh", "-c", SHOW, "sh", `--port=${port}`], {
    argv0: "batchspawner-portwrap",
  });
  assert.deepEqual([batch.code, batch.stdout], [0, "--port=8124 \n"], batch.stderr);
});

everyone("under JupyterHub the program is told its guest port, by variable or by argument", async (p) => {
  const port = freePort();
  const env = {
    JUPYTERHUB_SERVICE_URL: `http://127.0.0.1:${port}/user/a/`,
    JUPYTERHUB_API_URL: "http://127.0.0.1:9/hub/api",
  };
  assert.equal(
    ok(await p.cordon(["portwrap", "sh", "-c", SHOW, "sh", "x"], { env })),
    "x http://127.0.0.1:8888/user/a/",
  );
  assert.equal(
    ok(await p.cordon(["portwrap", "sh", "-c", SHOW, "sh", "--ip=127.0.0.1", `--port=${port}`])),
    "--ip=127.0.0.1 --port=8888",
  );
});

everyone("a Hub at the guest port of the loopback does not stand in the server's way", async (p) => {
  const env = {
    JUPYTERHUB_SERVICE_URL: `http://127.0.0.1:${freePort()}/`,
    JUPYTERHUB_API_URL: "http://127.0.0.1:8888/hub/api",
  };
  assert.equal(ok(await p.cordon(["portwrap", "sh", "-c", SHOW], { env })), "http://127.0.0.1:8889/");
});
