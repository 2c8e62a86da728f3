import assert from "node:assert/strict";
import { asInProc, bytesOf, networkOf } from "../../../../lib/serve/front/addresses.ts";

Deno.test("addresses as the kernel prints them", () => {
  assert.equal(asInProc("127.0.0.1"), "0100007F");
  assert.equal(asInProc("::1"), "00000000000000000000000001000000");
  assert.equal(asInProc("::ffff:10.1.2.3"), "0000000000000000FFFF00000302010A");
  assert.equal(asInProc("2001:db8:0:1:2:3:4:5"), "B80D0120010000000300020005000400");
});

Deno.test("addresses as bytes", () => {
  assert.deepEqual(bytesOf("10.1.2.3"), [10, 1, 2, 3]);
  assert.deepEqual(bytesOf("::"), Array(16).fill(0));
  assert.deepEqual(bytesOf("fe80::1"), [0xfe, 0x80, ...Array(13).fill(0), 1]);
});

Deno.test("one client is an IPv4 address or a /64", () => {
  assert.equal(networkOf("::ffff:10.1.2.3"), "10.1.2.3");
  assert.equal(networkOf("2001:db8::1"), networkOf("2001:db8:0:0:ffff::"));
  assert.notEqual(networkOf("2001:db8::1"), networkOf("2001:db8:0:1::1"));
});
