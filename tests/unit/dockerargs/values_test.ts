import assert from "node:assert/strict";
import {
  canonicalIp,
  parseExtraHost,
  parseMac,
  parseSearchDomain,
} from "../../../lib/dockerargs/addresses.ts";
import { parseCsv } from "../../../lib/dockerargs/csv.ts";
import { isCdiName, parseDevice, parseGpus } from "../../../lib/dockerargs/devices.ts";
import {
  parseAnyInt,
  parseBool,
  parseNanoCpus,
  parseNanoseconds,
  parseRamSize,
  parseSwapSize,
} from "../../../lib/dockerargs/numbers.ts";
import { addPublished, parseExposed, type PortBindings } from "../../../lib/dockerargs/ports.ts";
import { parseMount, parseVolume } from "../../../lib/dockerargs/volumes.ts";
import { UsageError } from "../../../lib/errors.ts";

type Parse = (option: string, text: string) => unknown;

/** Each text with its value; `undefined` means refused. */
function table(name: string, parse: Parse, cases: [string, unknown][]): void {
  Deno.test(name, () => {
    for (const [text, expected] of cases) {
      if (expected !== undefined) assert.deepEqual(parse("--x", text), expected, JSON.stringify(text));
      else assert.throws(() => parse("--x", text), UsageError, JSON.stringify(text));
    }
  });
}

table("booleans are Go's", parseBool, [
  ["1", true],
  ["t", true],
  ["TRUE", true],
  ["0", false],
  ["F", false],
  ["False", false],
  ["yes", undefined],
  ["", undefined],
  ["tRUE", undefined],
]);

table("whole numbers have any base", parseAnyInt, [
  ["12", 12],
  ["-12", -12],
  ["+12", 12],
  ["0", 0],
  ["-0", 0],
  ["0x10", 16],
  ["-0X1f", -31],
  ["010", 8],
  ["0o10", 8],
  ["0b101", 5],
  ["1_000", 1000],
  ["0x_f", 15],
  ["_1", undefined],
  ["1__0", undefined],
  ["1_", undefined],
  ["08", undefined],
  ["0x", undefined],
  ["1.0", undefined],
  ["1e3", undefined],
  [" 1", undefined],
  ["", undefined],
  ["9007199254740993", undefined],
]);

table("sizes have binary units", parseRamSize, [
  ["0", 0],
  ["4096", 4096],
  ["4096b", 4096],
  ["64m", 64 << 20],
  ["64M", 64 << 20],
  ["64mb", 64 << 20],
  ["64MiB", 64 << 20],
  ["64 mb", 64 << 20],
  ["1.5k", 1536],
  ["1e3", 1000],
  [".5k", 512],
  ["0.3", 0],
  ["1p", 2 ** 50],
  ["8192p", undefined],
  ["1e", undefined],
  ["1x", undefined],
  ["1kbi", undefined],
  ["1kk", undefined],
  ["-1", undefined],
  ["", undefined],
  ["m", undefined],
  ["1  m", undefined],
  ["1e400", undefined],
  ["inf", undefined],
]);

table("swap may be unlimited", parseSwapSize, [["-1", -1], ["1k", 1024], ["-2", undefined]]);

table("processors are exact to a billionth", parseNanoCpus, [
  ["1", 1e9],
  ["0.5", 5e8],
  [".5", 5e8],
  ["1.", 1e9],
  ["1e-9", 1],
  ["1.5e1", 15e9],
  ["3/2", 15e8],
  ["-1", -1e9],
  ["0", 0],
  ["1e-10", undefined],
  ["1/3", undefined],
  ["1/0", undefined],
  ["1.5/2", undefined],
  [".", undefined],
  ["", undefined],
  ["1e999", undefined],
  ["0x1", undefined],
]);

