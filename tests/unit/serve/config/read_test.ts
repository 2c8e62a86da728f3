import assert from "node:assert/strict";
import { CordonError } from "../../../../lib/errors.ts";
import { defaultConfig, readConfig } from "../../../../lib/serve/config/read.ts";
import { reloaded } from "../../../../lib/serve/config/reload.ts";
import { CONNECTIONS } from "../../../../lib/serve/front/front.ts";

const PATH = "/etc/cordon/serve.toml";
const POLICY = '[policies.default]\nimages = ["host"]\n';

function why(text: string): string {
  try {
    readConfig(text, PATH);
  } catch (error) {
    assert.ok(error instanceof CordonError, String(error));
    assert.equal(error.message, `Cannot use the configuration ${PATH}`);
    return error.why ?? "";
  }
  assert.fail(`it was read: ${text}`);
}

Deno.test("the least configuration has a default for everything", () => {
  const config = readConfig(POLICY, PATH);
  const { policies, tenants, ...rest } = config;
  assert.deepEqual(rest, {
    path: PATH,
    listen: [{ hostname: "127.0.0.1", port: 8377 }],
    socketMode: 0o600,
    hosts: [],
    origins: [],
    auth: true,
    tokens: "/etc/cordon/tokens",
    engine: "auto",
    retentionSeconds: 30 * 86_400,
    queue: 64,
    drainSeconds: 30,
    connections: CONNECTIONS,
    pool: { containers: [] },
  });
  assert.deepEqual(tenants, [{ name: "default", tokens: [], policy: policies[0] }]);
});

Deno.test("everything that can be said", () => {
  const hash = "ab".repeat(32);
  const config = readConfig(
    `
listen = ["0.0.0.0:443", "[::1]:8377", "unix:/run/cordon/serve.sock", "*:80"]
hosts = ["Class.example.org"]
origins = ["https://hub.example.org:443"]
socket_mode = "0660"
tls = { certificate = "tls/cert.pem", key = "/etc/ssl/key.pem" }
tokens = "secret/tokens"
engine = "docker"
docker.host = "unix:///run/podman/podman.sock"
user = "cordon"
state = "/var/lib/cordon"
retention = "90d"
concurrency = 8
queue = 100
drain = 0
connections = { most = 10, per_address = 0, header = 1, body = 2, idle = "3s", stall = 4 }
pool = { containers = { "python:3.12" = 2 } }

[policies.class]
images = ["python:*", "host"]
aliases = { r = "rocker/r-ver:4" }
flags = ["--env", "usual"]
mounts = ["/srv/data/", { path = "/srv/work", write = true }]
user = "1000:1000"
read_only = false
limits = { time = 10, memory = { most = "1G" } }

[tenants.class-1]
policy = "class"
concurrency = 2
queue = 0
rate = "60/min"
tokens = ["sha256:${hash}"]
`,
    PATH,
  );
  assert.deepEqual(config.listen, [
    { hostname: "0.0.0.0", port: 443 },
    { hostname: "::1", port: 8377 },
    { unix: "/run/cordon/serve.sock" },
    { hostname: "0.0.0.0", port: 80 },
  ]);
  assert.equal(config.socketMode, 0o660);
  assert.deepEqual([config.hosts, config.origins], [["class.example.org"], ["https://hub.example.org"]]);
  assert.deepEqual(config.tls, { certificate: "/etc/cordon/tls/cert.pem", key: "/etc/ssl/key.pem" });
  assert.equal(config.tokens, "/etc/cordon/secret/tokens");
  assert.deepEqual([config.drainSeconds, config.retentionSeconds], [0, 90 * 86_400]);
  assert.deepEqual(config.pool, { containers: [{ image: "python:3.12", count: 2 }] });
  const [tenant] = config.tenants;
  assert.deepEqual([tenant!.rate, tenant!.queue, tenant!.concurrency], [{ count: 60, seconds: 60 }, 0, 2]);
  assert.deepEqual(tenant!.tokens, [new Uint8Array(32).fill(0xab)]);
  const { policy } = tenant!;
  assert.deepEqual(policy.mounts, [{ host: "/srv/data", write: false }, { host: "/srv/work", write: true }]);
  assert.deepEqual([policy.containerUser, policy.readOnly], ["1000:1000", false]);
  assert.deepEqual(policy.limits.time, { value: 10, most: 10, configured: true });
  assert.deepEqual(policy.limits.memory, { value: 2 ** 29, most: 2 ** 30, configured: true });
  assert.equal(policy.limits.cpus.configured, false);
});

