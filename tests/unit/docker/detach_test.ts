import assert from "node:assert/strict";
import { DEFAULT_DETACH_KEYS, DetachWatch, parseDetachKeys } from "../../../lib/docker/detach.ts";
import { proxyVariables } from "../../../lib/docker/proxies.ts";
import { UsageError } from "../../../lib/errors.ts";

/** What goes on of keys typed one piece after the other; `!` where the sequence was completed. */
function passed(keys: Uint8Array, ...pieces: number[][]): string {
  const watch = new DetachWatch(keys);
  return pieces.map((piece) => {
    const { bytes, detached } = watch.pass(Uint8Array.from(piece));
    return bytes.join(",") + (detached ? "!" : "");
  }).join(" ");
}

Deno.test("keys are characters and controls", () => {
  assert.deepEqual(parseDetachKeys("--detach-keys", "ctrl-p,ctrl-q"), DEFAULT_DETACH_KEYS);
  assert.deepEqual([...parseDetachKeys("--detach-keys", "a,ctrl-@,ctrl-[,ctrl-_")], [97, 0, 27, 31]);
  for (const text of ["", "ab", "ctrl-", "ctrl-1", "a,,b", "ä"]) {
    assert.throws(() => parseDetachKeys("--detach-keys", text), UsageError, text);
  }
});

Deno.test("a sequence detaches however it is cut, and a beginning of one is held until it is none", () => {
  const keys = Uint8Array.of(16, 17);
  assert.equal(passed(keys, [1, 16, 17, 2]), "1!");
  assert.equal(passed(keys, [16], [17]), " !");
  assert.equal(passed(keys, [16], [2]), " 16,2");
  assert.equal(passed(keys, [16, 16, 17]), "16!");
  assert.equal(passed(keys, [16, 16], [3]), "16 16,3");
  assert.equal(passed(keys, [17, 16, 1]), "17,16,1");
  assert.equal(passed(Uint8Array.of(5), [4, 5]), "4!");
});

Deno.test("proxies are those of the engine, else the default ones", () => {
  const proxies = {
    default: { httpProxy: "d", noProxy: "n" },
    "unix:///x.sock": { httpsProxy: "s", allProxy: "" },
  };
  assert.deepEqual(proxyVariables({ proxies }, "tcp://h:1"), {
    HTTP_PROXY: "d",
    http_proxy: "d",
    NO_PROXY: "n",
    no_proxy: "n",
  });
  assert.deepEqual(proxyVariables({ proxies }, "unix:///x.sock"), { HTTPS_PROXY: "s", https_proxy: "s" });
  assert.deepEqual(proxyVariables({}, "x"), {});
  assert.deepEqual(proxyVariables({ proxies: { default: { httpProxy: 1 } } }, "x"), {});
});
