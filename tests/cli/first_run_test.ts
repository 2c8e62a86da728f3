import assert from "node:assert/strict";
import { type Need, ordinaryUser, program, test } from "../helpers/need.ts";
import { ESSENTIAL, pathOf } from "../helpers/path.ts";
import { buildCache, denoSite, npmRegistry, PARTS } from "../helpers/registry.ts";
import { type Outcome, run, tmp } from "../helpers/run.ts";
import { asUser, ordinaryHome } from "../helpers/user.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The stand-ins serve what this checkout's own build was made from. */
const registryBuild: Need = {
  what: "a build of this checkout with the registry's base executable",
  met: () => Object.values(PARTS).every(exists) || "build/ has no such parts",
};

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Says what became of it, as JSON. */
const MAIN = `import { buildInfo } from "./lib/buildinfo.ts";
const cmdline = Deno.readTextFileSync("/proc/self/cmdline").split("\\0");
console.log(JSON.stringify({ ...buildInfo, args: Deno.args, argv0: cmdline[0], env: Deno.env.toObject(),
  fds: [...Deno.readDirSync("/proc/self/fd")].map((e) => e.name), cwd: Deno.cwd() }));
`;

interface Said {
  version: string;
  base: string;
  args: string[];
  argv0: string;
  env: Record<string, string>;
  fds: string[];
  cwd: string;
}

/** A checkout with the script and a program that needs no packages. */
function checkout(): string {
  const directory = tmp();
  Deno.mkdirSync(`${directory}/lib`);
  for (const file of ["cordon", "lib/buildinfo.ts", "lib/launch.ts"]) {
    Deno.copyFileSync(ROOT + file, `${directory}/${file}`);
  }
  const manifest = { name: "cordon", version: "7.8.9", exports: "./main.ts", nodeModulesDir: "none" };
  Deno.writeTextFileSync(`${directory}/deno.json`, JSON.stringify(manifest));
  Deno.writeTextFileSync(`${directory}/deno.lock`, '{"version":"5"}\n');
  Deno.writeTextFileSync(`${directory}/main.ts`, MAIN);
  return directory;
}

function said(outcome: Outcome): Said {
  assert.equal(outcome.code, 0, outcome.stderr);
  return JSON.parse(outcome.stdout);
}

/** What is in build/ besides the tools and the result. */
function leftovers(directory: string): string[] {
  return [...Deno.readDirSync(`${directory}/build`)].map((e) => e.name).filter((name) =>
    name.startsWith("tmp.")
  );
}

const NO_SITE = { CORDON_DENO_SITE: "none" };

test(
  "first run: curl and a registry from ~/.npmrc with a token",
  { needs: [registryBuild, program("curl")] },
  async () => {
    await using registry = await npmRegistry({ token: "s3cret" });
    const home = tmp();
    const host = registry.url.replace("http:", "");
    Deno.writeTextFileSync(
      `${home}/.npmrc`,
      `registry = "${registry.url}/"\n${host}/:_authToken=\${TOKEN}\n`,
    );
    const directory = checkout();
    const env = { ...NO_SITE, HOME: home, PATH: pathOf([...ESSENTIAL, "curl"]), TOKEN: "s3cret" };
    const first = await run(["./cordon", "isolate", "--", "a b", ""], { cwd: directory, env });
    const { version, base, args, fds, env: seen } = said(first);
    assert.deepEqual({ version, base, args }, {
      version: "7.8.9",
      base: "registry",
      args: ["isolate", "--", "a b", ""],
    });
    assert.match(first.stderr, /getting Deno .* from http.*\n.*base executable.*\n.*building/);
    assert.deepEqual(leftovers(directory), []);
    // The program gets the caller's environment and descriptors, not the build's.
    assert.deepEqual(
      Object.keys(seen).filter((name) => !(name in env) && !["LANG", "PWD", "OLDPWD", "_"].includes(name)),
      [],
    );
    const second = await run(["./cordon"], { cwd: directory, env });
    assert.equal(second.stderr, "");
    assert.deepEqual(
      said(second).fds,
      fds,
      "a start that builds leaves the same descriptors as one that does not",
    );
  },
);

