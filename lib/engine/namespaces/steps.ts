/** What to do to assemble the root, in order: the list that the set-up program carries out. */
export type Step = AnyStep & {
  /** Where symlinks lead on the way to a mount point that is not of our making: see `plain.ts`. */
  place?: string;
};

type AnyStep =
  /** Put this file system (a host directory) in the root's place. */
  | { do: "root"; source: string; readOnly: boolean }
  /** Make the root itself read-only when everything stands in it; mounts stay as they are. */
  | { do: "seal" }
  | { do: "directory"; path: string; mode: number }
  | { do: "file"; path: string; content: string }
  | { do: "symlink"; path: string; target: string }
  /** This text, read-only, in place of a file that is there; through symlinks, which stay within the root. */
  | { do: "text"; dest: string; content: string }
  /** Recursive bind. `own`: the mount point's path is of our making and cannot lead elsewhere. */
  | {
    do: "bind";
    source: string;
    dest: string;
    own: boolean;
    readOnly: boolean;
    devices: boolean;
    /** Skip when the source has gone. */
    optional: boolean;
    /** Skip when what it covers has gone since planning (a socket of a process that has ended). */
    unlessGone?: boolean;
  }
  | {
    do: "tmpfs";
    dest: string;
    own: boolean;
    readOnly: boolean;
    bytes: number;
    mode: number;
    /** As for binds. */
    unlessGone?: boolean;
  }
  | { do: "overlay"; source: string; dest: string; own: boolean }
  | { do: "copy"; source: string; dest: string; type: "directory" | "file"; readOnly: boolean }
  | { do: "devpts"; dest: string }
  /** The caller's terminal, when there is one, at /dev/console: ttyname(3) finds it there. */
  | { do: "console"; dest: string }
  /** A fresh proc, its dangerous parts read-only or covered unless `nested`; more of them for `root`, who owns them. */
  | { do: "proc"; dest: string; nested: boolean; root: boolean };
