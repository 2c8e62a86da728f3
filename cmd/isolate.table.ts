/** `cordon isolate`: the table of its options. */
import type { CommandTable, OptionSpec } from "../lib/cli/command.ts";
import { LIMIT_OPTIONS, NETWORK_OPTIONS } from "./shared.options.ts";

const FILES: OptionSpec[] = [
  {
    long: "mnt",
    short: "m",
    value: "LIST",
    repeat: true,
    group: "Files",
    env: "MNTDIRS",
    default: "the current directory",
    complete: "dir",
    description: "Mounts, separated by spaces: [flags:]DEST[=SOURCE]",
    details:
      "Relative names are resolved; absolute ones and ~ appear inside as typed. SOURCE none hides DEST. " +
      "Flags, separated by commas: ro rw rbind bind move dev tmp copy overlay try. An explicit list, and " +
      "--mount, replace what MNTDIRS says.",
  },
  {
    long: "mount",
    value: "JSON",
    repeat: true,
    group: "Files",
    complete: "none",
    description: "One mount as a JSON object, for names with spaces, colons, commas or equals signs",
    details: 'The object is {"dest": …, "source": …, "flags": […]}.',
  },
  {
    long: "workdir",
    value: "DIR",
    group: "Files",
    complete: "dir",
    default: "the current directory where it exists inside, else the home directory",
    description: "Start in DIR; it must exist inside",
  },
  {
    long: "base-dir",
    short: "b",
    value: "DIR",
    group: "Files",
    env: "NI_BASEDIR",
    complete: "dir",
    description: "Assemble the root on the directory DIR",
  },
  { long: "sys", group: "Files", description: "Show /sys, read-only (GPU and MPI programs look there)" },
];

const IDENTITY: OptionSpec[] = [
  { long: "map-root", group: "Identity and environment", description: "Appear as uid 0 inside" },
  {
    long: "hostname",
    value: "NAME",
    group: "Identity and environment",
    complete: "none",
    description: "Name of the host inside",
  },
  {
    long: "env",
    value: "NAME[=VALUE]",
    repeat: true,
    group: "Identity and environment",
    complete: "none",
    description: "Set a variable inside, or pass the caller's",
    details: "Without this only PATH, HOME, USER, LOGNAME, SHELL, LANG, LC_*, TERM and TZ are passed.",
  },
  {
    long: "keep-env",
    value: "PATTERN",
    repeat: true,
    group: "Identity and environment",
    complete: "none",
    description: "Pass the caller's variables whose names match, such as 'SLURM_*'",
  },
  {
    long: "keep-fd",
    value: "N",
    repeat: true,
    group: "Identity and environment",
    complete: "none",
    description: "Leave descriptor N open for the program",
  },
  {
    long: "raw-stdio",
    group: "Identity and environment",
    description: "Hand down regular files on descriptors 0 to 2 as they are",
    details: "Otherwise they go through a pipe, because a program can reopen a file it holds for reading.",
  },
  {
    long: "nested",
    group: "Identity and environment",
    description: "Let the program make sandboxes of its own (not for root)",
  },
  {
    long: "seccomp",
    value: "FILE",
    group: "Identity and environment",
    complete: "file",
    description: "Filter system calls by this Docker or OCI profile (JSON) instead of the built-in one",
  },
];

const NETWORK: OptionSpec[] = [
  ...NETWORK_OPTIONS,
  { long: "no-net", hidden: true, description: "Refused: it gave the host's network" },
];

const LIMITS: OptionSpec[] = LIMIT_OPTIONS.map((option) =>
  option.long === "tmp-size" ? { ...option, env: "NI_TMPFS_SIZE" } : option
);

const RUNNING: OptionSpec[] = [
  {
    long: "verbose",
    short: "v",
    group: "Running",
    env: "VERBOSE",
    description: "Say each set-up step on stderr",
  },
  {
    long: "result",
    value: "FILE|fd:N",
    group: "Running",
    complete: "file",
    description: "Write one JSON object on how it ended, however it ended",
  },
  {
    long: "explain",
    group: "Running",
    description: "Print what would be done, in full, and do nothing",
  },
  {
    long: "emit",
    value: "FILE",
    group: "Running",
    complete: "file",
    description: "Save this sandbox as an executable that needs no cordon",
  },
  {
    long: "check",
    group: "Running",
    description: "Try each step on this machine and say what does not work and what mends it",
  },
];

export const ISOLATE_TABLE: CommandTable = {
  name: "isolate",
  summary: "Run a program that sees only what you name: no root, no image",
  description:
    "Runs PROG with a root of its own: the system's programs and libraries read-only, an empty home and /tmp, no " +
    "network, and what --mnt names (the current directory if nothing does). Without PROG it starts $SHELL.\n\n" +
    "The status is the program's; 124 after the time limit, 137 after the memory or output limit, 125 when cordon " +
    "itself failed, 126 and 127 when PROG cannot be executed or is not found.",
  usage: ["[OPTION…] [--] [PROG [ARG…]]"],
  examples: [
    { text: "Look around inside", command: "cordon isolate -- sh -c 'id; ls /'" },
    { text: "A shell that sees this directory and nothing else of yours", command: "cordon isolate" },
    {
      text: "A student's script: data read-only, half a gigabyte, ten seconds",
      command: "cordon isolate -m '. ro:data' --memory 512M --time 10 --best-effort -- python3 solution.py",
    },
    {
      text: "Hide one file of a directory",
      command: "cordon isolate -m '. ./answers.txt=none' -- ls -l",
    },
    { text: "Keep the network", command: "cordon isolate --network host -- curl https://example.org" },
    { text: "Can this machine do it?", command: "cordon isolate --check" },
  ],
  options: [...FILES, ...NETWORK, ...LIMITS, ...IDENTITY, ...RUNNING],
  operands: [
    { name: "PROG", description: "The program to run", complete: "command" },
    { name: "ARG", description: "Its arguments", variadic: true, complete: "file" },
  ],
  passThrough: true,
  exitUsage: 125,
};
