import assert from "node:assert/strict";
import { parseAddress, parseForward, parsePort, substitutePorts } from "../../../lib/portwrap/ports.ts";
import { proxyDestinations } from "../../../lib/portwrap/allow.ts";

Deno.test("a forward: ports, and an address on either side", () => {
  assert.deepEqual(parseForward("-f", "9000:80"), { hostPort: 9000, guestPort: 80 });
  assert.deepEqual(parseForward("-f", "0:80"), { hostPort: 0, guestPort: 80 });
  assert.deepEqual(parseForward("-f", "0.0.0.0:9000:127.0.0.2:80"), {
    hostAddr: "0.0.0.0",
    hostPort: 9000,
    guestAddr: "127.0.0.2",
    guestPort: 80,
  });
  assert.deepEqual(parseForward("-f", "[::1]:9000:[::1]:80"), {
    hostAddr: "::1",
    hostPort: 9000,
    guestAddr: "::1",
    guestPort: 80,
  });
});

Deno.test("what is no forward is refused", () => {
  for (
    const text of [
      "",
      "80",
      "80:",
      ":80",
      "a:80",
      "1:0",
      "65536:1",
      "1:65536",
      "1:2:3",
      "1.2.3.4.5:1:2",
      "999.1.1.1:1:2",
      "1:10.0.0.1:2",
      "1:[::2]:2",
      "::1:1:2",
    ]
  ) {
    assert.throws(() => parseForward("--forward", text), /Cannot use .* for --forward/, text);
  }
});

Deno.test("ports and addresses", () => {
  assert.equal(parsePort("-p", "0", { free: true }), 0);
  for (const text of ["0", "-1", "65536", "1e3", " 80", "0x50", ""]) {
    assert.throws(() => parsePort("-P", text), /Cannot use/);
  }
  assert.equal(parseAddress("--ip", ""), "0.0.0.0");
  assert.equal(parseAddress("--ip", "*"), "0.0.0.0");
  assert.equal(parseAddress("--ip", "localhost"), "127.0.0.1");
  assert.equal(parseAddress("--ip", "[::]"), "::");
  for (const text of ["node", "1.2.3", "1.2.3.256", ":::", "fe80::1%eth0"]) {
    assert.throws(() => parseAddress("--ip", text), /Cannot use/, text);
  }
});

Deno.test("both ports stand in arguments, as often as they are named", () => {
  assert.deepEqual(
    substitutePorts(["a", "--x={guest-port}:{guest-port}", "{host-port}", "{other}"], { host: 1, guest: 2 }),
    ["a", "--x=2:2", "1", "{other}"],
  );
});

Deno.test("--allow proxy: each proxy the environment names, once", () => {
  assert.deepEqual(
    proxyDestinations({
      http_proxy: "http://user:word@proxy.example.org:3128/",
      HTTPS_PROXY: "proxy.example.org:3128",
      ALL_PROXY: "socks5h://other",
    }),
    ["proxy.example.org:3128", "other:1080"],
  );
  assert.throws(() => proxyDestinations({}), /finds no proxy/);
  assert.throws(() => proxyDestinations({ http_proxy: "http://:80" }), /http_proxy names no proxy/);
});