test(
  "first run: wget and a registry from the environment",
  { needs: [registryBuild, program("wget")] },
  async () => {
    await using registry = await npmRegistry();
    const directory = checkout();
    const env = {
      ...NO_SITE,
      PATH: pathOf([...ESSENTIAL, "wget"]),
      npm_config_registry: registry.url,
      HOME: tmp(),
    };
    assert.equal(said(await run(["./cordon"], { cwd: directory, env })).base, "registry");
  },
);

test("first run: npm alone", { needs: [registryBuild, program("npm")] }, async () => {
  await using registry = await npmRegistry();
  const directory = checkout();
  const home = tmp();
  Deno.writeTextFileSync(`${home}/.npmrc`, `registry=${registry.url}/\n`);
  const env = { ...NO_SITE, PATH: pathOf([...ESSENTIAL, "npm", "node"]), HOME: home };
  assert.equal(said(await run(["./cordon"], { cwd: directory, env })).base, "registry");
});

test(
  "first run: Deno's own site, where it answers",
  { needs: [registryBuild, program("curl")] },
  async () => {
    await using site = await denoSite();
    const env = {
      CORDON_DENO_SITE: site.url,
      PATH: pathOf([...ESSENTIAL, "curl"]),
      HOME: tmp(),
      CORDON_RELEASE: "1",
    };
    // esbuild alone comes from the registry.
    await using registry = await npmRegistry();
    const directory = checkout();
    const outcome = await run(["./cordon"], {
      cwd: directory,
      env: { ...env, NPM_CONFIG_REGISTRY: registry.url },
    });
    assert.equal(said(outcome).base, "deno");
    assert.deepEqual(registry.asked.filter((path) => !path.startsWith("/@esbuild/")), []);
  },
);

test(
  "first run: a Deno with another checksum is refused",
  { needs: [registryBuild, program("curl")] },
  async () => {
    await using registry = await npmRegistry({ damaged: true });
    const directory = checkout();
    const env = {
      ...NO_SITE,
      PATH: pathOf([...ESSENTIAL, "curl"]),
      NPM_CONFIG_REGISTRY: registry.url,
      HOME: tmp(),
    };
    const outcome = await run(["./cordon"], { cwd: directory, env });
    assert.equal(outcome.code, 125);
    assert.match(outcome.stderr, /does not have the expected checksum/);
    assert.deepEqual(
      [...Deno.readDirSync(`${directory}/build`)].map((e) => e.name).filter((n) => n !== "lock"),
      [],
    );
  },
);

test(
  "first run: nothing to download with, nothing to download from",
  { needs: [registryBuild] },
  async () => {
    const directory = checkout();
    const env = {
      ...NO_SITE,
      PATH: pathOf(ESSENTIAL),
      HOME: tmp(),
      NPM_CONFIG_REGISTRY: "http://127.0.0.1:1",
    };
    const none = await run(["./cordon"], { cwd: directory, env });
    assert.equal(none.code, 125);
    assert.match(none.stderr, /None of curl, wget and npm is installed/);
    const dead = await run(["./cordon"], {
      cwd: directory,
      env: { ...env, PATH: pathOf([...ESSENTIAL, "curl"]) },
    });
    assert.equal(dead.code, 125);
    assert.match(
      dead.stderr,
      /cannot download from http:\/\/127\.0\.0\.1:1.*\n(.*\n)*hint: npm config get registry/,
    );
    assert.deepEqual(leftovers(directory), []);
  },
);

