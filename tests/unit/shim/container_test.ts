/** A kernel in a container, simulated: its launcher, its pid 1, and the keeper. */
import assert from "node:assert/strict";
import { POLL, SIG } from "../../../ffi/constants.ts";
import { writeImage } from "../../../lib/shim/image.ts";
import { containerProgram } from "../../../lib/shim/programs/container.ts";
import {
  containerInit,
  type ContainerInitPlan,
  ENDED,
  GO,
} from "../../../lib/shim/programs/container_init.ts";
import { keeperProgram } from "../../../lib/shim/programs/keeper.ts";
import type { Call, Kernel } from "../../helpers/fake_kernel.ts";
import { load, type Process } from "../../helpers/simulator.ts";
import { type Event, script, signal, timer } from "./events.ts";

const STREAM = 20, KEEPER = 21, DOOR = 22, VISITOR = 23, DIRECTORY = 24, TOLD = 91, PARENT = 500;
const ECHILD = -10, EAGAIN = -11, EPIPE = -32;
const encoder = new TextEncoder();

/** A frame as the engine sends it. */
function frame(stream: 1 | 2, text: string): Uint8Array<ArrayBuffer> {
  const payload = encoder.encode(text);
  const bytes = new Uint8Array(8 + payload.length);
  bytes[0] = stream;
  new DataView(bytes.buffer).setUint32(4, payload.length);
  bytes.set(payload, 8);
  return bytes;
}

