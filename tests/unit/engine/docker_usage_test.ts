import assert from "node:assert/strict";
import { UNKNOWN, Usage, Watch } from "../../../lib/engine/docker/usage.ts";
import { FakeEngine } from "../../helpers/fake-engine.ts";

const ID = "ab".repeat(32), OTHER = "cd".repeat(32);

const V1 = {
  "/proc/self/mountinfo": [
    "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
    "31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
  ].join("\n"),
  "/proc/7/cgroup": `5:memory:/docker/${ID}\n4:cpu,cpuacct:/docker/${ID}\n`,
};
const V2 = {
  "/proc/self/mountinfo": "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
  "/proc/7/cgroup": `0::/machine.slice/libpod-${ID}.scope/container\n`,
};

/** Of an engine whose containers have this first process, on a machine with these files. */
async function learned(files: Record<string, string>, pid = 7) {
  await using engine = new FakeEngine({
    "GET /containers/*/json": (call) => call.json(200, { Id: ID, State: { Running: true, Pid: pid } }),
  });
  const usage = new Usage(engine.engine(), { read: (path) => Promise.resolve(files[path]) });
  usage.learn(ID);
  while (usage.learning) await new Promise((resolve) => setTimeout(resolve, 1));
  return { usage, files, asked: engine.asked };
}

Deno.test("what a container used is read from its groups, of either version", async () => {
  const first = await learned({ ...V1 });
  assert.deepEqual(await first.usage.of(OTHER), UNKNOWN);
  Object.assign(first.files, {
    [`/sys/fs/cgroup/cpu,cpuacct/docker/${OTHER}/cpuacct.usage`]: "400000000\n",
    [`/sys/fs/cgroup/cpu,cpuacct/docker/${OTHER}/cpuacct.usage_user`]: "30\n",
    [`/sys/fs/cgroup/cpu,cpuacct/docker/${OTHER}/cpuacct.usage_sys`]: "10\n",
    [`/sys/fs/cgroup/memory/docker/${OTHER}/memory.max_usage_in_bytes`]: "8192\n",
  });
  assert.deepEqual(await first.usage.of(OTHER), { userMs: 300, systemMs: 100, peakBytes: 8192 });
  const directory = `/sys/fs/cgroup/machine.slice/libpod-${OTHER}.scope`;
  const { usage } = await learned({
    ...V2,
    [`${directory}/cpu.stat`]: "usage_usec 5000\nuser_usec 4000\nsystem_usec 1000\nnr_periods 0\n",
    [`${directory}/memory.peak`]: "4096\n",
  });
  assert.deepEqual(await usage.of(OTHER), { userMs: 4, systemMs: 1, peakBytes: 4096 });
});

Deno.test("nothing is known where a container has no groups of its own, or they are out of sight", async () => {
  const elsewhere: Record<string, string>[] = [
    { ...V2, "/proc/7/cgroup": "0::/user.slice/user-1000.slice/session-1.scope\n" },
    { ...V2, "/proc/7/cgroup": `0::/../../docker/${ID}\n` },
    { ...V2, "/proc/self/mountinfo": "" },
  ];
  for (const files of elsewhere) {
    const { usage, asked } = await learned(files);
    assert.deepEqual(await usage.of(ID), UNKNOWN);
    usage.learn(ID);
    assert.deepEqual([usage.learning, asked.length], [false, 1], "it is asked once");
  }
});

Deno.test("who may not look at the process looks where engines usually put groups", async () => {
  const { "/proc/7/cgroup": _, ...hidden } = V2;
  const scope = `/sys/fs/cgroup/system.slice/docker-${ID}.scope`;
  const { usage } = await learned({ ...hidden, [`${scope}/memory.peak`]: "4096\n" });
  assert.deepEqual(await usage.of(ID), { userMs: null, systemMs: null, peakBytes: 4096 });
  const nowhere = await learned(hidden);
  assert.deepEqual(await nowhere.usage.of(ID), UNKNOWN);
});

Deno.test("one that has ended when it is looked at leaves it to the next", async () => {
  const { usage } = await learned({ ...V2 }, 0);
  assert.deepEqual(await usage.of(ID), UNKNOWN);
  // There is no engine any more, but one would be asked.
  usage.learn(ID);
  assert.equal(usage.learning, true);
  while (usage.learning) await new Promise((resolve) => setTimeout(resolve, 1));
});

Deno.test("groups that go before the end is told leave what was seen last", async () => {
  const stat = `/sys/fs/cgroup/machine.slice/libpod-${ID}.scope/cpu.stat`;
  const { usage, files } = await learned({ ...V2, [stat]: "user_usec 1000\nsystem_usec 0\n" });
  const watch = usage.watch(ID);
  files[stat] = "user_usec 250000\nsystem_usec 0\n";
  await watch.look();
  delete files[stat];
  assert.deepEqual(await watch.end(), { userMs: 250, systemMs: 0, peakBytes: null });
});

Deno.test("a running container is looked at without being asked for", async () => {
  const seen = Promise.withResolvers<void>();
  let looks = 0;
  const watch = new Watch(() => {
    if (++looks === 3) seen.resolve();
    return Promise.resolve({ userMs: looks, systemMs: 0, peakBytes: null });
  });
  await seen.promise;
  assert.equal((await watch.end()).userMs, looks);
});
