import assert from "node:assert/strict";
import { closeDoors, type DoorFacts } from "../../../lib/portwrap/doors.ts";

type Look = ReturnType<DoorFacts["look"]>;

function facts(there: Record<string, Look>, more: Partial<DoorFacts> = {}): DoorFacts {
  return {
    uid: 1000,
    user: "ann",
    home: "/home/ann",
    env: {},
    sshConfig: "",
    listening: "",
    look: (path) => there[path],
    real: (path) => path,
    ...more,
  };
}

const directory: Look = { type: "directory", uid: 1000 }, socket: Look = { type: "other", uid: 1000 };
const closed = (f: DoorFacts, open: string[] = []) =>
  closeDoors(f, open).map(({ dest, kind }) => `${kind} ${dest}`);

Deno.test("directories become empty ones that can be written, sockets are hidden, what is not there is left", () => {
  const there = { "/tmp/.X11-unix": directory, "/run/user/1000": directory, "/run/docker.sock": socket };
  assert.deepEqual(closed(facts(there)), [
    "tmp /tmp/.X11-unix",
    "tmp /run/user/1000",
    "hide /run/docker.sock",
  ]);
  const modes = closeDoors(facts(there), []).map(({ mode }) => mode);
  assert.deepEqual(modes, [0o1777, 0o700, undefined]);
});

Deno.test("a door is opened by name or by path", () => {
  const there = { "/tmp/.X11-unix": directory, "/run/docker.sock": socket, "/run/podman": directory };
  assert.deepEqual(closed(facts(there), ["x11", "/run/docker.sock"]), ["tmp /run/podman"]);
});

const LISTENING = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 11 /home/ann/.ssh/cm-x@y:22
0000000000000000: 00000002 00000000 00010000 0001 01 12 /home/ann/a file
0000000000000000: 00000002 00000000 00000000 0002 01 13 /home/ann/datagrams
0000000000000000: 00000002 00000000 00010000 0001 01 14 /srv/bob
0000000000000000: 00000002 00000000 00010000 0001 01 15 /run/user/1000/bus
0000000000000000: 00000002 00000000 00010000 0001 01 16 @abstract
`;

Deno.test("listening sockets of the user's own are closed wherever they lie, others' are not", () => {
  const there = {
    "/home/ann/.ssh/cm-x@y:22": socket,
    "/home/ann/a file": socket,
    "/home/ann/datagrams": socket,
    "/srv/bob": { type: "other", uid: 1001 } as Look,
    "/run/user/1000": directory,
    "/run/user/1000/bus": socket,
  };
  assert.deepEqual(closed(facts(there, { listening: LISTENING })), [
    "tmp /run/user/1000",
    "hide /home/ann/.ssh/cm-x@y:22",
    "hide /home/ann/a file",
  ]);
});

Deno.test("directories of ControlPath are closed, those that hold other things are not", () => {
  const sshConfig =
    "Host *\n  ControlPath ~/.ssh/mux/%r@%h\n ControlPath=/tmp/%C\ncontrolpath %d/.c/x\nControlPath ~/.ssh/%C\n";
  const there = Object.fromEntries(
    ["/home/ann/.ssh/mux", "/tmp", "/home/ann/.c", "/home/ann/.ssh", "/home/ann"].map((
      path,
    ) => [path, directory]),
  );
  assert.deepEqual(closed(facts(there, { sshConfig })), ["tmp /home/ann/.ssh/mux", "tmp /home/ann/.c"]);
});

Deno.test("a symlink in /tmp is not followed: it is somebody's trap", () => {
  const there = { "/tmp/tmux-1000": { type: "symlink", uid: 1001 } as Look, "/home/ann": directory };
  assert.deepEqual(
    closed(facts(there, { real: (path) => path === "/tmp/tmux-1000" ? "/home/ann" : path })),
    [],
  );
});
