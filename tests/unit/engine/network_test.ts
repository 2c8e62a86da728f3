import assert from "node:assert/strict";
import { type NetworkFacts, planNetwork } from "../../../lib/engine/namespaces/network.ts";
import type { Network, Spec } from "../../../lib/spec/spec.ts";

function spec(network: Network, whole = false): Spec {
  const root = {
    dest: "/",
    source: "/",
    kind: "bind",
    readOnly: false,
    devices: false,
    optional: false,
  } as const;
  return { network, hostname: "node1", mounts: whole ? [root] : [] } as unknown as Spec;
}

const helper = {
  name: "pasta",
  argv: ["/usr/bin/pasta"],
  after: [],
  resolverArgs: ["--dns"],
  resolver: "169.254.255.53",
};
const FACTS: NetworkFacts = {
  resolve: (name) => name === "hub" ? ["10.0.0.5", "2001:db8::5"] : ["127.0.0.1"],
  ownAddresses: () => ["127.0.0.1", "10.0.0.9"],
  hasIpv6: true,
  text: (path) =>
    path === "/etc/hosts" ? "127.0.0.1 localhost\n10.0.0.9 node1 # itself\n10.0.0.5 hub other\n" : undefined,
  helper: () => ({ helper }),
};
const plan = (network: Network, facts: Partial<NetworkFacts> = {}, whole = false) =>
  planNetwork(spec(network, whole), { ...FACTS, ...facts });
const addresses = (p: ReturnType<typeof plan>) =>
  p.outbound?.listeners.map(({ address, port }) => `${address} ${port}`);

Deno.test("nothing allowed and no uplink: nothing to do", () => {
  assert.deepEqual(plan({ mode: "none", allow: [] }), { files: [] });
  assert.deepEqual(plan({ mode: "host", allow: [] }), { files: [] });
});

Deno.test("an allowed name is listened for under all of its addresses, and resolves to them", () => {
  const p = plan({ mode: "none", allow: ["hub:443", "127.0.0.1:8081", "hub:443"] });
  assert.deepEqual(
    addresses(p),
    ["10.0.0.5 443", "2001:db8:0:0:0:0:0:5 443", "127.0.0.1 8081"].map((a) =>
      a.replace("db8:0:0:0:0:0:5", "db8::5")
    ),
  );
  assert.deepEqual(p.outbound!.aliases.map((bytes) => bytes.length), [4, 16]);
  assert.match(p.files[0]!.content, /^10\.0\.0\.5 hub\n/);
  assert.deepEqual(addresses(plan({ mode: "none", allow: ["hub:1"] }, { hasIpv6: false })), ["10.0.0.5 1"]);
});

Deno.test("any address means the loopback; groups of machines and interface-local addresses are refused", () => {
  assert.deepEqual(addresses(plan({ mode: "none", allow: ["0.0.0.0:1", "[::]:1"] })), [
    "127.0.0.1 1",
    "::1 1",
  ]);
  for (const address of ["224.0.0.1", "255.255.255.255", "[ff02::1]", "[fe80::1]"]) {
    assert.throws(
      () => plan({ mode: "none", allow: [`${address}:1`] }),
      /cannot be reached from inside/,
      address,
    );
  }
});

Deno.test("in the user's own file system the machine's name is the loopback, unless it is allowed", () => {
  const [hosts] = plan({ mode: "none", allow: [] }, {}, true).files;
  assert.equal(hosts!.content, "127.0.0.1 node1\n127.0.0.1 localhost\n10.0.0.5 hub other\n");
  const named = plan({ mode: "none", allow: ["node1:8081"] }, { resolve: () => ["10.0.0.9"] }, true)
    .files[0]!;
  assert.equal(named.content, "10.0.0.9 node1\n127.0.0.1 localhost\n10.0.0.5 hub other\n");
});

Deno.test("beside an uplink only the machine's own addresses need a listener", () => {
  const p = plan({ mode: "pasta", allow: ["10.0.0.5:1", "10.0.0.9:2", "127.0.0.1:3"] });
  assert.deepEqual(addresses(p), ["10.0.0.9 2", "127.0.0.1 3"]);
  assert.deepEqual(p.outbound!.helper!.argv, ["/usr/bin/pasta"]);
});

Deno.test("resolvers on the host's loopback are replaced by the uplink's, others are kept", () => {
  const text = (resolv: string) => (path: string) => path === "/etc/resolv.conf" ? resolv : "";
  const stub = plan({ mode: "auto", allow: [] }, {
    text: text("nameserver 127.0.0.53\nsearch example.org\n"),
  }, true);
  assert.equal(
    stub.files.find(({ path }) => path === "/etc/resolv.conf")!.content,
    "nameserver 169.254.255.53\nsearch example.org\n",
  );
  assert.deepEqual(stub.outbound!.helper!.argv, ["/usr/bin/pasta", "--dns"]);
  const real = plan({ mode: "auto", allow: [] }, {
    text: text("nameserver 127.0.0.53\nnameserver 10.0.0.1\n"),
  }, true);
  assert.deepEqual(real.files.map(({ path }) => path), ["/etc/hosts"]);
});

Deno.test("auto without an uplink says so and stays closed", () => {
  const p = plan({ mode: "auto", allow: [] }, { helper: () => ({ note: "no outbound network" }) });
  assert.deepEqual([p.outbound, p.note], [undefined, "no outbound network"]);
});
