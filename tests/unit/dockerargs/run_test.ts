import assert from "node:assert/strict";
import { parseRun, type RunFacts } from "../../../lib/dockerargs/run.ts";
import { CordonError, UsageError } from "../../../lib/errors.ts";

const FACTS: RunFacts = {
  cwd: "/here",
  env: { TOKEN: "secret" },
  readFile: (path) => {
    throw new Error(`${path} was read`);
  },
};

function parse(argv: string[], facts: Partial<RunFacts> = {}) {
  return parseRun(argv, { ...FACTS, ...facts });
}

function file(text: string): Partial<RunFacts> {
  return { readFile: () => new TextEncoder().encode(text) };
}

Deno.test("only what was asked for is in the request", () => {
  assert.deepEqual(parse(["img", "true"]), {
    image: "img",
    command: ["true"],
    config: { Image: "img", Cmd: ["true"], AttachStdout: true, AttachStderr: true, HostConfig: {} },
    client: {
      detach: false,
      rm: false,
      pull: "missing",
      quiet: false,
      attach: ["stdout", "stderr"],
      interactive: false,
      tty: false,
      sigProxy: true,
    },
    flags: [],
  });
});

Deno.test("flags are told once each, aliases by the flag they stand for", () => {
  assert.deepEqual(parse(["--net", "none", "-e", "A=1", "-eB=2", "img"]).flags, ["network", "env"]);
});

Deno.test("an image is needed, and must be a name or an id", () => {
  for (const argv of [[], ["--rm"], ["-e", "img"], [""], ["IMG"], ["--", "-x"], ["img:"]]) {
    assert.throws(() => parse(argv), UsageError, argv.join(" "));
  }
  assert.equal(parse(["a".repeat(64)]).image, "a".repeat(64));
});

Deno.test("interactive keeps stdin, detached carries nothing", () => {
  const { config, client } = parse(["-it", "img"]);
  assert.deepEqual(client.attach, ["stdin", "stdout", "stderr"]);
  assert.deepEqual([config.OpenStdin, config.StdinOnce, config.Tty], [true, true, true]);
  const detached = parse(["-di", "img"]);
  assert.deepEqual(detached.client.attach, []);
  assert.deepEqual([detached.config.OpenStdin, detached.config.StdinOnce], [true, undefined]);
  assert.deepEqual(parse(["-a", "STDERR", "img"]).client.attach, ["stderr"]);
});

Deno.test("the last of a single flag counts, and the earlier ones are checked too", () => {
  assert.deepEqual(parse(["-m", "1k", "-m", "2k", "img"]).config.HostConfig, { Memory: 2048 });
  assert.deepEqual(parse(["--rm", "--rm=false", "img"]).config.HostConfig, {});
  assert.throws(() => parse(["-m", "x", "-m", "2k", "img"]), /Cannot use "x" for -m/);
});

Deno.test("what means something when it is 0, false or empty stays", () => {
  const argv = ["--memory-swappiness", "0", "--init=false", "--stop-timeout", "0", "--entrypoint", ""];
  const { config } = parse([...argv, "--security-opt", "systempaths=unconfined", "img"]);
  assert.deepEqual(config.HostConfig, {
    MemorySwappiness: 0,
    Init: false,
    MaskedPaths: [],
    ReadonlyPaths: [],
  });
  assert.deepEqual([config["StopTimeout"], config.Entrypoint], [0, [""]]);
});

Deno.test("variables: files first, then proxies, then -e; the caller's are taken by name alone", () => {
  const argv = ["--env-file", "f", "-e", "TOKEN", "-e", "NONE", "-e", "HTTP_PROXY=mine", "img"];
  const { config } = parse(argv, {
    ...file("A=1\nTOKEN\nNONE\n"),
    proxies: { HTTP_PROXY: "p", no_proxy: "n" },
  });
  assert.deepEqual(config.Env, [
    "A=1",
    "TOKEN=secret",
    "HTTP_PROXY=mine",
    "no_proxy=n",
    "TOKEN=secret",
    "NONE",
  ]);
  assert.deepEqual(parse(["-e", "TOKEN", "img"], { env: {} }).config.Env, ["TOKEN"]);
  assert.deepEqual(parse(["-e", "constructor", "img"]).config.Env, ["constructor"]);
});