table("times are Go's", parseNanoseconds, [
  ["0", 0],
  ["1s", 1e9],
  ["1m30s", 90e9],
  ["1.5h", 5400e9],
  ["300ms", 3e8],
  ["10us", 1e4],
  ["10µs", 1e4],
  [".5s", 5e8],
  ["+1s", 1e9],
  ["1", undefined],
  ["1d", undefined],
  ["-1s", undefined],
  ["s", undefined],
  ["1 s", undefined],
  ["1s ", undefined],
  ["", undefined],
]);

table("records of commas and quotes", parseCsv, [
  ["a,b", ["a", "b"]],
  ["a,,b", ["a", "", "b"]],
  ["a,", ["a", ""]],
  ['"a,b",c', ["a,b", "c"]],
  ['"a ""b""",c', ['a "b"', "c"]],
  ['"a\nb"', ["a\nb"]],
  ["", undefined],
  ['a"b', undefined],
  ['"a', undefined],
  ['"a"b', undefined],
  ["a\nb", undefined],
  ["a\r\nb", undefined],
]);

Deno.test("addresses are brought to one form", () => {
  const cases: [string, string | undefined][] = [
    ["1.2.3.4", "1.2.3.4"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["::1.2.3.4", "::102:304"],
    ["01.2.3.4", undefined],
    ["1.2.3", undefined],
    ["256.1.1.1", undefined],
    ["fe80::1%eth0", undefined],
    ["[::1]", undefined],
    ["::1]/[::1", undefined],
    ["", undefined],
  ];
  for (const [text, expected] of cases) assert.equal(canonicalIp(text), expected, text);
});

table("extra hosts have one form", parseExtraHost, [
  ["a:1.2.3.4", "a:1.2.3.4"],
  ["a=1.2.3.4", "a:1.2.3.4"],
  ["a:::1", "a:::1"],
  ["a=[::1]", "a:::1"],
  ["a:host-gateway", "a:host-gateway"],
  ["a", undefined],
  [":1.2.3.4", undefined],
  ["a:b=1.2.3.4", undefined],
  ["a:x", undefined],
]);

table("search domains", parseSearchDomain, [
  ["example.org", "example.org"],
  ["example.org.", "example.org"],
  [".", "."],
  [" a ", "a"],
  ["1", undefined],
  ["-a", undefined],
  ["a b", undefined],
]);

table("hardware addresses", parseMac, [
  ["92:d0:c6:0a:29:33", "92:d0:c6:0a:29:33"],
  ["92-D0-c6-0a-29-33", "92-D0-c6-0a-29-33"],
  ["92d0.c60a.2933", "92d0.c60a.2933"],
  ["92:d0:c6:0a:29:33:01:02", "92:d0:c6:0a:29:33:01:02"],
  ["92:d0-c6:0a:29:33", undefined],
  ["92:d0:c6:0a:29", undefined],
  ["", undefined],
]);

table("volumes", (option, text) => parseVolume(option, text, "/here"), [
  ["/a:/b", { bind: "/a:/b" }],
  ["/a:/b:ro,z", { bind: "/a:/b:ro,z" }],
  ["name:/b", { bind: "name:/b" }],
  ["/only", { anonymous: "/only" }],
  ["./x:/b", { bind: "/here/x:/b" }],
  [".:/b", { bind: "/here:/b" }],
  ["../x:/b:ro", { bind: "/x:/b:ro" }],
  ["c:/b", { anonymous: "c:/b" }],
  ["/a:c:/b", { bind: "/a:c:/b" }],
  ["", undefined],
  ["/a:", undefined],
  [":/b", undefined],
  ["/a::ro", undefined],
  ["/a:/b:ro:x", undefined],
]);

Deno.test("a bind in disguise as a volume keeps its disguise for all to see", () => {
  const text =
    "type=volume,dst=/b,volume-driver=local,volume-opt=type=none,volume-opt=device=/,volume-opt=o=bind";
  assert.deepEqual(parseMount("--mount", text, "/"), {
    Type: "volume",
    Target: "/b",
    VolumeOptions: { DriverConfig: { Name: "local", Options: { type: "none", device: "/", o: "bind" } } },
  });
});

Deno.test("names of fields that objects have by themselves are names like others", () => {
  const { VolumeOptions } = parseMount(
    "--mount",
    "dst=/b,volume-label=__proto__=x,volume-opt=constructor=y",
    "/",
  );
  assert.deepEqual(Object.entries(VolumeOptions!.Labels!), [["__proto__", "x"]]);
  assert.deepEqual(Object.entries(VolumeOptions!.DriverConfig!.Options!), [["constructor", "y"]]);
});

table("exposed ports", parseExposed, [
  ["80", ["80/tcp"]],
  ["80-82/udp", ["80/udp", "81/udp", "82/udp"]],
  ["0", ["0/tcp"]],
  ["82-80", undefined],
  ["65536", undefined],
  ["1:2", undefined],
  ["", undefined],
]);

function published(text: string): PortBindings {
  const bindings: PortBindings = {};
  addPublished(bindings, "-p", text);
  return bindings;
}

table("published ports", (_option, text) => published(text), [
  ["80", { "80/tcp": [{ HostIp: "", HostPort: "" }] }],
  ["8080:80/UDP", { "80/udp": [{ HostIp: "", HostPort: "8080" }] }],
  ["127.0.0.1::80", { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] }],
  ["[::1]:1:80", { "80/tcp": [{ HostIp: "::1", HostPort: "1" }] }],
  ["1-3:80", { "80/tcp": [{ HostIp: "", HostPort: "1-3" }] }],
  ["1-2:80-81", {
    "80/tcp": [{ HostIp: "", HostPort: "1" }],
    "81/tcp": [{ HostIp: "", HostPort: "2" }],
  }],
  ["published=1,target=80,protocol=sctp", { "80/sctp": [{ HostIp: "", HostPort: "1" }] }],
  ["1-3:80-81", undefined],
  ["80/x", undefined],
  ["host:1:80", undefined],
  ["80:", undefined],
  ["", undefined],
  ["=1", undefined],
]);

