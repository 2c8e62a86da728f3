import assert from "node:assert/strict";
import { DOCKER_FLAGS } from "../../../lib/dockerargs/flags.ts";

/** `docker run --help` of docker/cli 28.2, and what it hides. */
const ALL =
  `add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile
  cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems detach
  detach-keys device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops
  disable-content-trust dns dns-opt dns-option dns-search domainname entrypoint env env-file expose gpus group-add
  health-cmd health-interval health-retries health-start-interval health-start-period health-timeout help hostname init
  interactive io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory label label-file link link-local-ip
  log-driver log-opt mac-address memory memory-reservation memory-swap memory-swappiness mount name net net-alias
  network network-alias no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform privileged publish
  publish-all pull quiet read-only restart rm runtime security-opt shm-size sig-proxy stop-signal stop-timeout
  storage-opt sysctl tmpfs tty ulimit use-api-socket user userns uts volume volume-driver volumes-from workdir`
    .trim().split(/\s+/);

Deno.test("the table has every flag of docker run once, by name", () => {
  assert.deepEqual(DOCKER_FLAGS.map(({ name }) => name), ALL);
});

Deno.test("letters are docker's", () => {
  const letters = DOCKER_FLAGS.filter(({ short }) => short !== undefined);
  assert.equal(
    letters.map(({ name, short }) => `-${short}, --${name}`).sort().join(" "),
    "-P, --publish-all -a, --attach -c, --cpu-shares -d, --detach -e, --env -h, --hostname -i, --interactive " +
      "-l, --label -m, --memory -p, --publish -q, --quiet -t, --tty -u, --user -v, --volume -w, --workdir",
  );
});

Deno.test("aliases are hidden, and stand for a flag of the same type and field", () => {
  const aliases = DOCKER_FLAGS.filter(({ aliasOf }) => aliasOf !== undefined);
  assert.deepEqual(aliases.map(({ name }) => name), ["dns-opt", "net", "net-alias"]);
  for (const { aliasOf, type, field, hidden } of aliases) {
    const flag = DOCKER_FLAGS.find(({ name }) => name === aliasOf);
    assert.deepEqual([flag?.type, flag?.field, hidden], [type, field, true]);
  }
});

Deno.test("descriptions are one line without a period, and only flags with a value name it", () => {
  for (const { name, type, description, value } of DOCKER_FLAGS) {
    assert.match(description, /^[^\n]+[^.\n]$/, name);
    if (type === "bool") assert.equal(value, undefined, name);
    if (type === "list" || type === "string") assert.ok(value, name);
  }
});
