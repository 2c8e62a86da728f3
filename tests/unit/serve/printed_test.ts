import assert from "node:assert/strict";
import { Outgoing } from "../../../lib/serve/outgoing.ts";
import { jsonParts, Printed } from "../../../lib/serve/printed.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** In pieces that end in the middle of characters. */
function pieces(whole: Uint8Array, size: number): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let at = 0; at < whole.length; at += size) all.push(whole.subarray(at, at + size));
  return all;
}

const NASTY = `"quoted" \\ \n\0\u2028 é€😀 `.repeat(9);

Deno.test("in parts it is the same document as at once, however the pieces are cut", () => {
  for (const size of [1, 2, 3, 5, 1000]) {
    for (const encoding of ["text", "base64"] as const) {
      const stdout = new Printed(pieces(bytes(NASTY), size), { encoding });
      const stderr = new Printed([], { encoding, remark: 'cordon: "so"\n' });
      const value = { id: 1, stdout, left: undefined, stderr, last: [null] };
      const whole = [...jsonParts(value)].join("");
      assert.equal(whole, JSON.stringify(value));
      const told = JSON.parse(whole);
      const expected = encoding === "text" ? NASTY : btoa(String.fromCharCode(...bytes(NASTY)));
      assert.deepEqual(told, { id: 1, stdout: expected, stderr: 'cordon: "so"\n', last: [null] });
    }
  }
  assert.equal([...jsonParts({})].join(""), "{}");
});

Deno.test("what is no UTF-8 becomes U+FFFD, also at the end", () => {
  const printed = new Printed([new Uint8Array([0x61, 0xff]), new Uint8Array([0xe2, 0x82])], {
    encoding: "text",
  });
  assert.equal(printed.toJSON(), "a\ufffd\ufffd");
});

Deno.test("a response is the same whether it comes at once or in parts", async () => {
  for (const count of [1, 100_000]) {
    const printed = new Printed(pieces(bytes("é".repeat(count)), 4097), { encoding: "text" });
    const response = new Outgoing().json({ stdout: printed, exit_code: 0 }, {
      tenant: "t",
      request: new Request("http://localhost/"),
      headers: { "x-more": "1" },
    });
    assert.equal(response.headers.get("content-type"), "application/json");
    assert.equal(response.headers.get("x-more"), "1");
    assert.deepEqual(await response.json(), { stdout: "é".repeat(count), exit_code: 0 });
  }
});
