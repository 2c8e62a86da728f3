/** `cordon kernel launch --image` on an engine that fails: what is said, and that nothing is left on either side. */
import assert from "node:assert/strict";
import { everyone, type Person } from "../helpers/everyone.ts";
import { type FakeCall, FakeEngine, type Routes } from "../helpers/fake-engine.ts";

const CHANNELS = ["shell", "iopub", "stdin", "control", "hb"];

/** Ports that were free just now. */
function connection(): string {
  const listeners = CHANNELS.map(() => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map(({ addr }, i) => [`${CHANNELS[i]}_port`, (addr as Deno.NetAddr).port]);
  for (const listener of listeners) listener.close();
  return JSON.stringify({ transport: "tcp", ip: "127.0.0.1", key: "k", ...Object.fromEntries(ports) });
}

const empty = (status: number) => (call: FakeCall) =>
  call.send(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`);

const WORKING: Routes = {
  "GET /_ping": (call) => call.send("HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nContent-Length: 2\r\n\r\nOK"),
  "GET /info": (call) => call.json(200, {}),
  "GET /images/*/json": (call) => call.json(200, { Id: "sha256:1", RepoDigests: [], Size: 1, Config: {} }),
  "POST /containers/create": (call) => call.json(201, { Id: "c".repeat(64), Warnings: [] }),
  "POST /containers/*/attach": (call) => call.send("HTTP/1.1 101 UPGRADED\r\n\r\n"),
  "POST /containers/*/start": (call) => call.json(500, { message: "no such user" }),
  "DELETE /containers/*": empty(204),
};

/** How it failed, once the engine was asked for this many removals. */
async function launch(
  person: Person,
  routes: Routes,
  { removals, more = [] }: { removals: number; more?: string[] },
) {
  await using fake = new FakeEngine({ ...WORKING, ...routes });
  const { path } = fake.endpoint;
  Deno.chmodSync(path.slice(0, path.lastIndexOf("/")), 0o755);
  Deno.chmodSync(path, 0o777);
  const home = person.dir(), runtime = person.dir();
  await person.sh(`printf %s '${connection()}' >c.json`, home);
  const result = `${home}/result.json`;
  const args = ["kernel", "launch", "--host", `unix://${path}`, "--image", "i", "--result", result, ...more];
  const done = await person.cordon(
    [...args, "-f", `${home}/c.json`, "--", "python3", "-f", `${home}/c.json`],
    {
      cwd: home,
      env: { HOME: home, PATH: "/usr/bin:/bin", XDG_RUNTIME_DIR: runtime },
    },
  );
  assert.deepEqual([done.code, done.stdout], [125, ""], done.stderr);
  assert.equal(JSON.parse(Deno.readTextFileSync(result)).reason, "cordon");
  assert.deepEqual([...Deno.readDirSync(runtime)], []);
  // The keeper may still be at it.
  const asked = () => fake.asked.filter((call) => call.startsWith("DELETE")).length;
  for (let i = 0; i < 500 && asked() < removals; i++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(asked(), removals);
  return { said: done.stderr, versions: fake.versions };
}

everyone("kernel launch: an engine that cannot start the container", async (person) => {
  const { said, versions } = await launch(person, {}, { removals: 1 });
  assert.match(said, /^cordon: Cannot start container c{12}\nno such user\n/);
  assert.deepEqual([...versions].filter(Boolean), ["1.44"]); // what it wants at least
});

everyone("kernel launch: an engine that cannot make the container", async (person) => {
  const refused = await launch(person, {
    "POST /containers/create": (call) => call.json(400, { message: "bad parameter" }),
  }, { removals: 0 });
  assert.match(refused.said, /^cordon: Cannot create a container from image i\n.*bad parameter/);
});

everyone("kernel launch: an engine that hangs up may have made it all the same", async (person) => {
  const { said } = await launch(person, { "POST /containers/create": () => {} }, { removals: 1 });
  assert.match(said, /^cordon: Cannot create a container from image i\nThe engine closed the connection/);
});

everyone("kernel launch: an engine that cannot remove either is asked again", async (person) => {
  let asked = 0;
  const { said } = await launch(person, {
    "DELETE /containers/*": (call) =>
      asked++ === 0 ? call.json(500, { message: "driver failed" }) : empty(204)(call),
  }, { removals: 2 });
  assert.match(said, /^cordon: Cannot start container /);
});

const dropped = (host: Record<string, unknown>, warnings: string[] = []): Routes => ({
  "POST /containers/create": (call) => call.json(201, { Id: "c".repeat(64), Warnings: warnings }),
  "GET /containers/*/json": (call) => call.json(200, { HostConfig: host }),
});

everyone("kernel launch: an engine that passes over what was asked for", async (person) => {
  const pids = "Your kernel does not support PIDs limit capabilities. PIDs limit discarded.";
  const cases: [string[], Routes, RegExp][] = [
    [
      ["--memory", "1G"],
      dropped({ Memory: 0 }),
      /^cordon: The engine does not enforce .*\n--memory has no effect/,
    ],
    [
      ["--pids", "9"],
      dropped({ PidsLimit: 74 }, [pids]),
      /^cordon: The engine does not enforce .*\nYour kernel/,
    ],
    [
      ["--gpus", "all"],
      dropped({}),
      /^cordon: The engine does not give its containers GPUs\ndocker has passed/,
    ],
    // What was not asked for may be dropped: it goes on to the start, which fails here.
    [["--memory", "1G"], dropped({ Memory: 2 ** 30 }, [pids]), /^cordon: Cannot start container/],
  ];
  for (const [more, routes, expected] of cases) {
    const { said } = await launch(person, routes, { removals: 1, more });
    assert.match(said, expected);
  }
});
