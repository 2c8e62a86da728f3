/** The output of the execution that is followed. */
import { at, element } from "./dom.js";

/** Characters of output that are shown; the first ones go. */
const MOST_SHOWN = 200_000;

/** Terminal control is taken out, also where it comes in two pieces; what is left is text. */
class Plain {
  #held = "";

  // deno-lint-ignore no-control-regex
  static #WHOLE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\`-~])/g;
  // deno-lint-ignore no-control-regex
  static #BEGUN = /\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)$/;

  of(text) {
    const all = this.#held + text;
    const begun = all.slice(-4096).match(Plain.#BEGUN)?.[0] ?? "";
    this.#held = begun || (all.endsWith("\r") ? "\r" : "");
    return all.slice(0, all.length - this.#held.length)
      .replace(Plain.#WHOLE, "")
      .replace(/\r\n?/g, "\n")
      // deno-lint-ignore no-control-regex
      .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");
  }
}

/** What an execution writes, in the place of what was shown before. */
export class Shown {
  #plain = { stdout: new Plain(), stderr: new Plain() };
  #length = 0;

  constructor() {
    at("output").replaceChildren();
  }

  add(stream, text) {
    const output = at("output");
    const follows = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
    const plain = this.#plain[stream].of(text);
    if (plain === "") return;
    output.append(element("span", { className: stream, textContent: plain }));
    this.#length += plain.length;
    while (this.#length > MOST_SHOWN && output.childNodes.length > 1) {
      this.#length -= output.firstChild.textContent.length;
      output.firstChild.remove();
    }
    if (follows) output.scrollTop = output.scrollHeight;
  }
}
