/** Unix sockets that are in the way, and certificates. */
import assert from "node:assert/strict";
import { CordonError } from "../../../../lib/errors.ts";
import { openFront } from "../../../../lib/serve/front/front.ts";
import { listenUnix } from "../../../../lib/serve/front/unix.ts";
import { program, test } from "../../../helpers/need.ts";
import { Raw } from "../../../helpers/raw_http.ts";
import { tmp } from "../../../helpers/run.ts";
import { certificate } from "../../../helpers/certificate.ts";

function names(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}

/** A socket whose daemon is dead. */
function leaveSocket(path: string): void {
  Deno.listen({ transport: "unix", path }).close();
}

Deno.test("a Unix socket has its permissions, and goes with its listener", async () => {
  const directory = tmp();
  const { listener, remove } = await listenUnix(`${directory}/s`, { mode: 0o660 });
  assert.equal(Deno.lstatSync(`${directory}/s`).mode! & 0o777, 0o660);
  assert.deepEqual(names(directory), ["s"]);
  remove();
  assert.deepEqual(names(directory), []);
  listener.close();
});

Deno.test("a dead daemon's socket is replaced", async () => {
  const directory = tmp();
  leaveSocket(`${directory}/s`);
  const { listener, remove } = await listenUnix(`${directory}/s`, { mode: 0o600 });
  (await Deno.connect({ transport: "unix", path: `${directory}/s` })).close();
  assert.deepEqual(names(directory), ["s"]);
  remove();
  listener.close();
});

Deno.test("a living daemon's socket is left alone", async () => {
  const directory = tmp();
  const path = `${directory}/s`;
  const first = await listenUnix(path, { mode: 0o600 });
  await assert.rejects(listenUnix(path, { mode: 0o600 }), {
    name: "CordonError",
    why: "another program listens there",
  });
  (await Deno.connect({ transport: "unix", path })).close();
  assert.deepEqual(names(directory), ["s"]);
  first.remove();
  first.listener.close();
});

Deno.test("nothing that is no socket is replaced, nor what a symlink leads to", async () => {
  const directory = tmp();
  Deno.writeTextFileSync(`${directory}/file`, "precious");
  leaveSocket(`${directory}/socket`);
  Deno.symlinkSync("socket", `${directory}/link`);
  Deno.mkdirSync(`${directory}/directory`);
  const before = names(directory);
  for (const name of ["file", "link", "directory", "absent/s"]) {
    await assert.rejects(listenUnix(`${directory}/${name}`, { mode: 0o600 }), CordonError, name);
  }
  assert.deepEqual(names(directory), before);
  assert.equal(Deno.readTextFileSync(`${directory}/file`), "precious");
});

Deno.test("of many that start at once on a dead daemon's socket one gets it, and it answers", async () => {
  const directory = tmp();
  const path = `${directory}/s`;
  for (let round = 0; round < 20; round++) {
    leaveSocket(path);
    const started = await Promise.allSettled(
      Array.from({ length: 5 }, () => listenUnix(path, { mode: 0o600 })),
    );
    const listening = started.filter((one) => one.status === "fulfilled").map(({ value }) => value);
    assert.equal(listening.length, 1);
    (await Deno.connect({ transport: "unix", path })).close();
    assert.deepEqual(names(directory), ["s"]);
    listening[0]!.remove();
    listening[0]!.listener.close();
  }
});

Deno.test("the socket of a daemon that took the place is not removed", async () => {
  const directory = tmp();
  const first = await listenUnix(`${directory}/s`, { mode: 0o600 });
  Deno.removeSync(`${directory}/s`);
  const second = await listenUnix(`${directory}/s`, { mode: 0o600 });
  first.remove();
  assert.deepEqual(names(directory), ["s"]);
  second.remove();
  first.listener.close();
  second.listener.close();
});

Deno.test("when one address cannot be had, none is kept", async () => {
  const directory = tmp();
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const listen = [{ unix: `${directory}/s` }, { hostname: "127.0.0.1", port }];
  await assert.rejects(
    openFront({ listen, hosts: [], origins: [], log() {} }, () => new Response()),
    {
      name: "CordonError",
      message: `Cannot listen on 127.0.0.1 port ${port}`,
      why: "Address already in use",
    },
  );
  assert.deepEqual(names(directory), []);
  taken.close();
});

test("TLS: answers, takes a new certificate, keeps the old one when the new one is broken", {
  needs: [program("openssl")],
  // libc stays open once it was needed.
  sanitizeResources: false,
}, async () => {
  const directory = tmp();
  await certificate(directory, "first");
  const read = (name: string) => Deno.readTextFileSync(`${directory}/${name}`);
  const first = read("cert.pem");
  const front = await openFront(
    {
      listen: [{ hostname: "127.0.0.1", port: 0 }],
      tls: { certificate: `${directory}/cert.pem`, key: `${directory}/key.pem` },
      hosts: [],
      origins: [],
      connections: { headerSeconds: 0.3 },
      log() {},
    },
    (request, { peer }) => new Response(`${new URL(request.url).protocol} ${peer.transport}`),
  );
  const url = front.addresses[0]!;
  assert.match(url, /^https:\/\/127\.0\.0\.1:\d+$/);
  const answer = async (trusted: string) => {
    const client = Deno.createHttpClient({ caCerts: [trusted] });
    try {
      return await (await fetch(url, { client })).text();
    } finally {
      client.close();
    }
  };
  assert.equal(await answer(first), "https: tls");
  // Neither silence nor plain HTTP holds a place.
  const port = Number(/\d+$/.exec(url));
  for (const bytes of ["", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]) {
    await using raw = await Raw.open(port, bytes);
    assert.doesNotMatch(await raw.rest(), /HTTP/);
  }
  Deno.writeTextFileSync(`${directory}/cert.pem`, "nonsense");
  await assert.rejects(front.reload(), CordonError);
  assert.equal(await answer(first), "https: tls");
  await certificate(directory, "second");
  await front.reload();
  assert.equal(await answer(read("cert.pem")), "https: tls");
  await assert.rejects(answer(first));
  await front.close();
});
