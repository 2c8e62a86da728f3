/** Configuration files as `cordon config` and `cordon run` meet them. */
import assert from "node:assert/strict";
import { cordon, type CordonOptions, type Outcome } from "../helpers/binary.ts";
import { ordinaryUser, root, test, userns } from "../helpers/need.ts";
import { ordinaryTmp, ordinaryUid } from "../helpers/user.ts";

/** A home directory with files in it, and a working directory below. All belong to the ordinary user. */
class Place {
  readonly home = ordinaryTmp();
  readonly work = `${this.home}/work`;

  constructor(files: Record<string, string>) {
    for (const [name, content] of [["work/.keep", ""], ...Object.entries(files)] as const) {
      this.write(name, content);
    }
  }

  write(name: string, content: string, { mode = 0o644, owner = ordinaryUid } = {}): string {
    const path = `${this.home}/${name}`;
    const parts = name.split("/").slice(0, -1);
    for (const depth of parts.keys()) {
      const directory = `${this.home}/${parts.slice(0, depth + 1).join("/")}`;
      Deno.mkdirSync(directory, { recursive: true });
      Deno.chownSync(directory, ordinaryUid, ordinaryUid);
    }
    Deno.writeTextFileSync(path, content);
    Deno.chownSync(path, owner, owner);
    Deno.chmodSync(path, mode);
    return path;
  }

  run(argv: string[], options: CordonOptions = {}): Promise<Outcome> {
    const env = { HOME: this.home, ...options.env };
    return cordon(argv, { user: "ordinary", cwd: this.work, ...options, env });
  }

  async show(options: CordonOptions = {}) {
    const { code, stdout, stderr } = await this.run(["config", "show", "--json"], options);
    assert.deepEqual([code, stderr], [0, ""]);
    return JSON.parse(stdout);
  }
}

const needs = [ordinaryUser];
const runNeeds = [ordinaryUser, userns];

const args = (text: string) => `[docker]\ndefault_args = "${text}"\n`;

test(
  "config show: each place counts before the next, of cordon's files and of dockyter's",
  { needs },
  async () => {
    for (
      const [format, places] of [
        ["CORDON_CONFIG", ["named.toml", "work/cordon.toml", ".cordon.toml", ".config/cordon/config.toml"]],
        ["DOCKYTER_CONFIG", [
          "named.toml",
          "work/dockyter.toml",
          ".dockyter.toml",
          ".config/dockyter/config.toml",
        ]],
      ] as const
    ) {
      const place = new Place({});
      for (const name of places.toReversed()) {
        const path = place.write(name, args(name));
        const env = name === "named.toml" ? { [format]: path } : {};
        assert.deepEqual((await place.show({ env })).docker.default_args, {
          value: name,
          origin: { path, line: 2, column: 1 },
        });
      }
    }
  },
);

test("config show: XDG_CONFIG_HOME moves cordon's file and not dockyter's", { needs }, async () => {
  const place = new Place({
    "xdg/cordon/config.toml": args("moved"),
    "xdg/dockyter/config.toml": args("not"),
  });
  const env = { XDG_CONFIG_HOME: `${place.home}/xdg` };
  assert.equal((await place.show({ env })).docker.default_args.value, "moved");
  Deno.removeSync(`${place.home}/xdg/cordon`, { recursive: true });
  assert.equal((await place.show({ env })).docker.default_args.value, null);
});

test(
  "config show: CORDON_CONFIG_DIR stands for the working directory, by the same conditions",
  { needs },
  async () => {
    const place = new Place({ "other/dockyter.toml": args("there"), "work/dockyter.toml": args("here") });
    const env = { CORDON_CONFIG_DIR: `${place.home}/other` };
    assert.equal((await place.show({ env })).docker.default_args.value, "there");
    place.write("other/dockyter.toml", args("anybody's"), { mode: 0o666 });
    const { docker, problems } = await place.show({ env });
    assert.deepEqual([docker.default_args.value, problems[0].what], [
      null,
      "not read: others than you can write it",
    ]);
  },
);

test("config show: the values of both files, with their places, and no password", { needs }, async () => {
  const place = new Place({
    "work/dockyter.toml":
      '[backend]\nmode = "api"\napi_url = "http://me:a-secret-token@h:1/another-secret"\n[profiles]\nml = "--gpus all x"\n',
    ".cordon.toml": '[profiles]\n"in here" = "host"\n',
  });
  const { code, stdout, stderr } = await place.run(["config", "show"]);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  assert.deepEqual(stdout.trimEnd().split("\n").map((line) => line.split(/ {2,}/)), [
    ["backend.mode", '"api"', "~/work/dockyter.toml: line 2, column 1"],
    ["backend.api_url", '"http://me:***@h:1/***"', "~/work/dockyter.toml: line 3, column 1"],
    ["backend.token_file", "not set"],
    ["docker.default_args", "not set"],
    ["profiles.ml", '"--gpus all x"', "~/work/dockyter.toml: line 5, column 1"],
    ["profiles.in here", '"host"', "~/.cordon.toml: line 2, column 2"],
  ]);
  assert.doesNotMatch(JSON.stringify(await place.show()), /secret/);
});

