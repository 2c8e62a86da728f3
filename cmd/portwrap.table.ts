/** `cordon portwrap`: the table of its options. */
import type { CommandTable, OptionSpec } from "../lib/cli/command.ts";
import { DOOR_NAMES } from "../lib/portwrap/doors.ts";
import { LIMIT_OPTIONS, NETWORK_OPTIONS } from "./shared.options.ts";

const PORTS: OptionSpec[] = [
  {
    long: "host-port",
    short: "p",
    value: "PORT",
    group: "Ports",
    complete: "none",
    default: "under JupyterHub the port it chose",
    description: "Listen on PORT outside; 0 takes a free one",
  },
  {
    long: "guest-port",
    short: "P",
    value: "PORT",
    group: "Ports",
    complete: "none",
    default: "8888",
    description: "Where the program listens inside, on 127.0.0.1 or ::1",
  },
  {
    long: "host-addr",
    value: "ADDR",
    group: "Ports",
    complete: "none",
    default: "127.0.0.1; under JupyterHub the address it chose",
    description: "Listen on this address of the machine; 0.0.0.0 or :: for all",
  },
  {
    long: "forward",
    value: "HOST:GUEST",
    repeat: true,
    group: "Ports",
    complete: "none",
    description: "One more port: [ADDR:]PORT outside, [ADDR:]PORT inside, such as 9000:80 or [::1]:9000:80",
  },
  {
    long: "ready",
    value: "FILE|fd:N",
    group: "Ports",
    complete: "file",
    description: "Write one JSON object with the process id and the ports once they are bound",
  },
];

const HUB: OptionSpec[] = [
  {
    long: "batchspawner",
    group: "JupyterHub",
    description: "Take the place of batchspawner-singleuser: choose a port and tell the Hub",
    details: "The port is bound before the Hub hears of it and kept; nobody can take it in between.",
  },
  {
    long: "install-batchspawner",
    value: "DIR",
    group: "JupyterHub",
    complete: "dir",
    description: "Write the script batchspawner-portwrap, for c.Spawner.cmd, to DIR, and do nothing else",
  },
  {
    long: "portwrap-path",
    value: "PATH",
    complete: "file",
    hidden: true,
    description: "Accepted as the original did; cordon needs no other program",
  },
];

const FILES: OptionSpec[] = [
  {
    long: "open",
    value: "DOOR",
    repeat: true,
    group: "Files",
    complete: { words: DOOR_NAMES },
    description: `Leave a way around the network open: ${DOOR_NAMES.join(", ")}, or a socket's path`,
  },
  {
    long: "mnt",
    short: "m",
    value: "LIST",
    repeat: true,
    group: "Files",
    complete: "dir",
    description: "Change what is seen: [flags:]DEST[=SOURCE], separated by spaces, as in cordon isolate",
    details: "All files are there unless this says otherwise: DIR=none hides, ro:DIR makes read-only.",
  },
  {
    long: "mount",
    value: "JSON",
    repeat: true,
    group: "Files",
    complete: "none",
    description: "One such mount as a JSON object, for names with spaces, colons, commas or equals signs",
  },
];

const NETWORK: OptionSpec[] = NETWORK_OPTIONS.map((option) =>
  option.long !== "allow" ? option : {
    ...option,
    value: "HOST:PORT|proxy",
    description: "Reach this one destination under its own name and address; proxy: those of http_proxy",
    details: "Under JupyterHub the Hub's own addresses are allowed by themselves.",
  }
);

/** Everything is to be over two seconds after SIGTERM. */
export const GRACE_SECONDS = 1.5;

const RUNNING: OptionSpec[] = [
  {
    long: "grace",
    value: "TIME",
    group: "Running",
    complete: "none",
    default: String(GRACE_SECONDS),
    description: "How long PROG has to end after SIGTERM or Ctrl-C, such as 1.5, 500ms or 1m",
    details: "Then it is killed with everything that it has started. For a program to which Ctrl-C means " +
      "something else, such as an interpreter, give a long time.",
  },
  { long: "verbose", short: "v", group: "Running", description: "Say each set-up step on stderr" },
  {
    long: "result",
    value: "FILE|fd:N",
    group: "Running",
    complete: "file",
    description: "Write one JSON object on how it ended, however it ended",
  },
  { long: "explain", group: "Running", description: "Print what would be done, in full, and do nothing" },
];

const LIMITS: OptionSpec[] = LIMIT_OPTIONS.map((option) =>
  option.long !== "tmp-size" ? option : {
    ...option,
    default: "half of the machine's memory",
    description: "Size of /dev/shm and of the other directories that are the session's own, each",
  }
);

export const PORTWRAP_TABLE: CommandTable = {
  name: "portwrap",
  summary: "Run a server whose one port is reachable and nothing else of it: no root",
  description:
    "PROG runs with the user's own files and a network of its own. Connections to the host port are carried to the " +
    "guest port; no other port that PROG or its children open can be reached by anybody. Nothing outside can be " +
    "reached from inside, except what --allow names. In PROG's arguments {host-port} and {guest-port} stand for the ports.\n\n" +
    "Without -p and --forward it looks for what JupyterHub says: --port among the arguments, else the variable " +
    "JUPYTERHUB_SERVICE_URL; the program is then told its guest port and can reach the Hub.\n\n" +
    "The status is the program's; 125 when cordon itself failed, 126 and 127 when PROG cannot be executed or is not found.",
  usage: ["-p PORT -P PORT [OPTION…] [--] PROG [ARG…]", "--install-batchspawner DIR"],
  examples: [
    {
      text: "A notebook server, reachable on port 8000 of this machine",
      command: "cordon portwrap -p 8000 -P 8888 -- jupyter lab --port={guest-port}",
    },
    {
      text: "A free port, told in a file",
      command: "cordon portwrap -p 0 -P 80 --ready ready.json -- python3 -m http.server {guest-port}",
    },
    {
      text: "Two ports and one destination outside",
      command:
        "cordon portwrap -p 8000 -P 8000 --forward 9000:9000 --allow pypi.org:443 -- ./app --port {guest-port}",
    },
    {
      text: "In jupyterhub_config.py: c.BatchSpawnerBase.batchspawner_singleuser_cmd",
      command: "cordon portwrap --batchspawner -- jupyterhub-singleuser",
    },
  ],
  options: [...PORTS, ...NETWORK, ...HUB, ...FILES, ...LIMITS, ...RUNNING],
  operands: [
    { name: "PROG", description: "The program to run", complete: "command" },
    { name: "ARG", description: "Its arguments", variadic: true, complete: "file" },
  ],
  passThrough: true,
  exitUsage: 125,
};