table("devices", parseDevice, [
  ["/dev/x", { PathOnHost: "/dev/x", PathInContainer: "/dev/x", CgroupPermissions: "rwm" }],
  ["/dev/x:r", { PathOnHost: "/dev/x", PathInContainer: "/dev/x", CgroupPermissions: "r" }],
  ["/dev/x:/dev/y", { PathOnHost: "/dev/x", PathInContainer: "/dev/y", CgroupPermissions: "rwm" }],
  ["/dev/x:/dev/y:rw", { PathOnHost: "/dev/x", PathInContainer: "/dev/y", CgroupPermissions: "rw" }],
  ["/dev/./x/", { PathOnHost: "/dev/x", PathInContainer: "/dev/x", CgroupPermissions: "rwm" }],
  ["x", undefined],
  ["/dev/x:rr", undefined],
  ["/dev/x:/dev/y:", undefined],
  ["/dev/x:/dev/y:z", undefined],
  ["a:b:c:d", undefined],
]);

Deno.test("names of the Container Device Interface", () => {
  assert.ok(isCdiName("vendor.com/class=name"));
  for (const text of ["/dev/x", "a=b", "vendor/class=", "vendor/=x", "1a/b=c"]) {
    assert.ok(!isCdiName(text), text);
  }
});

const GPU = { Capabilities: [["gpu"]] };
table("gpus", parseGpus, [
  ["all", { ...GPU, Count: -1 }],
  ["2", { ...GPU, Count: 2 }],
  ["device=0", { ...GPU, DeviceIDs: ["0"] }],
  ['"device=0,2"', { ...GPU, DeviceIDs: ["0", "2"] }],
  ["driver=x", { ...GPU, Driver: "x", Count: 1 }],
  ["all,capabilities=utility", { Count: -1, Capabilities: [["utility", "gpu"]] }],
  ["all,all", undefined],
  ["x", undefined],
  ["key=1", undefined],
]);