test("a built checkout: rebuilds, names, refusals", { needs: [registryBuild] }, async (t) => {
  const directory = checkout();
  const env = { ...NO_SITE, CORDON_BUILD_CACHE: buildCache(), HOME: tmp() };
  const start = (argv: string[], cwd = directory) => run(argv, { cwd, env });

  await t.step("two starts at once build once", async () => {
    const both = await Promise.all([start(["./cordon", "1"]), start(["./cordon", "2"])]);
    assert.deepEqual(both.map((outcome) => said(outcome).args), [["1"], ["2"]]);
    assert.equal(both.map((outcome) => outcome.stderr).join("").match(/building/g)?.length, 1);
  });
  await t.step("the runtime accepts the code cache that the build made", async () => {
    const outcome = await run(["./cordon"], { cwd: directory, env: { ...env, CORDON_DEBUG: "1" } });
    assert.equal(said(outcome).version, "7.8.9");
    assert.equal(outcome.stderr, "");
  });
  await t.step("through a link it starts under the link's name, in the caller's directory", async () => {
    const elsewhere = tmp();
    Deno.symlinkSync(`${directory}/cordon`, `${elsewhere}/isolate.sh`);
    const { argv0, cwd } = said(await start(["./isolate.sh"], elsewhere));
    assert.equal(argv0.split("/").at(-1), "isolate.sh");
    assert.equal(cwd, elsewhere);
  });
  await t.step("a source that changed, one that came and one that went each build again", async () => {
    for (
      const change of [
        () => Deno.writeTextFileSync(`${directory}/main.ts`, MAIN + "// more\n"),
        () => Deno.writeTextFileSync(`${directory}/lib/new.ts`, ""),
        () => Deno.removeSync(`${directory}/lib/new.ts`),
      ]
    ) {
      change();
      assert.match((await start(["./cordon"])).stderr, /building/);
      assert.equal((await start(["./cordon"])).stderr, "");
    }
  });
  await t.step("an error in the sources keeps the last build and says so", async () => {
    Deno.writeTextFileSync(`${directory}/main.ts`, "const = 1;\n");
    const outcome = await start(["./cordon"]);
    assert.equal(outcome.code, 125);
    assert.match(outcome.stderr, /bundling main\.ts failed/);
    assert.ok(exists(`${directory}/build/cordon`));
    assert.deepEqual(leftovers(directory), []);
    Deno.writeTextFileSync(`${directory}/main.ts`, MAIN);
  });
  await t.step("a release is refused with the registry's base executable", async () => {
    const outcome = await run(["./cordon"], { cwd: directory, env: { ...env, CORDON_RELEASE: "1" } });
    assert.equal(outcome.code, 125);
    assert.match(outcome.stderr, /A release is built on the base executable of Deno's own site only/);
  });
  await t.step("a working directory that is gone, too little address space", async () => {
    const gone = await start([
      "sh",
      "-c",
      'd=$(mktemp -d) && cd "$d" && rmdir "$d" && exec "$0"',
      `${directory}/cordon`,
    ]);
    assert.equal(gone.code, 125);
    assert.match(gone.stderr, /cordon: the working directory no longer exists/);
    const small = await start(["sh", "-c", 'ulimit -v 67108864; exec "$0"', `${directory}/cordon`]);
    assert.equal(small.code, 125);
    assert.match(small.stderr, /cordon: the address space limit is 67108864 KiB/);
  });
});

test("a checkout that cannot be written is built in a private cache", {
  needs: [registryBuild, ordinaryUser],
}, async () => {
  const directory = checkout();
  Deno.chmodSync(directory, 0o555);
  const env = { ...NO_SITE, CORDON_BUILD_CACHE: buildCache() };
  const outcome = await asUser([`${directory}/cordon`, "x"], { env });
  assert.deepEqual(said(outcome).args, ["x"]);
  assert.ok(!exists(`${directory}/build/cordon`));
  const cache = `${ordinaryHome()}/.cache/cordon`;
  assert.equal((Deno.statSync(cache).mode ?? 0) & 0o777, 0o700);
  assert.equal((await asUser([`${directory}/cordon`], { env })).stderr, "");
  Deno.chmodSync(directory, 0o755);
});