test("config show: the variable that names an API counts before the files", { needs }, async () => {
  const place = new Place({
    "work/cordon.toml": '[backend]\nmode = "namespaces"\ntoken_file = "t"\n[docker]\ndefault_args = "host"\n',
  });
  const env = { CORDON_API: "http://me:a-secret@h:1" };
  const { stdout } = await place.run(["config", "show"], { env });
  assert.deepEqual(stdout.trimEnd().split("\n").map((line) => line.split(/ {2,}/)), [
    ["backend.mode", '"api"', "CORDON_API"],
    ["backend.api_url", '"http://me:***@h:1"', "CORDON_API"],
    ["backend.token_file", "not set"],
    ["docker.default_args", '"host"', "~/work/cordon.toml: line 5, column 1"],
  ]);
  assert.deepEqual((await place.show({ env })).backend.mode.origin, {
    path: "CORDON_API",
    line: null,
    column: null,
  });
});

test("config path: every place, and what is there", { needs: [...needs, root] }, async () => {
  const place = new Place({ "work/cordon.toml": "", ".cordon.toml": "" });
  place.write("work/dockyter.toml", "", { owner: 0 });
  const { code, stdout } = await place.run(["config", "path"]);
  assert.equal(code, 0);
  const { home, work } = place;
  assert.deepEqual(stdout.trimEnd().split("\n"), [
    `${work}/cordon.toml  (working directory: read)`,
    `${home}/.cordon.toml  (home directory: not read, an earlier one counts)`,
    `${home}/.config/cordon/config.toml  (home directory: absent)`,
    `${work}/dockyter.toml  (working directory: refused: it belongs to uid 0, not to you)`,
    `${home}/.dockyter.toml  (home directory: absent)`,
    `${home}/.config/dockyter/config.toml  (home directory: absent)`,
  ]);
  const { files } = JSON.parse((await place.run(["config", "path", "--json"])).stdout);
  assert.deepEqual(files[3], {
    path: `${work}/dockyter.toml`,
    format: "dockyter",
    place: "working directory",
    state: "refused",
    why: "it belongs to uid 0, not to you",
  });
});

test("config check: everything wrong in every file, with line and column", { needs }, async () => {
  const place = new Place({
    "work/cordon.toml":
      '[backend]\nmode = "api"\ntoken_file = "none"\napi_url = "h"\n[profiles]\na = "--nonsense x"\n',
    ".cordon.toml": "x = [\n",
    "work/dockyter.toml": `[docker]\ndefaults = "x"\ndefault_args = "-e 'x"\n`,
  });
  place.write(".dockyter.toml", "", { mode: 0o666 });
  const { code, stdout, stderr } = await place.run(["config", "check"]);
  assert.deepEqual([code, stdout], [1, ""]);
  const { home, work } = place;
  assert.deepEqual(stderr.trimEnd().split("\n").map((line) => line.replace(/(\/none): .*/, "$1")), [
    `cordon: ${work}/cordon.toml: line 4, column 1: Cannot use the address of backend.api_url: Wanted ` +
    "http://HOST:PORT, https://HOST or unix:/PATH, without ? and #",
    `cordon: ${work}/cordon.toml: line 3, column 1: Cannot read the token file ${work}/none`,
    `cordon: ${work}/cordon.toml: line 6, column 1: profile a: Unknown option "--nonsense" of docker run`,
    `cordon: ${home}/.cordon.toml: line 2, column 1: unfinished array encountered`,
    `cordon: ${work}/dockyter.toml: line 2, column 1: unknown key docker.defaults (there is default_args)`,
    `cordon: ${work}/dockyter.toml: line 3, column 1: docker.default_args: a quote is not closed`,
    `cordon: ${home}/.dockyter.toml: not read: others than you can write it`,
  ]);
  const { sound, problems } = JSON.parse((await place.run(["config", "check", "--json"])).stdout);
  assert.deepEqual([sound, problems.length, problems[3].line], [false, 7, 2]);
});

test("config check: nothing wrong; and what is wrong only together", { needs }, async () => {
  const place = new Place({ "work/dockyter.toml": '[backend]\nmode = "api"\napi_url = "http://h"\n' });
  const { code, stdout } = await place.run(["config", "check"]);
  assert.deepEqual([code, stdout], [0, "No mistakes found\n"]);
  place.write("work/dockyter.toml", '[backend]\nmode = "api"\n');
  const { code: status, stderr } = await place.run(["config", "check"]);
  assert.equal(status, 1);
  assert.match(stderr, /line 2, column 1: backend\.mode is api, and backend\.api_url is not set/);
});