/** What is wrong, and what is said: always with the line, and the key or column. */
const WRONG: [name: string, text: string, says: RegExp][] = [
  ["no TOML", "listen = [\n1,\nx", /^\/etc\/cordon\/serve\.toml:3:\d+: it is not TOML/],
  ["a key twice", "queue = 1\nqueue = 2", /serve\.toml:2:\d+: it is not TOML/],
  ["no policy", "", /policies: It is missing: wanted a table/],
  ["an empty table of policies", "[policies]", /serve\.toml:1: policies: Wanted at least one policy/],
  [
    "an unknown key",
    POLICY + "imagse = []",
    /serve\.toml:3: policies\.default\.imagse: There is no such key/,
  ],
  ["an unknown key at the top", "que = 1\n" + POLICY, /serve\.toml:1: que: There is no such key/],
  ["a kind", "queue = '1'\n" + POLICY, /serve\.toml:1: queue: Wanted a whole number .* not "1"/],
  ["a fraction", "queue = 1.5\n" + POLICY, /queue: Wanted a whole number/],
  ["a table where a list is", "[listen]\n" + POLICY, /listen: Wanted a list, not \{\}/],
  ["an address", 'listen = "80"\n' + POLICY, /listen\.0: Wanted HOST:PORT/],
  ["a port", 'listen = "localhost:65536"\n' + POLICY, /listen\.0: Wanted HOST:PORT/],
  ["a relative socket", 'listen = "unix:x"\n' + POLICY, /listen\.0: Wanted HOST:PORT/],
  ["a long socket", `listen = "unix:/${"x".repeat(120)}"\n` + POLICY, /listen\.0: Wanted/],
  ["a mode", "socket_mode = 666\n" + POLICY, /socket_mode: Wanted the mode of a file/],
  ["half of TLS", 'tls = { certificate = "x" }\n' + POLICY, /tls\.key: Wanted an absolute path, not nothing/],
  ["a time", 'retention = "forever"\n' + POLICY, /retention: Wanted a time/],
  ["a negative time", "retention = -1\n" + POLICY, /retention: Wanted a time/],
  [
    "no tokens for all the world",
    'auth = false\nlisten = ["127.0.0.1:1", "0.0.0.0:2"]\n' + POLICY,
    /serve\.toml:1: auth: Without tokens it must listen on loopback or a Unix socket only, not on 0\.0\.0\.0/,
  ],
  ["a name", "[policies.Default]\n", /policies\.Default: Wanted a name of lower-case/],
  ["a name of a prototype", POLICY + "[tenants.__proto__]\n", /__proto__/],
  [
    "a tenant's policy",
    POLICY + '[tenants.a]\npolicy = "b"',
    /tenants\.a\.policy: There is no policy b; there is default/,
  ],
  ["no default policy", "[policies.a]\n", /tenants: There is no policy default; there is a/],
  ["an image", '[policies.default]\nimages = ["Python"]', /images\.0: Repository names are in lower case/],
  ["an alias's image", '[policies.default]\naliases = { a = "B" }', /aliases\.a: Repository names/],
  [
    "a flag that is never allowed",
    '[policies.default]\nflags = ["privileged"]',
    /flags\.0: The flag privileged cannot be allowed: It takes all isolation away/,
  ],
  [
    "a flag's other name",
    '[policies.default]\nflags = ["net"]',
    /Wanted network, of which net is another name/,
  ],
  ["a flag that is none", '[policies.default]\nflags = ["gpu"]', /no flag "gpu"\. Did you mean gpus\?/],
  ["values of no flag", '[policies.default]\nvalues = { usr = ["x"] }', /values\.usr/],
  ["the host's network", '[policies.default]\nnetwork = ["host"]', /network\.0: "host" cannot be allowed/],
  ["another container's", '[policies.default]\nnetwork = ["container:x"]', /cannot be allowed/],
  ["a mode of Podman", '[policies.default]\nnetwork = ["slirp4netns"]', /mode of the engine/],
  ["no network at all", "[policies.default]\nnetwork = []", /network: Wanted at least one network/],
  ["a relative mount", '[policies.default]\nmounts = ["data"]', /mounts\.0.*: Wanted/],
  [
    "a mount's key",
    '[policies.default]\nmounts = [{ path = "/a", wirte = true }]',
    /wirte: There is no such key/,
  ],
  [
    "pulls from anywhere",
    '[policies.default]\nimages = ["python:*", "**/python"]\npull = "missing"',
    /images: With pull = "missing" a request could have the engine connect to any host by the pattern \*\*\/python/,
  ],
  ["sandboxes made ahead", "pool = { namespaces = 1 }\n" + POLICY, /pool\.namespaces: There is no such key/],
  [
    "a mount below one that is written",
    '[policies.default]\nmounts = ["/a/b", { path = "/a", write = true }]',
    /mounts: \/a\/b lies in a directory that may be written/,
  ],
  ["a size", '[policies.default]\nlimits = { memory = "much" }', /limits\.memory: Wanted a size/],
  [
    "too small a size",
    '[policies.default]\nlimits = { memory = "1M" }',
    /limits\.memory: Wanted a size.*at least/,
  ],
  [
    "a default above the most",
    '[policies.default]\nlimits = { memory = { default = "2G", most = "1G" } }',
    /limits\.memory: Wanted a default that is not above most/,
  ],
  [
    "a limit's key",
    "[policies.default]\nlimits = { memory = { max = 1 } }",
    /limits\.memory\.max: There is no such key/,
  ],
  ["a rate", POLICY + '[tenants.a]\nrate = "5"', /tenants\.a\.rate: Wanted a rate/],
  [
    "a token instead of its hash",
    POLICY + '[tenants.a]\ntokens = ["secret"]',
    /tenants\.a\.tokens\.0: Wanted "sha256:"/,
  ],
  ["an image to keep ready", 'pool = { containers = { "A" = 1 } }\n' + POLICY, /pool\.containers\.A/],
];