function together(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function chunk(data?: Uint8Array): Event {
  return data ? { fd: () => STREAM, data } : { fd: () => STREAM };
}

const parentGone: Event = { fd: (by) => Number(by.named("pidfd_open")[0]?.result), data: new Uint8Array() };

/** `ppoll` of a wait for room, which watches three things, the last one a descriptor to write to. */
const forRoom = (call: Call) => Number(BigInt.asIntN(32, call.word(0, 16))) < 3;

function thereIsRoom(call: Call): number {
  for (const [i, events] of [0, 0, POLL.OUT].entries()) call.put(0, Uint8Array.of(events, 0), 8 * i + 6);
  return 1;
}

/** There is always room for output. */
function room({ ppoll, read }: Kernel): Kernel {
  return { ppoll: (call) => forRoom(call) ? thereIsRoom(call) : ppoll!(call), read: read! };
}

/** Pid 1 comes to the door, and brings its directory. */
function visited({ ppoll, ...kernel }: Kernel): Kernel {
  return {
    accept4: (call) => (assert.equal(call.number(0), DOOR), VISITOR),
    recvmsg: (call) => {
      assert.equal(call.number(0), TOLD);
      const control = call.word(1, 32);
      call.process.memory.put(control + 16n, new Uint8Array(Uint32Array.of(DIRECTORY).buffer));
      return 1;
    },
    ...kernel,
    ppoll: (call) => {
      if (Number(BigInt.asIntN(32, call.word(0))) !== DOOR) return ppoll!(call);
      call.put(0, Uint8Array.of(POLL.IN, 0), 6);
      return 1;
    },
  };
}

/** The launcher with what happens to it, run to its end. */
function launcher(
  events: Event[],
  { early = new Uint8Array(), kernel = {} as Kernel, comes = true } = {},
): Process {
  const program = containerProgram({
    arch: "x86_64",
    oldKernel: false,
    streamFd: STREAM,
    early,
    relay: { forwards: [], most: 8 },
    doorFd: DOOR,
    waitedFor: true,
    finish: ["/cordon", "kernel", "end", "name"],
    keeperFd: KEEPER,
    env: ["A=b"],
    endWithParent: PARENT,
  });
  const whole = { getppid: () => PARENT, ...room(script(events)), ...kernel };
  return load(writeImage(program)).run(comes ? visited(whole) : whole);
}

const FINISHED = { execute: "/cordon", argv: ["/cordon", "kernel", "end", "name"], env: ["A=b"] };

Deno.test("the launcher copies both streams, wherever a read ends in a frame", () => {
  const whole = together(
    ...[frame(1, "one "), frame(2, "wrong"), frame(1, ""), frame(1, "two"), frame(2, " again")],
  );
  for (let size = 1; size <= whole.length; size++) {
    const chunks: Event[] = [];
    for (let at = 0; at < whole.length; at += size) chunks.push(chunk(whole.subarray(at, at + size)));
    const process = launcher([...chunks, chunk()]);
    assert.deepEqual(
      [process.written(1), process.written(2)],
      ["one two", "wrong again"],
      `${size} at a time`,
    );
    assert.deepEqual(process.end, FINISHED);
  }
});

Deno.test("what came with the answer to the attach is copied first", () => {
  const whole = frame(2, "early");
  for (let size = 0; size <= whole.length; size++) {
    const process = launcher(
      [chunk(whole.subarray(size)), chunk(frame(2, "!")), chunk()].slice(size < whole.length ? 0 : 1),
      {
        early: whole.slice(0, size),
      },
    );
    assert.equal(process.written(2), "early!");
  }
});

Deno.test("a reader that is slow is waited for, one that has gone is not, and signals pass meanwhile", () => {
  const trying = (answers: number[], { interrupted = false } = {}): Process => {
    const events = [chunk(frame(1, "abc")), ...(interrupted ? [signal(SIG.INT)] : []), chunk()];
    const { ppoll, read } = script(events);
    let waits = 0;
    return launcher([], {
      kernel: {
        ppoll: (call) => forRoom(call) && !(interrupted && waits++ === 0) ? thereIsRoom(call) : ppoll!(call),
        read: read!,
        write: (call) => call.number(0) === 1 && answers.length > 0 ? answers.shift()! : call.number(2),
      },
    });
  };
  const output = (process: Process) =>
    process.named("write").map((call) => [call.number(0), call.number(2), Number(call.result)]);
  const go = [STREAM, 1, 1];
  assert.deepEqual(
    output(trying([EAGAIN, 1, EAGAIN, 2])),
    [go, [1, 3, EAGAIN], [1, 3, 1], [1, 2, EAGAIN], [1, 2, 2]],
  );
  assert.deepEqual(output(trying([EPIPE])), [go, [1, 3, EPIPE]]);
  assert.deepEqual(output(trying([], { interrupted: true })), [go, [STREAM, 1, 1], [1, 3, 3]]);
  assert.deepEqual(trying([EPIPE]).end, FINISHED);
});

Deno.test("each signal is one byte for pid 1 inside; a child's end is nobody's business", () => {
  const process = launcher([signal(SIG.INT), signal(SIG.CHLD), signal(SIG.TERM), chunk()]);
  assert.equal(process.written(STREAM), String.fromCharCode(GO, SIG.INT, SIG.TERM));
});

Deno.test("pid 1 is let in once, and its connection kept for what finishes; the relay has its directory alone", () => {
  const process = launcher([chunk()]);
  const closed = process.named("close").map((call) => call.number(0));
  for (const fd of [DOOR, VISITOR, DIRECTORY]) assert.ok(closed.includes(fd), `${fd}`);
  assert.ok(!closed.includes(TOLD));
  const kept = process.named("dup3").find((call) => call.number(0) === VISITOR)!;
  assert.deepEqual([kept.number(1), kept.number(2)], [TOLD, 0]);
  const at = (name: string) => process.calls.findIndex((call) => call.name === name);
  assert.ok(at("recvmsg") < at("clone"), "the relay starts with the directory");
});

Deno.test("a container whose pid 1 does not come is told of, and a parent that ends is not waited for", () => {
  const said = launcher([chunk(frame(2, "no such program")), chunk(frame(2, "!")), chunk()], {
    comes: false,
  });
  assert.equal(said.written(2), "no such program!");
  assert.deepEqual([said.end, said.children.length], [FINISHED, 0]);
  const orphan = launcher([parentGone], { comes: false });
  assert.deepEqual([orphan.end, orphan.children.length], [FINISHED, 0]);
});

Deno.test("the parent's end closes the stream; the line to the keeper stays open into what finishes", () => {
  const process = launcher([parentGone]);
  assert.deepEqual(process.end, FINISHED);
  const closed = process.named("close").map((call) => call.number(0));
  assert.ok(closed.includes(STREAM) && closed.includes(KEEPER) && !closed.includes(90));
  const kept = process.named("dup3").find((call) => call.number(0) === KEEPER)!;
  assert.deepEqual([kept.number(1), kept.number(2)], [90, 0]);
});

/** Pid 1 of the container with what happens to it; `ends` are children that have ended, in turn. */
function init(
  events: Event[],
  {
    ends = [] as [pid: number, status: number][],
    plan = {} as Partial<ContainerInitPlan>,
    kernel = {} as Kernel,
  } = {},
): Process {
  const program = containerInit({
    arch: "x86_64",
    command: ["kernel", "-f", "x"],
    env: ["A=b"],
    path: ["/bin"],
    door: "/run/door",
    waits: true,
    directory: "/run/sockets",
    files: [{ path: "/run/sockets/file", content: "text" }],
    ports: [],
    rlimits: [],
    ...plan,
  });
  const left = [...ends];
  return load(writeImage(program)).run({
    ...script([go, ...events]),
    getrusage: (call) => USED.forEach((value, i) => call.put64(1, value, 8 * i)),
    wait4: (call) => {
      const [pid, status] = left.shift() ?? [0, 0];
      call.put32(1, status);
      return pid;
    },
    openat: (call) => call.text(1).startsWith("/sys/") ? -2 : 50,
    ...kernel,
  });
}

const child = signal(SIG.CHLD);
const KERNEL_PID = 1001;
const line = (data?: Uint8Array): Event => data ? { fd: () => 0, data } : { fd: () => 0 };
const go = line(Uint8Array.of(GO));
const USED = [1, 500_000, 0, 250_000, 4096];

/** What it told the launcher. */
function told(process: Process): number[] {
  const door = Number(process.named("socket")[0]!.result);
  const bytes = together(...process.output.get(door) ?? []);
  return Array.from(new BigInt64Array(bytes.buffer), Number);
}

Deno.test("pid 1 ends as the kernel ended, whatever else it reaps", () => {
  const statuses: [status: number, exit: number][] = [[0, 0], [3 << 8, 3], [255 << 8, 255], [9, 137], [
    0x80 | 11,
    139,
  ]];
  for (const [status, exit] of statuses) {
    const process = init([child, child], { ends: [[77, 0], [0, 0], [78, 9], [KERNEL_PID, status]] });
    assert.deepEqual(process.end, { exit });
    assert.equal(process.children[0]!.pid, KERNEL_PID);
  }
});

Deno.test("bytes on its line are signals for the kernel's group, its end is the end of all", () => {
  const process = init([line(Uint8Array.of(SIG.INT)), line(Uint8Array.of(SIG.TERM)), line()]);
  const kills = process.named("kill").map((call) => [call.number(0), call.number(1)]);
  assert.deepEqual(kills, [[-KERNEL_PID, SIG.INT], [-KERNEL_PID, SIG.TERM]]);
  assert.deepEqual(process.end, { exit: 137 });
});

Deno.test("it hands over the directory, and starts the kernel when it is told to", () => {
  const { lines, end, children } = init([line()]);
  const at = (pattern: RegExp) => lines.findIndex((call) => pattern.test(call));
  const order = [
    /"\/run\/sockets\/file"/,
    /^write\(50, "text", 4\)/,
    /^connect\(/,
    /^sendmsg\(/,
    /^read\(0,/,
    /^clone\(/,
  ]
    .map(at);
  assert.deepEqual(order, order.toSorted((a, b) => a - b), lines.join("\n"));
  assert.ok(!order.includes(-1), lines.join("\n"));
  assert.deepEqual([end, children.length], [{ exit: 137 }, 1]);
  const never = init([], { kernel: { read: () => 0 } });
  assert.deepEqual([never.end, never.children.length], [{ exit: 137 }, 0]);
  const { ppoll, read } = script([line()]);
  const atOnce = init([], { plan: { waits: false }, kernel: { ppoll: ppoll!, read: read! } });
  assert.deepEqual([atOnce.end, atOnce.children.length], [{ exit: 137 }, 1]);
});

Deno.test("it is undumpable and unprivileged before there is a kernel", () => {
  const { lines } = init([line()]);
  const born = lines.findIndex((call) => call.startsWith("clone"));
  for (const [option, value] of [[38, 1], [4, 0]]) {
    const at = lines.findIndex((call) =>
      call.startsWith(`prctl(${option}, ${value}`) || call === `prctl(${option})`
    );
    assert.ok(at >= 0 && at < born, `prctl ${option}`);
  }
});

Deno.test("a kernel of ports gets sockets and their relay before it is started", () => {
  const ports = [{ path: "/run/kernel-1", port: 5001 }, { path: "/run/kernel-2", port: 5002 }];
  const { lines, children } = init([line()], { plan: { ports } });
  const at = (pattern: RegExp) => lines.findIndex((call) => pattern.test(call));
  assert.equal(lines.filter((call) => call.startsWith("listen(")).length, ports.length);
  assert.equal(children.length, 2);
  assert.ok(at(/^listen\(/) < at(/^clone\(/), lines.join("\n"));
});

Deno.test("the time limit leaves word and ends all, and what they used is told", () => {
  const left = [77, KERNEL_PID];
  const process = init([timer], {
    plan: { wallSeconds: 1.5 },
    kernel: { wait4: () => left.shift() ?? ECHILD },
  });
  assert.deepEqual(process.end, { exit: 124 });
  assert.deepEqual(process.named("kill").map((call) => call.line), ["kill(-1, 9)"]);
  assert.deepEqual(left, []);
  assert.deepEqual(told(process), [ENDED.timeout, ...USED]);
});

Deno.test("a kernel that was killed leaves word when memory had run out, and only then", () => {
  const events = ["low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n", "low 0\noom 0\noom_kill 0\n", undefined];
  for (const [i, text] of events.entries()) {
    for (const [file, other] of [["memory.events", "oom_control"], ["oom_control", "memory.events"]]) {
      let open = "";
      const happen = script([go, child]);
      const process = init([], {
        ends: [[KERNEL_PID, 9]],
        kernel: {
          ppoll: happen.ppoll!,
          openat: (call) => {
            open = call.text(1);
            return open.endsWith(other!) || (open.endsWith(file!) && text === undefined) ? -2 : 50;
          },
          read: (call) => {
            if (call.number(0) !== 50) return happen.read!(call) as number;
            call.put(1, encoder.encode(text));
            return text!.length;
          },
        },
      });
      assert.deepEqual(process.end, { exit: 137 });
      assert.deepEqual(told(process), [i === 0 ? ENDED.memory : ENDED.byItself, ...USED], `${file}: ${text}`);
    }
  }
});

/** The keeper with what it is told before the launcher ends. */
function keeper(...told: string[]): Process {
  const program = keeperProgram({
    arch: "x86_64",
    oldKernel: false,
    line: { read: 8, write: 9 },
    reap: ["/cordon", "end"],
    reapLater: ["/cordon", "end", "--awaited"],
    env: [],
  });
  const words = [...told];
  return load(writeImage(program)).run({
    read: (call) => {
      assert.equal(call.number(0), 8);
      const word = words.shift();
      if (word === undefined) return 0;
      call.put(1, encoder.encode(word));
      return 1;
    },
  });
}

Deno.test("the keeper removes what there is, waits for what is being made, and goes when nothing is left", () => {
  const reap = { execute: "/cordon", argv: ["/cordon", "end"], env: [] };
  assert.deepEqual(keeper().end, reap);
  assert.deepEqual(keeper("a").end, { ...reap, argv: ["/cordon", "end", "--awaited"] });
  assert.deepEqual(keeper("a", "c").end, reap);
  assert.deepEqual(keeper("a", "c", "q").end, { exit: 0 });
  const { lines } = keeper("q");
  assert.ok(lines[0]!.startsWith("rt_sigprocmask"), lines[0]);
  assert.ok(lines.some((call) => call.startsWith("close(9")), "its own copy of the launcher's end");
});
