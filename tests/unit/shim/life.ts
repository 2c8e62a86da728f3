/** The life of a simulated init: what happens to it after the target has been born, and what it says about it. */
import assert from "node:assert/strict";
import { SIG } from "../../../ffi/constants.ts";
import type { SandboxPlan } from "../../../lib/shim/programs/sandbox.ts";
import type { Kernel } from "../../helpers/fake_kernel.ts";
import type { Process } from "../../helpers/simulator.ts";
import { bornInit, type Event, links, script, signal, terminal } from "./events.ts";

export const TARGET = 2;

interface Life {
  changes?: Partial<SandboxPlan>;
  kernel?: Kernel;
  /** Statuses of children that wait4 finds, in turn, one SIGCHLD for each list. */
  children?: [pid: number, status: number][][];
  /** Started on a terminal, in its foreground. */
  onTerminal?: boolean;
}

/** The life of init with these events after the target has been born. */
export function live(
  events: (monitor: Process) => Event[],
  { changes, kernel, children = [], onTerminal }: Life = {},
): { init: Process; monitor: Process } {
  const { init, monitor } = bornInit(changes, onTerminal ? terminal({ foreground: 1000 }) : {});
  const queue = children.map((list) => [...list]);
  init.run({
    ...script(events(monitor)),
    wait4(call) {
      assert.deepEqual(
        [call.number(0), call.number(2)],
        [-1, 3],
        "any child, ended or stopped, without waiting",
      );
      const next = queue[0]?.shift();
      if (!next) {
        queue.shift();
        return 0;
      }
      call.put32(1, next[1]);
      return next[0];
    },
    ...kernel,
  });
  return { init, monitor };
}

export const child = signal(SIG.CHLD);

/** The monitor passes a signal on. */
export function word(monitor: Process, number: number, foreground = false): Event {
  const data = new Uint8Array(8);
  data.set([number, Number(foreground)]);
  return { fd: () => links(monitor).control.read, data };
}
export function monitorGone(monitor: Process): Event {
  return { fd: () => links(monitor).control.read };
}

/** What init told the monitor. */
export function reported(
  { init, monitor }: { init: Process; monitor: Process },
): [kind: number, value: number][] {
  return (init.output.get(links(monitor).report.write) ?? []).map((bytes) => {
    const view = new DataView(bytes.buffer);
    assert.equal(bytes.length, 8);
    return [view.getUint32(0, true), view.getUint32(4, true)];
  });
}

/** An ordinary life: set up, target ends with 0. */
export const ordinary = (life: Life = {}) => live(() => [child], { children: [[[TARGET, 0]]], ...life });
