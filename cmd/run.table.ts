/** `cordon run`: the table of its options, docker's among them. */
import type { CommandTable, Completion, OptionSpec } from "../lib/cli/command.ts";
import { DOCKER_FLAGS, type DockerFlag } from "../lib/dockerargs/flags.ts";

/** Cordon's own; docker has none of these names. They may stand anywhere before the image. */
export const OWN_OPTIONS: readonly OptionSpec[] = [
  {
    long: "engine",
    value: "NAME",
    default: "as configured, else docker",
    complete: { words: ["docker", "namespaces"] },
    description: "docker (or Podman, by its socket), or namespaces: no image, no daemon",
    details: "With namespaces the image is named host: the programs of this machine, in a root of their own.",
  },
  {
    long: "host",
    value: "ADDRESS",
    complete: "none",
    default: "DOCKER_HOST, the docker context, or the usual sockets",
    description: "Where the engine listens, such as unix:///run/podman/podman.sock",
  },
  {
    long: "api",
    value: "URL",
    env: "CORDON_API",
    complete: "none",
    description: "Send it to a cordon serve, or to any API of Dockyter's contract",
    details:
      "http://HOST:PORT, https://HOST or unix:/PATH. A token stands in the URL as its password or in its path, " +
      "where other users of this machine can see it, unless the URL comes by the variable; or in a file.",
  },
  {
    long: "token-file",
    value: "FILE",
    complete: "file",
    description: "File that holds the token of the API",
  },
  {
    long: "profile",
    value: "NAME",
    complete: "none",
    description: "Begin with the configured line of this name",
    details: "If it names an image, what follows the options is the command.",
  },
  { long: "no-defaults", description: "Do not begin with docker.default_args of the configuration" },
  { long: "no-config", description: "Do not read configuration" },
  {
    long: "check",
    description: "Ask the engine or the API whether it answers, and run nothing",
  },
  {
    long: "script",
    value: "-",
    complete: "none",
    description: "Run the shell script that comes by stdin: bash -lc where there is bash, else sh",
    details: "It is read whole before it starts. What follows the image are its arguments.",
  },
  {
    long: "unprivileged",
    description: "Refuse --privileged and the host's network, however they are spelled",
    details: "The magics of notebooks give it.",
  },
  {
    long: "parent",
    value: "PID",
    complete: "none",
    description: "End when the process that started this one, and has this number, ends",
  },
  {
    long: "best-effort",
    description: "With namespaces: accept limits that hold for each process alone",
  },
];

const FILES = ["cidfile", "env-file", "label-file"];
const VALUES: Partial<Record<DockerFlag["type"], string>> = {
  int: "N",
  size: "SIZE",
  cpus: "N",
  duration: "TIME",
};

function completion(name: string): Completion {
  if (name === "pull") return { words: ["always", "missing", "never"] };
  return FILES.includes(name) ? "file" : "none";
}

/** Docker's flags as help and completions show them. `--help` is everybody's; -h is not hostname's alone. */
const DOCKER_OPTIONS: readonly OptionSpec[] = DOCKER_FLAGS.filter(({ name }) => name !== "help").map(
  (flag) => {
    const { name, short, type, description, value, hidden } = flag;
    return {
      long: name,
      ...(short !== undefined && short !== "h" && { short }),
      ...(type !== "bool" && { value: value ?? VALUES[type] ?? "VALUE", complete: completion(name) }),
      ...(type === "list" && { repeat: true }),
      description,
      ...(name === "hostname" && { details: "Also -h NAME" }),
      group: "Options of docker run",
      ...(hidden && { hidden }),
    };
  },
);

export const RUN_TABLE: CommandTable = {
  name: "run",
  summary: "Run a command in one container, with docker run's command line",
  description:
    "Every option of docker run is taken, by docker's rules: they end at the image, -e A=1, -eA=1 and -e=A=1 are the " +
    "same, and --rm false is --rm and an image named false. What docker's client does on its own (reading files of " +
    "variables, making relative directories absolute, pulling an image that is missing) is done here.\n\n" +
    "The status is the command's own; 125 when cordon or the engine failed, 126 when the command cannot be executed, " +
    "127 when it was not found. Signals are passed on; the third interrupt kills the container.\n\n" +
    "With --api the command is run by a server: as a line of its shell, with the options as they are. -e NAME and " +
    "files of variables are read here, directories are the server's. Interrupted, it gives up the request, and the " +
    "server ends the command. The status is the one it reports, 0 from a server that reports none. From a cordon " +
    "serve output comes while the command runs; with -i stdin and signals go to it as they come, and -t gives it a " +
    "terminal. With -d it goes on by itself and its id is printed; --attach ID shows it from its beginning and, if " +
    "it was begun with -i, gives it its input (-i=false: does not).\n\n" +
    "The first cordon.toml and the first dockyter.toml that are there are read (cordon config path). Their " +
    "docker.default_args stand before what is typed, its image counting where none is typed; --profile takes " +
    "another line instead of it.\n\n" +
    "With --engine namespaces no engine is asked: the image is called host, and -v, --mount, --tmpfs, -e, " +
    "--env-file, -w, -u, -m, --cpus, --pids-limit, --network none, --hostname, --entrypoint and --read-only mean " +
    "what they mean to docker. An option that cannot be honoured there is refused.",
  usage: ["[OPTION…] IMAGE [CMD [ARG…]]", "--profile NAME [OPTION…] [CMD [ARG…]]", "--check [OPTION…]"],
  examples: [
    {
      text: "One command in a container that leaves nothing behind",
      command: "cordon run --rm alpine uname -a",
    },
    {
      text: "No network, half a processor, the directory read-only",
      command:
        'cordon run --rm --network none --cpus 0.5 -m 256m -v "$PWD:/work:ro" -w /work python:3 python3 t.py',
    },
    { text: "A shell", command: "cordon run -it --rm debian bash" },
    {
      text: "On another machine",
      command: "cordon run --api https://run.example.org --token-file token host ls",
    },
    {
      text: "What became of it?",
      command: "cordon run --api https://run.example.org --token-file token --attach ID",
    },
    {
      text: "A shell there, to which you can come back",
      command: "cordon run --api https://run.example.org --token-file token -d -it host bash",
    },
    { text: "As configured under a name", command: "cordon run --profile ml python3 train.py" },
    { text: "A script by stdin", command: "cordon run --rm --script - debian < cell.sh" },
    {
      text: "The same without an image or a daemon",
      command: "cordon run --engine namespaces --script - host < cell.sh",
    },
  ],
  options: [...OWN_OPTIONS, ...DOCKER_OPTIONS],
  operands: [
    { name: "IMAGE", description: "Image to run; host with --engine namespaces" },
    { name: "CMD", description: "Command and arguments instead of the image's", variadic: true },
  ],
  passThrough: true,
  exitUsage: 125,
};
