/** `cordon serve token` and `cordon serve check-policy`: the real binary, on files of the tests. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cordon, tmp } from "../helpers/binary.ts";
import { ordinaryUser, test } from "../helpers/need.ts";
import { ordinaryHome, ordinaryTmp } from "../helpers/user.ts";

const CONFIG = `# The class.
[policies.default]
images = ["host", "python:*"]
mounts = ["MOUNTED"]

[policies.default.limits]
time = "5s"

[policies.strict]
images = ["host"]
flags = []

[tenants.class]
[tenants.guests]
policy = "strict"
`;

interface Place {
  config: string;
  tokens: string;
  mounted: string;
}

function place(): Place {
  const directory = tmp();
  Deno.mkdirSync(`${directory}/data`);
  const config = `${directory}/serve.toml`;
  Deno.writeTextFileSync(config, CONFIG.replace("MOUNTED", `${directory}/data`), { mode: 0o600 });
  return { config, tokens: `${directory}/tokens`, mounted: `${directory}/data` };
}

function check(args: readonly string[], { config }: Place) {
  return cordon(["serve", "check-policy", "--config", config, "--tenant", "class", ...args]);
}

Deno.test("check-policy: what is allowed, as it would be sent", async () => {
  const here = place();
  const { code, stdout } = await check([`-v ${here.mounted}:/data:ro -e 'A=b c' python:3.12`], here);
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^allowed {2}a container of docker\.io\/library\/python:3\.12\nlimits {3}5 s, 512 MiB of memory,/,
  );
  assert.match(stdout, new RegExp(`^tenant   class, policy default \\(${here.config}\\)$`, "m"));
  const json = await check(["--json", "-v", `${here.mounted}:/data:ro`, "-e", "A=b c", "python:3.12"], here);
  const { allowed, engine, config, limits } = JSON.parse(json.stdout);
  assert.deepEqual([allowed, engine, config.Env, limits.wallSeconds], [true, "docker", ["A=b c"], 5]);
  assert.deepEqual(config.HostConfig.Mounts, [
    { Type: "bind", Source: here.mounted, Target: "/data", ReadOnly: true },
  ]);
  assert.ok(stdout.endsWith(JSON.stringify(config, null, 2).replace("true", "true") + "\n"));
});

Deno.test("check-policy: what is refused, by which rule, and where that is set", async () => {
  const here = place();
  for (
    const [args, rule, says, where] of [
      [["--privileged=true python:3"], "flag", "--privileged is not allowed", "nothing in the configuration"],
      [["-v/:/h", "python:3"], "mount", "nothing that may be mounted", "policies.default.mounts (line 4)"],
      [["ubuntu"], "image", "there is host, python:*", "policies.default.images (line 3)"],
      [["-m 1g python"], "limit", "at most 512 MiB", "policies.default.limits.memory (line 6)"],
      [["--net=host", "python"], "network", "there is none", "policies.default.network (line 2)"],
      [["'python"], "args", "quote is not closed", "nothing in the configuration"],
    ] as const
  ) {
    const { code, stdout, stderr } = await check(args, here);
    assert.deepEqual([code, stderr], [1, ""], stdout);
    assert.match(stdout, /^refused {2}/);
    assert.ok(stdout.includes(says), stdout);
    assert.ok(stdout.includes(`\nrule     ${rule}\nset by   ${where}\n`), stdout);
  }
  const { code, stdout } = await check(["ubuntu", "--json"], here);
  assert.equal(code, 1);
  assert.deepEqual(JSON.parse(stdout), {
    allowed: false,
    refused: 'image "ubuntu" is not allowed: there is host, python:*',
    rule: "image",
    configured_at: "policies.default.images",
    line: 3,
  });
});

Deno.test("check-policy: each tenant has its policy, and one of several must be named", async () => {
  const { config } = place();
  const of = (...more: string[]) =>
    cordon(["serve", "check-policy", "-e A=1 host", "--config", config, ...more]);
  assert.equal((await of("--tenant", "class")).code, 0);
  assert.match((await of("--tenant=guests")).stdout, /-e is not allowed/);
  const none = await of();
  assert.equal(none.code, 1);
  assert.match(none.stderr, /Whose policy\?\nThere is class, guests\n\nhint: add --tenant class/);
  assert.match((await of("--tenant", "clas")).stderr, /There is no tenant "clas"/);
});

test("check-policy: without a configuration the defaults are asked", { needs: [ordinaryUser] }, async () => {
  const home = ordinaryHome();
  const none = { XDG_CONFIG_HOME: `${ordinaryTmp()}/none` };
  const options = { user: "ordinary", env: none, cwd: home } as const;
  const { code, stdout } = await cordon(["serve", "check-policy", "host"], options);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /no configuration, which means the defaults/);
});

Deno.test("check-policy and token: wrong command lines", async () => {
  for (
    const [argv, says] of [
      [["check-policy"], /needs ARGS/],
      [["check-policy", "host", "--config"], /--config needs a value/],
      [["token"], /ACTION/],
      [["token", "make", "x"], /Wanted add, remove or list/],
      [["token", "add"], /needs NAME/],
      [["token", "remove", "x", "nonsense"], /8 hexadecimal digits/],
      [["token", "add", "x", "00000000"], /ID/],
    ] as const
  ) {
    const { code, stderr } = await cordon(["serve", ...argv]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, says);
  }
});

Deno.test("token: made once, kept as a hash, listed, removed", async () => {
  const { config, tokens } = place();
  const token = (...argv: string[]) => cordon(["serve", "token", ...argv, "--config", config]);
  const made = await token("add", "class");
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stdout, /^[0-9a-f]{40}\n$/);
  const secret = made.stdout.trim();
  const hash = createHash("sha256").update(secret).digest("hex");
  const file = Deno.readTextFileSync(tokens);
  assert.ok(file.includes(`class sha256:${hash} `) && !file.includes(secret));
  assert.equal(Deno.statSync(tokens).mode! & 0o777, 0o600);
  const other = await token("add", "guests");
  assert.notEqual(other.stdout, made.stdout);
  const listed = await token("list");
  assert.deepEqual(listed.stdout.split("\n").map((line) => line.split(/ +/)[2]), [
    "class",
    "guests",
    undefined,
  ]);
  assert.ok(!listed.stdout.includes(secret) && listed.stdout.startsWith(hash.slice(0, 8)));
  assert.equal((await token("remove", "class", hash.slice(0, 8))).code, 0);
  assert.match((await token("list")).stdout, /^\S+ +\S+ +guests\n$/);
  const again = await token("remove", "class");
  assert.deepEqual([again.code, /There is no such token of "class"/.test(again.stderr)], [1, true]);
});

Deno.test("token: of a tenant that is not there", async () => {
  const { config, tokens } = place();
  const { code, stdout, stderr } = await cordon(["serve", "token", "add", "clas", "--config", config]);
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /There is no tenant "clas" in .*\nDid you mean class\?/);
  assert.throws(() => Deno.statSync(tokens), Deno.errors.NotFound);
});

Deno.test("token: made ten at a time, none is lost", async () => {
  const { config, tokens } = place();
  const made = await Promise.all(
    Array.from({ length: 10 }, () => cordon(["serve", "token", "add", "class", "--config", config])),
  );
  const hashes = made.map(({ stdout }) => createHash("sha256").update(stdout.trim()).digest("hex"));
  const file = Deno.readTextFileSync(tokens);
  assert.deepEqual(hashes.filter((hash) => !file.includes(hash)), []);
});

Deno.test("a configuration that others could have written, or that is wrong, is told in full", async () => {
  const { config } = place();
  Deno.chmodSync(config, 0o666);
  const loose = await cordon(["serve", "check-policy", "host", "--config", config]);
  assert.equal(loose.code, 1);
  assert.ok(
    loose.stderr.includes(`can be written by others\nIts mode is 0666\n\nhint: chmod go-w ${config}\n`),
  );
  Deno.chmodSync(config, 0o600);
  Deno.writeTextFileSync(config, "quue = 1\n[policies.default]\nflags = ['privileged']\n");
  const wrong = await cordon(["serve", "check-policy", "host", "--config", config]);
  assert.equal(
    wrong.stderr,
    `cordon: Cannot use the configuration ${config}\n` +
      `${config}:3: policies.default.flags.0: The flag privileged cannot be allowed: It takes all isolation away\n` +
      `${config}:1: quue: There is no such key\n`,
  );
});
