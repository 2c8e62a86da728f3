import assert from "node:assert/strict";
import { advise } from "../../../lib/host/advice.ts";
import type { Situation } from "../../../lib/host/situation.ts";
import { STEPS } from "../../../lib/host/steps.ts";

/** A machine where everything works; each test records how another differs. */
function situation(change: Partial<Situation> = {}): Situation {
  const at = { by: "cgroup2", parent: "/sys/fs/cgroup/x" } as const;
  return {
    uid: 1000,
    kernel: { release: "6.8.0", major: 6, minor: 8 },
    distribution: "debian",
    executable: "/home/ann/.local/bin/cordon",
    sysctl: { "user.max_user_namespaces": 96365, "vm.memfd_noexec": 0 },
    inUserNamespace: false,
    hasUserNamespaces: true,
    filtered: false,
    apparmor: "unconfined",
    masked: [],
    rootOnInitramfs: false,
    runtimeDir: { path: "/run/user/1000", noexec: false },
    cgroups: { controllers: { memory: at, pids: at, cpu: at }, evacuate: false },
    ...change,
  };
}

const noUserNamespace = { step: "user-namespace", errno: "EPERM" };

Deno.test("Debian: the switch for ordinary users", () => {
  const advice = advise(noUserNamespace, situation({ sysctl: { "kernel.unprivileged_userns_clone": 0 } }));
  assert.equal(advice.what, "Ordinary users may not create user namespaces");
  assert.match(advice.why, /unprivileged_userns_clone is 0/);
  assert.equal(
    advice.mend,
    "sudo sysctl -w kernel.unprivileged_userns_clone=1\n" +
      "echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/60-cordon.conf",
  );
});

Deno.test("Debian: the switch does not concern root", () => {
  const advice = advise(
    noUserNamespace,
    situation({ uid: 0, sysctl: { "kernel.unprivileged_userns_clone": 0 } }),
  );
  assert.deepEqual(advice, { what: "A user namespace cannot be created", why: "the kernel answered EPERM" });
});

Deno.test("RHEL: no user namespaces by hardening", () => {
  const advice = advise(
    { step: "user-namespace", errno: "ENOSPC" },
    situation({ distribution: "rhel", sysctl: { "user.max_user_namespaces": 0 } }),
  );
  assert.match(advice.why, /is 0, as hardening profiles of RHEL set it/);
  assert.match(advice.mend ?? "", /^sudo sysctl -w user\.max_user_namespaces=15000\n/);
});

Deno.test("a used-up count is doubled, for each kind of namespace under its own name", () => {
  const sysctl = { "user.max_user_namespaces": 90000, "user.max_net_namespaces": 10000 };
  const advice = advise({ step: "net-namespace", errno: "ENOSPC" }, situation({ sysctl }));
  assert.equal(advice.what, "A network namespace cannot be created");
  assert.match(advice.why, /all 10000 that user\.max_net_namespaces allows/);
  assert.match(advice.mend ?? "", /user\.max_net_namespaces=20000/);
});

Deno.test("inside another sandbox the outer one is told", () => {
  const advice = advise(
    { step: "user-namespace", errno: "ENOSPC" },
    situation({ inUserNamespace: true, sysctl: { "user.max_user_namespaces": 0 } }),
  );
  assert.match(advice.mend ?? "", /--nested/);
});

Deno.test("Ubuntu since 23.10: AppArmor, whichever step it stops", () => {
  const ubuntu = situation({ sysctl: { "kernel.apparmor_restrict_unprivileged_userns": 1 } });
  for (
    const failure of [
      { step: "user-namespace", errno: "EACCES" },
      { step: "id-map", errno: "EPERM" },
      { step: "private-mounts", errno: "EACCES" },
      { step: "net-namespace", errno: "EPERM" },
    ]
  ) {
    const advice = advise(failure, ubuntu);
    assert.match(advice.why, /apparmor_restrict_unprivileged_userns is 1/);
    assert.match(
      advice.mend ?? "",
      /profile cordon "\/home\/ann\/\.local\/bin\/cordon" flags=\(unconfined\)/,
    );
    assert.match(advice.mend ?? "", /apparmor_parser -r \/etc\/apparmor\.d\/cordon/);
  }
});

Deno.test("Docker's default profile: the filter is named with both options to give", () => {
  const docker = situation({ uid: 0, container: "docker", filtered: true, masked: ["/proc/kcore"] });
  const advice = advise(noUserNamespace, docker);
  assert.match(advice.why, /seccomp profile of this container/);
  assert.equal(
    advice.mend,
    "docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined …",
  );
});

