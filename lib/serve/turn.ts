/** The end of a turn of the event loop. */
import { nextTick } from "node:process";

/**
 * Calls back, in the order of the calls, when all that this turn made ready has run. setImmediate does so a timer's
 * resolution later here, which is a millisecond: longer than a transaction of the record takes.
 */
export function afterTurn(callback: () => void): void {
  nextTick(callback);
}
