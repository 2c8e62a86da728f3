/** `cordon isolate` in a real container: what Docker's defaults refuse is named, and with it allowed it works. */
import assert from "node:assert/strict";
import { executable } from "../helpers/binary.ts";
import { dockerNeeds, IMAGE, startDocker } from "../helpers/engines.ts";
import { program, test } from "../helpers/need.ts";
import { type Outcome, run } from "../helpers/run.ts";

test("in a container of Docker's", { needs: [...dockerNeeds, program("docker")] }, async (t) => {
  await using docker = await startDocker();
  const libraries = ["/lib", "/lib64", "/usr"].flatMap((
    path,
  ) => ["-v", `${Deno.realPathSync(path)}:${path}:ro`]);

  /** cordon in a container that has the host's C library and nothing else of it. */
  function inside(options: string[], args: string[]): Promise<Outcome> {
    const always = ["--rm", "--network", "none", "-v", `${executable()}:/cordon:ro`, ...libraries];
    const container = ["run", ...always, ...options, IMAGE, "/cordon", ...args];
    return run(["docker", "-H", `unix://${docker.endpoint.path}`, ...container], {
      cwd: "/",
      deadline: 120_000,
    });
  }
  const isolate = [
    "isolate",
    "-m",
    "/etc/group",
    "--",
    "/bin/busybox",
    "sh",
    "-c",
    "id -u; ls /; cat /proc/1/comm",
  ];
  const users: [string, string[]][] = [["root", []], ["an ordinary user", ["--user", "1234:1234"]]];

  for (const [who, user] of users) {
    await t.step(`by default, ${who} is told what is missing`, async () => {
      const outcome = await inside(user, isolate);
      assert.equal(outcome.code, 125);
      assert.match(outcome.stderr, /^cordon: Create namespaces: EPERM[\s\S]*^hint: cordon doctor$/m);
      const doctor = await inside(user, ["doctor"]);
      assert.notEqual(doctor.code, 0);
      assert.match(doctor.stdout, /the seccomp profile of this container refuses it/);
      assert.match(
        doctor.stdout,
        /docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined/,
      );
    });

    await t.step(`with seccomp alone allowed, ${who} is told about /proc`, async () => {
      const options = [...user, "--security-opt", "seccomp=unconfined"];
      const outcome = await inside(options, isolate);
      assert.equal(outcome.code, 125);
      assert.match(outcome.stderr, /^cordon: Make a proc: EPERM[\s\S]*^hint: cordon doctor$/m);
      const doctor = await inside(options, ["doctor"]);
      assert.match(doctor.stdout, /parts of \/proc are covered here/);
      assert.match(doctor.stdout, /docker run --security-opt systempaths=unconfined/);
    });

    await t.step(`with both allowed, it works for ${who}`, async () => {
      const options = ["--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"];
      const { code, stdout, stderr } = await inside([...user, ...options], isolate);
      assert.deepEqual([code, stderr], [0, ""]);
      const [uid, ...names] = stdout.trim().split("\n");
      assert.equal(uid, user.length > 0 ? "1234" : "0");
      assert.equal(names.at(-1), "cordon-init");
      assert.ok(!names.includes("cordon"), "the container's own root is not seen");
    });
  }
});