Deno.test("Docker with seccomp off and /proc masked: the masks are named", () => {
  const masked = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list"];
  const advice = advise(
    { step: "proc", errno: "EPERM" },
    situation({ uid: 0, container: "docker", masked, inUserNamespace: false }),
  );
  assert.match(advice.why, /\/proc\/acpi, \/proc\/kcore, \/proc\/keys and 1 more/);
  assert.equal(advice.mend, "docker run --security-opt systempaths=unconfined …");
});

Deno.test("Podman and Kubernetes have words of their own", () => {
  const failure = { step: "proc", errno: "EPERM" };
  const masked = ["/proc/kcore"];
  assert.match(
    advise(failure, situation({ container: "podman", masked })).mend ?? "",
    /^podman run --security-opt unmask=ALL/,
  );
  assert.match(
    advise(failure, situation({ container: "kubernetes", masked })).mend ?? "",
    /procMount: Unmasked/,
  );
});

Deno.test("Docker's AppArmor profile refuses mounts", () => {
  const advice = advise(
    { step: "private-mounts", errno: "EACCES" },
    situation({ uid: 0, container: "docker", filtered: true, apparmor: "docker-default (enforce)" }),
  );
  assert.match(advice.why, /docker-default/);
  assert.match(advice.mend ?? "", /apparmor=unconfined/);
});

Deno.test("vm.memfd_noexec: a warning where the file works, a cure where it does not", () => {
  const sysctl = { "vm.memfd_noexec": 2 };
  const memfd = { step: "memfd", errno: "EACCES" };
  assert.match(advise(memfd, situation({ sysctl })).why, /vm\.memfd_noexec is 2/);
  const noexec = { path: "/run/user/1000", noexec: true };
  const file = advise({ step: "file", errno: "EACCES" }, situation({ sysctl, runtimeDir: noexec }));
  assert.equal(file.why, "/run/user/1000 is mounted noexec");
  assert.match(file.mend ?? "", /vm\.memfd_noexec=1/);
});

Deno.test("memory closed by something else and noexec: another directory helps", () => {
  const runtimeDir = { path: "/run/user/1000", noexec: true };
  const advice = advise({ step: "file", errno: "EACCES" }, situation({ runtimeDir }));
  assert.match(advice.mend ?? "", /export XDG_RUNTIME_DIR/);
});

Deno.test("an old kernel cannot be mended", () => {
  const kernel = { release: "5.10.0-30-amd64", major: 5, minor: 10 };
  const older = { release: "4.4.0-210-generic", major: 4, minor: 4 };
  const advice = advise({ step: "seccomp", errno: "ENOSYS" }, situation({ kernel: older }));
  assert.match(advice.why, /4\.4\.0-210-generic is older than 4\.18, which cordon needs/);
  assert.equal(advice.mend, undefined);
  assert.match(advise({ step: "overlay", errno: "EPERM" }, situation({ kernel })).why, /older than 5\.11/);
});

Deno.test("a full quota and a full disk are told apart", () => {
  assert.match(advise({ step: "/u/ann", errno: "EDQUOT" }, situation()).why, /quota/);
  assert.equal(advise({ step: "/u/ann", errno: "ENOSPC" }, situation()).mend, "df -h '/u/ann'");
});

Deno.test("a kernel without user namespaces", () => {
  const advice = advise({ step: "user-namespace", errno: "EINVAL" }, situation({ hasUserNamespaces: false }));
  assert.match(advice.why, /CONFIG_USER_NS/);
});

Deno.test("a diskless node that runs from its initramfs cannot exchange the root", () => {
  const failure = { step: "pivot-root", errno: "EINVAL" };
  assert.match(advise(failure, situation({ rootOnInitramfs: true })).why, /initramfs/);
  assert.equal(advise(failure, situation()).why, "the kernel answered EINVAL");
});

Deno.test("an overlay driver that is not loaded", () => {
  assert.match(
    advise({ step: "overlay", errno: "ENODEV" }, situation()).mend ?? "",
    /^sudo modprobe overlay\n/,
  );
});

Deno.test("an unknown cause is not guessed at: the errno and no command", () => {
  for (const step of STEPS) {
    const advice = advise({ step, errno: "EPERM" }, situation());
    assert.equal(advice.why, "the kernel answered EPERM");
    assert.equal(advice.mend, undefined);
    assert.match(advice.what, /^[A-Z].* cannot be [a-z-]+( |$)/);
  }
});
