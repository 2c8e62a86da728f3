/**
 * Whether somebody listens inside yet. Callers of a listener whose target is absent stay in its queue; the acceptor alone
 * looks for the target. A process that waits for each caller would do so hundreds of times a second, and a client whose
 * heartbeat is not answered calls again every second.
 */
import { POLL, SOCK } from "../../../ffi/constants.ts";
import type { Address, Program, Slot } from "../program.ts";
import { connectTo, type Names } from "./relay_name.ts";

/** The first pause between two looks; each is longer than the last by a 64th, up to the last. */
const FIRST_NS = 2_000_000, LAST_NS = 50_000_000;

export interface Looking extends Names {
  /** Records of 64 bytes as relay.ts lays them out. */
  table: Address;
  /** struct pollfd of each listener; its descriptor is -1 as long as its target is absent. */
  listeners: Address;
  count: number;
  /** Descriptor of the first listener. */
  first: number;
  /** How many targets are absent. */
  absent: Slot;
}

export interface Pause {
  /** struct timespec for ppoll(2), which leaves there what was left of it. */
  patience: Address;
  length: Slot;
}

export function pause(p: Program): Pause {
  return { patience: p.words(0, 0), length: p.slot(FIRST_NS) };
}

/** Appends: make ready for one more pause, a little longer than the one before. */
export function lengthen(p: Program, { patience, length }: Pause): void {
  const more = p.slot();
  p.set(patience.cell(0), 0);
  p.set(patience.cell(8), length);
  p.shr(more, length, 6);
  p.if([length, "<", LAST_NS], () => p.add(length, length, more));
}

/** Appends: look once for every absent target, and watch the listeners of those that are there. */
export function look(p: Program, { table, listeners, count, first, absent, guarded }: Looking): void {
  const i = p.slot(), at = p.slot(), entry = p.slot(), record = p.slot(), socket = p.slot();
  p.set(i, 0);
  p.loop((done, again) => {
    const next = p.label("next"), there = p.label("there");
    p.when([i, ">=", count], done);
    p.shl(at, i, 3);
    p.add(at, at, listeners);
    p.load(entry, at);
    p.and(entry, entry, 0xffffffff);
    p.when([entry, "!=", 0xffffffff], next);
    p.shl(record, i, 6);
    p.add(record, record, table);
    for (const offset of [8, 32]) { // two names of 24 bytes behind the flag
      const family = p.slot(), address = p.slot(), length = p.slot(), other = p.label("other name");
      [family, address, length].forEach((slot, field) => {
        p.add(entry, record, offset + 8 * field);
        p.load(slot, entry);
      });
      p.sys("socket", [family, SOCK.STREAM | SOCK.CLOEXEC, 0], { into: socket, fail: next });
      connectTo(p, socket, { name: { family, address, length }, guarded, fail: other });
      p.goto(there);
      p.place(other);
      p.sys("close", [socket]);
    }
    p.goto(next);
    p.place(there);
    p.sys("close", [socket]);
    p.add(entry, i, BigInt(first) + (BigInt(POLL.IN) << 32n));
    p.store(at, entry);
    p.sub(absent, absent, 1);
    p.place(next);
    p.add(i, i, 1);
    p.goto(again);
  });
}