Deno.test("files are read through the reader, whose refusal is told", () => {
  for (const argv of [["--env-file", "f"], ["--label-file", "f"], ["--security-opt", "seccomp:f"]]) {
    assert.throws(() => parse([...argv, "img"]), (error) => {
      assert.ok(error instanceof CordonError);
      return /^Cannot read f, the file of --/.test(error.message) && error.why === "f was read";
    });
    assert.throws(() => parse([...argv, "img"], file("a b\x00=\xff")), CordonError);
  }
});

Deno.test("both separators of --security-opt mean the same to the profile", () => {
  for (const typed of ["seccomp=p.json", "seccomp:p.json"]) {
    const { config } = parse(["--security-opt", typed, "img"], file('{ "a": 1 }'));
    assert.deepEqual(config.HostConfig?.["SecurityOpt"], ['seccomp={"a":1}']);
  }
});

Deno.test("an older engine is asked in its own way, or not at all", () => {
  const mac = "92:d0:c6:0a:29:33";
  const old = { apiVersion: "1.41" };
  const newer = parse(["--mac-address", mac, "img"]).config;
  assert.deepEqual(newer["NetworkingConfig"], { EndpointsConfig: { default: { MacAddress: mac } } });
  const older = parse(["--mac-address", mac, "img"], old).config;
  assert.deepEqual([older["MacAddress"], older["NetworkingConfig"]], [mac, undefined]);
  const both = parse(["--network", "a", "--mac-address", mac, "--ip", "10.0.0.2", "img"], old).config;
  assert.deepEqual(both["NetworkingConfig"], {
    EndpointsConfig: { a: { IPAMConfig: { IPv4Address: "10.0.0.2" } } },
  });
  const second = ["--network", "a", "--network", `name=b,mac-address=${mac}`, "img"];
  assert.throws(() => parse(second, old), /needs an engine with API 1.44/);
  assert.throws(
    () => parse(["--annotation", "a=b", "img"], old),
    /--annotation needs an engine with API 1.43/,
  );
  assert.deepEqual(parse(["--kernel-memory", "1m", "img"], old).config.HostConfig, { KernelMemory: 1 << 20 });
  assert.deepEqual(parse(["--kernel-memory", "1m", "img"]).config.HostConfig, {});
});

Deno.test("names that objects have by themselves are names like others", () => {
  const argv = ["-l", "__proto__=x", "--network", "__proto__", "--network", "b", "--log-opt", "__proto__=1"];
  const { config } = parse([...argv, "--tmpfs", "__proto__:ro", "-v", "__proto__", "img"]);
  assert.deepEqual(Object.keys(config.Labels ?? {}), ["__proto__"]);
  const { EndpointsConfig } = config["NetworkingConfig"] as { EndpointsConfig: object };
  assert.deepEqual(Object.keys(EndpointsConfig), ["__proto__", "b"]);
  assert.deepEqual(Object.keys(config.HostConfig?.["Tmpfs"] as object), ["__proto__"]);
  assert.deepEqual(Object.keys(config["Volumes"] as object), ["__proto__"]);
});

const REFUSED: string[][] = [
  ["-d", "-a", "stdout"],
  ["--restart", "always", "--rm"],
  ["--no-healthcheck", "--health-cmd", "x"],
  ["--log-driver", "none", "--log-opt", "a=b"],
  ["--pid", "container:"],
  ["--userns", "private"],
  ["--uts", "x"],
  ["--cgroupns", "x"],
  ["--network", ""],
  ["--network", " "],
  ["--network", "a", "--network", "a"],
  ["--network", "a", "--network", "host"],
  ["--network", "name=a,ip=10.0.0.1", "--ip", "10.0.0.2"],
  ["--ip", "nowhere"],
  ["--pull", "often"],
  ["--attach", "nowhere"],
  ["--disable-content-trust=false"],
  ["--memory-swappiness", "101"],
  ["--health-retries", "-1"],
  ["--mount", "type=tmpfs,dst=/x\ntype=bind,src=/,dst=/y"],
];

for (const argv of REFUSED) {
  Deno.test(`refused: ${JSON.stringify(argv)}`, () =>
    assert.throws(() => parse([...argv, "img"]), UsageError));
}
