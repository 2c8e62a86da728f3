/** `cordon run --api -it` on a real pseudo-terminal. */
import assert from "node:assert/strict";
import { tinyApi } from "../helpers/api.ts";
import { cordon, executable } from "../helpers/binary.ts";
import { ordinaryUser, program, test, userns } from "../helpers/need.ts";
import { eventually } from "../helpers/processes.ts";
import { type Pty, PYTHON, shell } from "../helpers/pty.ts";
import { mark, type Serving, serving, sleeping, TOKEN } from "../helpers/serving.ts";

const options = { needs: [ordinaryUser, userns, program(PYTHON), program("bash")] };

/** An interactive shell in which $C is cordon, and a server that it finds. */
async function session(body: (pty: Pty, server: Serving) => Promise<void>): Promise<void> {
  await using server = await serving();
  const pty = await shell({ env: { C: executable(), CORDON_API: `${server.url}/${TOKEN}` } });
  try {
    await pty.resize(33, 111);
    await body(pty, server);
  } finally {
    await pty.close();
  }
}

/** Types a line of which the terminal's modes before and after are compared; call {@link same} when it ended. */
async function begin(pty: Pty, line: string): Promise<void> {
  await pty.type(`before=$(stty -g); ${line}\n`);
}

async function same(pty: Pty, status: number): Promise<void> {
  await pty.expect(/@ $/);
  await pty.type('echo "status=$?"; [ "$before" = "$(stty -g)" ] && echo sa""me\n');
  await pty.expect(new RegExp(`status=${status}\r\nsame\r\n`));
  await pty.expect(/@ $/);
}

test(
  "-it: a terminal with our size, every key of ours, and the status; ours is as it was",
  options,
  () =>
    session(async (pty) => {
      await begin(
        pty,
        `$C run -it host sh -c 'test -t 0 && echo terminal; stty size; read line; stty size; cat; exit 7'`,
      );
      await pty.expect(/terminal\r\n33 111\r\n/);
      await pty.resize(12, 34);
      // The program may ask before the new size is there.
      await pty.type("\r");
      await pty.expect(/\d+ \d+\r\n/);
      await pty.type("to cat\r");
      await pty.expect(/to cat\r\nto cat\r\n/);
      await pty.type("\x04");
      await same(pty, 7);
    }),
);

test("-it: the window is resized", options, () =>
  session(async (pty) => {
    const script = 'stty size; until stty size | grep "^12 34"; do sleep 0.1; done';
    await begin(pty, `$C run -it host sh -c '${script}'`);
    await pty.expect(/33 111\r\n/);
    await pty.resize(40, 100);
    await pty.resize(12, 34);
    await pty.expect(/12 34\r\n/);
    await same(pty, 0);
  }));

test("-it: Ctrl-C, Ctrl-Z and Ctrl-\\ are the command's", options, () =>
  session(async (pty) => {
    const script = 'trap "n=x; echo int" INT; trap "m=x; echo quit" QUIT; echo ready; ' +
      'until [ "$n$m" = xx ]; do sleep 0.1; done; ' +
      "stty -isig -icanon; echo raw; dd bs=1 count=3 2>/dev/null | od -An -tx1; exit 9";
    await begin(pty, `$C run -it host sh -c '${script}'`);
    await pty.expect(/ready\r\n/);
    await pty.type("\x03");
    await pty.expect(/int\r\n/);
    await pty.type("\x1c");
    await pty.expect(/quit\r\n/);
    await pty.expect(/raw\r\n/);
    await pty.type("\x03\x1a\x1c");
    await pty.expect(/03 1a 1c/);
    await same(pty, 9);
  }));

