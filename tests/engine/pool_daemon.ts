/**
 * A daemon to be killed: `pool_daemon.ts SOCKET IMAGE`. Has two containers ready and one running, says so on stdout
 * with its instance, and waits.
 */
import { openEngine } from "../../lib/docker/system.ts";
import { openClient } from "../../lib/engine/docker/client.ts";
import { WarmPool } from "../../lib/engine/docker/pool.ts";

const [path = "", image = ""] = Deno.args;
const client = await openClient(await openEngine({ kind: "unix", path, origin: "test" }));
const pool = new WarmPool(client, { size: 2, enter: 0.5 });
const job = { image, config: { HostConfig: { NetworkMode: "none" } }, script: "echo running; sleep 600" };
await pool.prepare(job);
await pool.prepare(job);
const ready = () => {
  if (pool.stats.ready < 2) setTimeout(ready, 20);
  else console.log(`ready ${client.identity.instance}`);
};
await pool.run(job, { stdout: ready, stderr() {} });
