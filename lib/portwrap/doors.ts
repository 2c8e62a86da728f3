/**
 * Doors: places in the file system that lead around a closed network. Somebody who is let in at one of them has a
 * program outside act for him: a display server, a container engine, a terminal multiplexer, a shared ssh connection.
 */
import { posix } from "node:path";
import type { Mount } from "../spec/spec.ts";

/** What finding the doors looks at. */
export interface DoorFacts {
  uid: number;
  user: string;
  home: string;
  env: Readonly<Record<string, string | undefined>>;
  /** Text of the ssh client's configuration files. */
  sshConfig: string;
  /** Sockets that listen outside: /proc/net/unix. */
  listening: string;
  /** Type and owner of a path, a final symlink not followed; undefined when nothing is there. */
  look(path: string): { type: "directory" | "symlink" | "other"; uid: number } | undefined;
  /** Its real path, or the path itself. */
  real(path: string): string;
}

interface Door {
  name: string;
  paths(facts: DoorFacts): string[];
}

const DOORS: readonly Door[] = [
  { name: "x11", paths: () => ["/tmp/.X11-unix", "/tmp/.ICE-unix"] },
  { name: "runtime", paths: ({ uid, env }) => [`/run/user/${uid}`, ...given(env["XDG_RUNTIME_DIR"])] },
  {
    name: "containers",
    paths: ({ home, env }) => [
      ...["docker.sock", "docker", "podman", "containerd", "crio", "buildkit"].map((name) => `/run/${name}`),
      `${home}/.docker/run`,
      `${home}/.docker/desktop`,
      ...given(/^unix:\/\/(\/.*)$/.exec(env["DOCKER_HOST"] ?? "")?.[1]),
    ],
  },
  { name: "tmux", paths: (facts) => [`${facts.env["TMUX_TMPDIR"] || "/tmp"}/tmux-${facts.uid}`] },
  {
    name: "screen",
    paths: ({ user, home, env }) => [
      ...["/run/screen", "/run/screens", "/tmp/screens", "/tmp/uscreens"].map((path) => `${path}/S-${user}`),
      `${home}/.screen`,
      ...given(env["SCREENDIR"]),
    ],
  },
  { name: "ssh", paths: controlDirectories },
  {
    name: "system",
    paths: () =>
      [
        ...["dbus/system_bus_socket", "systemd/private", "snapd.socket", "snapd-snap.socket", "libvirt"],
        ...["lxd.socket", "lxd-user", "incus"],
        // Whoever may ask for any name has a way to send.
        ...["systemd/resolve/io.systemd.Resolve", "systemd/resolve/io.systemd.Resolve.Monitor"],
        "avahi-daemon/socket",
      ].map((name) => `/run/${name}`).concat("/var/snap/lxd/common/lxd/unix.socket"),
  },
  { name: "sockets", paths: ownSockets },
];

/** The names that `--open` takes; `sockets` are those of the user's other processes, wherever they lie. */
export const DOOR_NAMES: readonly string[] = DOORS.map(({ name }) => name);

/** The door of this name, as `--open` takes it. */
export function doorOf(name: string): string | undefined {
  return DOOR_NAMES.find((known) => known === name);
}

/** Directories where the runtime of a session expects 0700 and its owner; others are open to all, as outside. */
const SHARED = ["/tmp/.X11-unix", "/tmp/.ICE-unix"];

/**
 * Mounts that close the doors which are there, except those opened by name or path. A directory is replaced by an empty
 * one that can be written: a display server or a multiplexer started inside puts its own socket there.
 */
export function closeDoors(facts: DoorFacts, open: readonly string[]): Mount[] {
  const opened = new Set(open.map((path) => facts.real(path.replace(/^~(?=\/)/, facts.home))));
  const closed = new Map<string, Mount>();
  for (const { name, paths } of DOORS) {
    if (opened.has(name) || open.includes(name)) continue;
    for (const path of paths(facts)) {
      const found = facts.look(path);
      // A symlink in a directory that everybody writes to is somebody's trap.
      if (!found || (found.type === "symlink" && path.startsWith("/tmp/"))) continue;
      const dest = facts.real(path);
      if (opened.has(dest) || [...closed.keys()].some((outer) => dest.startsWith(outer + "/"))) continue;
      const directory = facts.look(dest)?.type === "directory";
      closed.set(dest, {
        dest,
        kind: directory ? "tmp" : "hide",
        readOnly: !directory,
        devices: false,
        optional: true,
        ...(directory && { mode: SHARED.includes(path) ? 0o1777 : 0o700 }),
      });
    }
  }
  return [...closed.values()];
}

function given(path: string | undefined): string[] {
  return path?.startsWith("/") ? [path] : [];
}

/** Directories that `ControlPath` names (ssh_config(5)), unless they hold other things too. */
function controlDirectories({ home, sshConfig }: DoorFacts): string[] {
  const shared = ["/", "/tmp", "/var/tmp", "/run", home, `${home}/.ssh`];
  const found = [`${home}/.ssh/sockets`, `${home}/.ssh/cm`, `${home}/.ssh/control`, `${home}/.ansible/cp`];
  for (const [, typed = ""] of sshConfig.matchAll(/^\s*ControlPath[ \t=]+"?([^"\n]+?)"?\s*$/gim)) {
    const path = typed.replace(/^~(?=\/)/, home).replaceAll("%d", home);
    const directory = posix.dirname(path.replace(/[^/]*%.*$/, "x"));
    if (directory.startsWith("/") && !shared.includes(posix.normalize(directory))) found.push(directory);
  }
  return found;
}

/** __SO_ACCEPTCON in the Flags column: the socket listens. */
const LISTENS = 0x10000;

/**
 * Sockets on which the user's other processes listen. For root those of the machine's services are not meant: name
 * lookups go through some of them.
 */
function ownSockets({ uid, listening, look }: DoorFacts): string[] {
  const found = new Set<string>();
  for (const line of listening.split("\n").slice(1)) {
    const match = /^\S+ \S+ \S+ (\S+) \S+ \S+ +\d+ (\/.*)$/.exec(line);
    if (!match || !(parseInt(match[1]!, 16) & LISTENS)) continue;
    const path = match[2]!;
    if (uid === 0 && /^\/(run|var|dev)\//.test(path)) continue;
    if (look(path)?.uid === uid) found.add(path);
  }
  return [...found];
}