test(
  "-it: after a signal, and after the server is gone, the terminal is as it was",
  options,
  () =>
    session(async (pty, server) => {
      for (const [signal, status] of [["TERM", 143], ["INT", 130], ["HUP", 129]] as const) {
        const word = mark();
        await begin(pty, `$C run -it host sh -c 'echo rea""dy; exec sleep ${word}'`);
        await pty.expect(/ready\r\n/);
        await eventually("the command runs", () => sleeping(word));
        const client = pty.family().find(({ argv }) => argv[1] === "run");
        assert.ok(client);
        Deno.kill(client.pid, `SIG${signal}`);
        await same(pty, status);
        await eventually("the command is gone", () => !sleeping(word));
      }
      await begin(pty, `$C run -it host sh -c 'echo rea""dy; exec sleep 600'`);
      await pty.expect(/ready\r\n/);
      server.kill("SIGKILL");
      await pty.expect(/cordon: .*\r\n/);
      await same(pty, 125);
    }),
);

test("-it: the command ends with the window", options, async () => {
  await using server = await serving();
  const word = mark();
  const pty = await shell({ env: { C: executable(), CORDON_API: `${server.url}/${TOKEN}` } });
  await pty.type(`$C run -it host sh -c 'trap "" HUP; sleep ${word}'\n`);
  await eventually("the command runs", () => sleeping(word));
  await pty.close();
  await eventually("the command is gone", () => !sleeping(word));
});

test(
  "-d -it and --attach: keys leave it as it is, for who comes back",
  options,
  () =>
    session(async (pty) => {
      await pty.type(
        `id=$($C run -d -it host sh -c 'stty -echo; echo begun; read a; echo "<$a>"; read b; exit $b'); echo o""k\n`,
      );
      await pty.expect(/ok\r\n/);
      await begin(pty, '$C run --attach "$id"');
      await pty.expect(/begun\r\n/);
      await pty.type("one\r");
      await pty.expect(/<one>\r\n/);
      await pty.type("\x10\x11");
      await same(pty, 0);
      await begin(pty, '$C run --attach "$id" --detach-keys ctrl-x');
      await pty.expect(/begun\r\n<one>\r\n/);
      await pty.type("\x18");
      await same(pty, 0);
      await pty.type('$C run --attach "$id" < /dev/null\n');
      await pty.expect(/has a terminal, and stdin is none\r\n\r\nhint: give -i=false/);
      await begin(pty, '$C run --attach "$id"');
      await pty.expect(/begun\r\n<one>\r\n/);
      await pty.type("11\r");
      await same(pty, 11);
    }),
);

test(
  "-t without -i: a terminal for the command, and signals as without one",
  options,
  () =>
    session(async (pty) => {
      await begin(
        pty,
        `$C run -t host sh -c 'test -t 1 && stty size; echo rea""dy; exec sleep 600' < /dev/null`,
      );
      await pty.expect(/33 111\r+\nready\r+\n/);
      await pty.type("\x03");
      await same(pty, 130);
    }),
);

test(
  "-i at a terminal: lines, Ctrl-D, Ctrl-C, and no waiting for a key at the end",
  options,
  () =>
    session(async (pty) => {
      await begin(pty, `$C run -i host sh -c 'echo rea""dy; sed "s/^/got /"'`);
      await pty.expect(/ready\r\n/);
      await pty.type("one\n");
      await pty.expect(/one\r\n/);
      await pty.type("\x04");
      await pty.expect(/got one\r\n/);
      await same(pty, 0);
      await begin(pty, `$C run -i host sh -c 'echo rea""dy; exec sleep 600'`);
      await pty.expect(/ready\r\n/);
      await pty.type("\x03");
      await same(pty, 130);
      await begin(pty, "$C run -i host false");
      await same(pty, 1);
    }),
);

test("-it needs a terminal; another API has none", options, async () => {
  await using server = await serving();
  const none = await cordon(["run", "--api", `${server.url}/${TOKEN}`, "-it", "host", "true"]);
  assert.equal(none.code, 125);
  assert.match(none.stderr, /^cordon: -t needs a terminal, and stdin is none\n/);
  await using other = tinyApi(() => Response.json({ stdout: "", stderr: "" }));
  for (const flag of ["-t", "-i", "-it"]) {
    const { code, stderr } = await cordon(["run", "--api", other.url, flag, "img", "true"]);
    assert.equal(code, 125);
    assert.match(
      stderr,
      /^cordon: Option -\w+ is of no use with an API\n.*; with a cordon serve there is more\n$/,
    );
  }
  assert.deepEqual(other.asked, []);
});