for (const [name, text, says] of WRONG) {
  Deno.test(`refused: ${name}`, () => assert.match(why(text), says));
}

Deno.test("all faults are told at once", () => {
  const told = why("a = 1\nb = 2\nqueue = true\n" + POLICY).split("\n");
  assert.equal(told.length, 3, told.join("\n"));
});

Deno.test("without a file there is a default for everything too", () => {
  const { path, tokens, policies, tenants, auth } = defaultConfig();
  assert.deepEqual([path, tokens, auth], [undefined, undefined, true]);
  assert.deepEqual(tenants, [{ name: "default", tokens: [], policy: policies[0] }]);
});

Deno.test("a running server takes over policies, tenants, tokens and numbers", () => {
  const old = readConfig(POLICY, PATH);
  const next = reloaded(
    old,
    "queue = 5\nconcurrency = 3\nretention = 60\n" + POLICY + "[policies.b]\n[tenants.x]\npolicy = 'b'",
    { path: "/etc/cordon/tokens", text: `x sha256:${"0".repeat(64)} 2026-01-01T00:00:00Z\n` },
  );
  assert.deepEqual([next.queue, next.concurrency, next.retentionSeconds], [5, 3, 60]);
  assert.deepEqual(next.tenants.map(({ name, tokens }) => [name, tokens.length]), [["x", 1]]);
});

Deno.test("a running server refuses whole what takes a start, or is wrong", () => {
  const old = readConfig(POLICY, PATH);
  assert.throws(
    () => reloaded(old, 'listen = "127.0.0.1:1"\nengine = "docker"\nqueue = 5\n' + POLICY),
    (error: CordonError) => /listen, engine take effect at a start only/.test(error.why ?? ""),
  );
  assert.throws(() => reloaded(old, "queue = -1\n" + POLICY), CordonError);
  assert.throws(
    () => reloaded(old, POLICY, { path: "/t", text: "x y" }),
    (error: CordonError) => /\/t:1: wanted TENANT/.test(error.why ?? "") && !error.why!.includes("x y"),
  );
});
