/** `cordon run --engine namespaces`: docker's command line on the programs of this machine. */
import assert from "node:assert/strict";
import { cordon, type CordonOptions } from "../helpers/binary.ts";
import { ordinaryUser, root, test, userns } from "../helpers/need.ts";
import { ordinaryHome } from "../helpers/user.ts";
import { tmp } from "../helpers/run.ts";

const CALLERS = [
  { who: "root", user: "caller", needs: [root] },
  { who: "an ordinary user", user: "ordinary", needs: [ordinaryUser, userns] },
] as const;

for (const { who, user, needs } of CALLERS) {
  const run = (args: string[], options: CordonOptions = {}) =>
    cordon(["run", "--engine", "namespaces", ...args], { user, ...options });

  test(`${who}: status, variables, place and mounts`, { needs }, async () => {
    const cwd = user === "ordinary" ? ordinaryHome() : tmp();
    const options = ["-v", ".:/data:ro", "-w", "/data/..", "-e", "A=1", "--tmpfs", "/t:size=1m", "host"];
    const script =
      'echo "$A"; pwd; touch /data/x 2>/dev/null || echo refused; echo $(df -k --output=size /t | tail -n 1); exit 7';
    const { code, stdout, stderr } = await run([...options, "sh", "-c", script], { cwd });
    assert.deepEqual({ code, stdout, stderr }, { code: 7, stdout: "1\n/\nrefused\n1024\n", stderr: "" });
  });

  test(`${who}: a read-only root`, { needs }, async () => {
    const script =
      "for f in /x /tmp/x /dev/x /etc/x; do touch $f 2>/dev/null && echo $f; done; touch /dev/shm/x /t/x";
    const { code, stdout, stderr } = await run(["--read-only", "--tmpfs", "/t", "host", "sh", "-c", script]);
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
  });

  test(`${who}: a script by stdin`, { needs }, async () => {
    const stdin = 'cat; for a; do echo "<$a>"; done\nexit 9\n';
    const { code, stdout } = await run(["--script", "-", "host", "one", "two words"], { stdin });
    assert.deepEqual([code, stdout], [9, "<one>\n<two words>\n"]);
  });

  test(`${who}: stdin arrives with -i alone`, { needs }, async () => {
    assert.equal((await run(["-i", "host", "cat"], { stdin: "typed" })).stdout, "typed");
    const { code, stdout } = await run(["host", "cat"], { stdin: "typed" });
    assert.deepEqual([code, stdout], [0, ""]);
  });

  test(`${who}: no network, and root inside by -u 0`, { needs }, async () => {
    const { stdout } = await run([
      "-u",
      "0",
      "host",
      "sh",
      "-c",
      "id -u; ls /sys/class/net 2>/dev/null; cat /proc/net/dev",
    ]);
    assert.match(stdout, /^0\n/);
    assert.doesNotMatch(stdout, /eth|ens|wlan/);
  });

  test(`${who}: what cannot be had is named`, { needs }, async () => {
    for (
      const args of [["--gpus", "all", "host"], ["debian"], ["-v", "/nonexistent-here:/x", "host", "true"]]
    ) {
      const { code, stderr } = await run(args);
      assert.equal(code, 125, args.join(" "));
      assert.match(stderr, /^cordon: .*(--gpus|debian|nonexistent-here)/i);
    }
    assert.equal((await run(["host", "no-such-command"])).code, 127);
    assert.equal((await run(["host", "/usr"])).code, 126);
  });
}