test("a broken file ends cordon run with its line and column, and nothing that must not read it", {
  needs: runNeeds,
}, async () => {
  const place = new Place({ "work/cordon.toml": "[docker]\ndefault_args = \n", ".dockyter.toml": "x" });
  const broken = await place.run(["run", "--engine", "namespaces", "host", "true"]);
  assert.equal(broken.code, 125);
  assert.ok(
    broken.stderr.startsWith(`cordon: ${place.work}/cordon.toml: line 2, column 16: `),
    broken.stderr,
  );
  const without = await place.run(["run", "--no-config", "--engine", "namespaces", "host", "true"]);
  assert.deepEqual([without.code, without.stderr], [0, ""]);
  const ports = ["shell", "iopub", "stdin", "control", "hb"].map((name, i) => [`${name}_port`, i + 1]);
  place.write("work/k.json", JSON.stringify({ ip: "127.0.0.1", key: "", ...Object.fromEntries(ports) }));
  const others = [
    ["isolate", "--", "true"],
    ["portwrap", "-p", "0", "-P", "8000", "--", "true"],
    ["serve", "check-policy", "host"],
    ["kernel", "launch", "--explain", "-f", "k.json", "--", "/bin/true", "-f", "k.json"],
  ];
  for (const argv of others) {
    const { code, stderr } = await place.run(argv);
    assert.deepEqual([argv[0], code, stderr], [argv[0], 0, ""]);
  }
});

test("what CORDON_CONFIG names has to be there", { needs }, async () => {
  const place = new Place({});
  const { code, stderr } = await place.run(["run", "x"], { env: { CORDON_CONFIG: "/nowhere/c.toml" } });
  assert.equal(code, 125);
  assert.match(stderr, /^cordon: Cannot read \/nowhere\/c\.toml\nCORDON_CONFIG names it/);
});

test("cordon run: the configured engine, options and image, and a profile instead of them", {
  needs: runNeeds,
}, async () => {
  const place = new Place({
    "work/dockyter.toml":
      `[backend]\nmode = "namespaces"\n[docker]\ndefault_args = "-e A=default -e 'B=two words' host"\n` +
      `[profiles]\np = "-e A=profile host"\n`,
  });
  const stdin = 'echo "$A,$B"';
  const { code, stdout, stderr } = await place.run(["run", "--script", "-"], { stdin });
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "default,two words\n", stderr: "" });
  const show = ["sh", "-c", stdin];
  assert.equal((await place.run(["run", "-e", "A=typed", "host", ...show])).stdout, "typed,two words\n");
  assert.equal((await place.run(["run", "--profile", "p", ...show])).stdout, "profile,\n");
  assert.equal((await place.run(["run", "--no-defaults", "host", ...show])).stdout, ",\n");
  const none = await place.run(["run", "--profile", "q"]);
  assert.deepEqual([none.code, none.stderr.split("\n").slice(0, 2)], [125, [
    'cordon: No profile "q"',
    "There is p",
  ]]);
});

test("cordon run: an unknown key is told, and keeps nothing from working", { needs: runNeeds }, async () => {
  const place = new Place({ "work/cordon.toml": '[backend]\nmode = "namespaces"\ncolor = true\n' });
  const { code, stdout, stderr } = await place.run(["run", "host", "echo", "ran"]);
  assert.deepEqual([code, stdout], [0, "ran\n"]);
  assert.match(stderr, /^cordon: warning: .*cordon\.toml: line 3, column 1: unknown key backend\.color/);
});

test("cordon run: the working directory's file of somebody else decides nothing", {
  needs: [...runNeeds, root],
}, async () => {
  const mine = args("-e A=mine host").replace("[docker]", '[backend]\nmode = "namespaces"\n[docker]');
  const place = new Place({ ".cordon.toml": mine });
  const show = ["run", "host", "sh", "-c", "echo $A"];
  place.write("work/cordon.toml", args("-e A=theirs"), { owner: ordinaryUid - 1 });
  const { code, stdout, stderr } = await place.run(show);
  assert.deepEqual([code, stdout], [0, "mine\n"]);
  assert.match(
    stderr,
    new RegExp(`^cordon: warning: .*not read: it belongs to uid ${ordinaryUid - 1}, not to you\n$`),
  );
  // Neither by a link to a file of the caller's own.
  Deno.removeSync(`${place.work}/cordon.toml`);
  const other = place.write("other.toml", args("-e A=theirs"));
  Deno.symlinkSync(other, `${place.work}/cordon.toml`);
  assert.equal((await place.run(show)).stdout, "mine\n");
});
