/** Init, simulated: what it sets up and gives up before the target is born. */
import assert from "node:assert/strict";
import { AT, CLONE, IOCTL, PR, SECCOMP, SIG } from "../../../ffi/constants.ts";
import type { SandboxPlan } from "../../../lib/shim/programs/sandbox.ts";
import type { Kernel } from "../../helpers/fake_kernel.ts";
import { before, inOrder, links, matching } from "./events.ts";
import { live, monitorGone, ordinary, TARGET } from "./life.ts";
import { FILTER } from "./plan.ts";

const EINVAL = -22, EPERM = -1;

Deno.test("it asks to die with the monitor, then looks whether it is dead already", () => {
  const { init } = ordinary();
  const [asked, looked] = inOrder(
    init,
    new RegExp(`^prctl\\(${PR.SET_PDEATHSIG}, ${SIG.KILL}\\)`),
    /^ppoll\(&, 1, &/,
  );
  assert.ok(
    matching(init, /^(openat|write|mount|unshare|sethostname)\(/).every((call) =>
      init.calls.indexOf(call) > looked!
    ),
  );
  assert.ok(asked! < looked!);
  // Its own end of the control pipe is closed, or the monitor's death would go unseen.
  const { monitor } = ordinary();
  before(init, new RegExp(`^close\\(${links(monitor).control.write}\\)`), /^ppoll/);
});

Deno.test("the monitor died before that: it ends with 125 and has done nothing", () => {
  const { init } = live((monitor) => [monitorGone(monitor)]);
  assert.deepEqual(init.end, { exit: 125 });
  assert.deepEqual(matching(init, /^(openat|write|mount|unshare|clone|sethostname|move_mount)\(/), []);
});

Deno.test("setgroups is denied before the groups are mapped; the caller maps to itself", () => {
  const { init } = ordinary();
  inOrder(
    init,
    /^openat\(-100, "\/proc\/self\/setgroups"/,
    /^write\(\d+, "deny", 4\)/,
    /^openat\(-100, "\/proc\/self\/gid_map"/,
    /^write\(\d+, "5678 5678 1", 11\)/,
  );
  inOrder(init, /^openat\(-100, "\/proc\/self\/uid_map"/, /^write\(\d+, "1234 1234 1", 11\)/, /^mount\(/);
  const root = ordinary({ changes: { insideUid: 0, insideGid: 0 } }).init;
  inOrder(root, /^write\(\d+, "0 1234 1", 8\)/);
  inOrder(root, /^write\(\d+, "0 5678 1", 8\)/);
});

Deno.test("it joins its control groups before it takes a cgroup namespace, so that the namespace starts there", () => {
  const changes = { cgroup: { joinFiles: ["/cg/a/cgroup.procs", "/cg/b/cgroup.procs"], removeDirs: [] } };
  inOrder(
    ordinary({ changes }).init,
    /^openat\(-100, "\/cg\/a\/cgroup.procs"/,
    /^write\(\d+, "0", 1\)/,
    /^openat\(-100, "\/cg\/b\/cgroup.procs"/,
    /^write\(\d+, "0", 1\)/,
    new RegExp(`^unshare\\(${CLONE.NEWCGROUP}\\)`),
  );
});

Deno.test("its own network is brought up; the host's is left alone", () => {
  const sockets: string[] = [];
  const kernel: Kernel = {
    ioctl: (call) => {
      if (call.number(1) !== IOCTL.SIOCSIFFLAGS) return;
      const request = call.bytes(2, 18);
      sockets.push(new TextDecoder().decode(request.slice(0, 3)) + (request[16]! | request[17]! << 8));
    },
  };
  ordinary({ kernel });
  assert.deepEqual(sockets, ["lo\x001"]);
  const open = ordinary({ changes: { ownNetwork: false }, kernel }).init;
  assert.deepEqual(matching(open, /^socket\(/), []);
  assert.equal(sockets.length, 1);
});

Deno.test("the target is born when there is nothing left to take: capabilities, no_new_privs, filter, not dumpable", () => {
  const { init } = ordinary();
  for (
    const what of [
      `prctl\\(${PR.CAPBSET_DROP}, `,
      `prctl\\(${PR.CAP_AMBIENT}, ${PR.CAP_AMBIENT_CLEAR_ALL}\\)`,
      `prctl\\(${PR.SET_SECUREBITS}, 47\\)`,
      "capset\\(",
      `prctl\\(${PR.SET_NO_NEW_PRIVS}, 1\\)`,
      `seccomp\\(${SECCOMP.SET_MODE_FILTER}, `,
      `prctl\\(${PR.SET_DUMPABLE}\\)`,
      "umount2\\(",
      "pivot_root\\(",
      "(setsid|setpgid)\\(",
    ]
  ) before(init, new RegExp(`^${what}`), /^clone\(/);
  assert.equal(init.named("clone").length, 1);
  assert.equal(init.named("clone")[0]!.number(0), SIG.CHLD);
});

Deno.test("every capability leaves the bounding set, whatever their number; then all sets are emptied", () => {
  for (const last of [37, 40, 47, 63]) {
    const { init } = ordinary({
      kernel: {
        prctl: (call) => call.number(0) === PR.CAPBSET_DROP && call.number(1) > last ? EINVAL : 0,
        capset: (call) => {
          assert.equal(call.word(0), 0x20080522n, "version 3, ourselves");
          assert.ok(call.bytes(1, 24).every((byte) => byte === 0));
        },
      },
    });
    const dropped = matching(init, new RegExp(`^prctl\\(${PR.CAPBSET_DROP}[,)]`)).filter((call) =>
      call.result === 0n
    );
    assert.deepEqual(dropped.map((call) => call.number(1)), Array.from({ length: last + 1 }, (_, i) => i));
    assert.equal(init.named("capset").length, 1);
  }
});

Deno.test("a capability that cannot be dropped stops everything", () => {
  const { init } = live(() => [], {
    kernel: { prctl: (call) => call.number(0) === PR.CAPBSET_DROP ? EPERM : 0 },
  });
  assert.deepEqual(init.end, { exit: 125 });
  assert.equal(
    init.written(2).split("\n")[0],
    "cordon: Drop a bounding capability: EPERM (Operation not permitted)",
  );
  assert.deepEqual(init.children, []);
});

Deno.test("no failure before the birth of the target is passed over", () => {
  const calls = ordinary().init.calls;
  const born = calls.findIndex((call) => call.name === "clone");
  const mayFail = /^(close|rt_|readlinkat|ioctl\(0, 21505)/; // closing, and looking whether stdin is a terminal
  let tried = 0;
  for (let i = 0; i <= born; i++) {
    const { name, line } = calls[i]!;
    const capability = name === "prctl" && calls[i]!.number(0) === PR.CAPBSET_DROP;
    if (mayFail.test(line) || calls[i]!.result! < 0n) continue;
    let at = 0;
    const { init } = live(() => [], {
      kernel: Object.fromEntries([...new Set(calls.map((call) => call.name))].map((each) => [each, (call) => {
        if (call.process.calls.length - 1 === i) {
          at++;
          return EPERM;
        }
        if (call.process.calls.length - 1 < i) return calls[call.process.calls.length - 1]!.result!;
        if (each === "exit_group") return call.process.die({ exit: call.number(0) });
        if (each === "clone") throw new Error(`the target is born although ${line} failed`);
        return 0;
      }])) as Kernel,
    });
    assert.equal(at, 1);
    assert.deepEqual(init.end, { exit: 125 }, `${line}${capability ? "" : ` (${calls[i]!.say})`}`);
    tried++;
  }
  assert.ok(tried > 50, `${tried} calls tried`);
});

Deno.test("the filter is the plan's, installed after no_new_privs and before the process becomes undumpable", () => {
  let installed: Uint8Array | undefined;
  const { init } = ordinary({
    kernel: {
      seccomp: (call) => {
        assert.equal(call.word(2), BigInt(FILTER.length / 8), "instructions");
        installed = call.process.memory.bytes(call.word(2, 8), FILTER.length);
      },
    },
  });
  assert.deepEqual(installed, FILTER);
  before(init, new RegExp(`^prctl\\(${PR.SET_NO_NEW_PRIVS}, 1`), /^seccomp\(/);
  // /proc/self/uid_map of an undumpable process belongs to root.
  before(init, /uid_map/, new RegExp(`^prctl\\(${PR.SET_DUMPABLE}\\)`));
});

Deno.test("it leaves the caller's process group: by a session of its own, on a terminal by a group", () => {
  assert.deepEqual(ordinary().init.named("setpgid"), []);
  before(ordinary().init, /^setsid\(\)/, /^clone/);
  const { init } = ordinary({ onTerminal: true });
  assert.deepEqual(init.named("setsid"), []);
  before(init, /^setpgid\(0, 0\)|^setpgid\(\)/, /^clone/);
});

Deno.test("on a terminal the target's group gets the terminal, and it is the target's before that one reads", () => {
  const groups: number[] = [];
  const { init } = ordinary({
    onTerminal: true,
    kernel: {
      ioctl: (call) => void (call.number(1) === IOCTL.TIOCSPGRP && groups.push(call.bytes(2, 4)[0]!)),
    },
  });
  inOrder(
    init,
    /^clone/,
    /^setpgid\(2, 2\)/,
    new RegExp(`^ioctl\\(\\d+, ${IOCTL.TIOCSPGRP}`),
    /^close_range\(0, 2\)/,
  );
  assert.deepEqual(groups, [TARGET]);
});

Deno.test("its name in process lists is its own, within the room there was", () => {
  const { init } = ordinary();
  assert.ok(init.lines.some((line) => line.startsWith(`prctl(${PR.SET_NAME}, `)));
  assert.deepEqual(init.argv, ["cordon-init"]);
  const old = init.memory.bytes(init.memory.read64(init.stack + 8), 15);
  assert.equal(old.slice(11).join(), "0,0,0,0", "nothing of the old name is left");
});

Deno.test("stdio and kept descriptors are the target's alone", () => {
  const { init } = ordinary({ changes: { keepFds: [5, 9] } });
  const after = init.lines.slice(init.lines.findIndex((line) => line.startsWith("clone(")));
  for (const line of ["close_range(0, 2)", "close(5)", "close(9)"]) assert.ok(after.includes(line), line);
});

Deno.test("what it opened for itself is closed by exec: the target gets none of it", () => {
  const CLOEXEC = 0o2000000;
  const { init, monitor } = ordinary({ onTerminal: true });
  const opening: Record<string, number> = {
    openat: 2,
    open_tree: 2,
    socket: 1,
    dup3: 2,
    signalfd4: 3,
    pipe2: 1,
    fsopen: 1,
    fsmount: 1,
  };
  let seen = 0;
  for (const process of [monitor, init]) {
    for (const call of process.calls) {
      const flags = opening[call.name];
      const duplicate = call.name === "fcntl" && call.number(1) === 0;
      assert.ok(!duplicate, call.line);
      if (flags === undefined || call.result! < 0n) continue;
      const wanted = call.name.startsWith("fs") ? 1 : CLOEXEC;
      assert.ok(call.number(flags) & wanted, call.line);
      seen++;
    }
    for (const call of process.named("openat2")) assert.ok(Number(call.word(2)) & CLOEXEC, call.line);
  }
  assert.ok(seen > 10);
});

Deno.test("a copy that fails ends the set-up", () => {
  const changes: Partial<SandboxPlan> = {
    steps: [{ do: "copy", source: "/src", dest: "/copy", type: "directory", readOnly: false }],
  };
  const { init } = live(() => [], {
    changes,
    kernel: { wait4: (call) => (call.put32(1, 1 << 8), call.number(0)) },
  });
  assert.deepEqual(init.end, { exit: 125 });
  assert.match(init.written(2), /^cordon: Copy \/src: cp failed, see above\n$/);
  const copied = init.children[0]!.run();
  assert.ok(copied.end && "execute" in copied.end && copied.end.execute === "/bin/cp");
  assert.ok(matching(init, new RegExp(`^openat2\\(${AT.FDCWD}, "/src"`)).length === 1);
});
