/**
 * Podman gives a container 1048576 open files and as many processes as soon as its request sets any limit of its own,
 * also where it may not have so many itself; then nothing starts ("error setting rlimit type 7").
 */

export interface Ulimit {
  Name: string;
  Soft: number;
  Hard: number;
}

/** By the name in /proc: Podman's, and the most that is given. Podman lowers its own processes to 32768. */
const KINDS: Record<string, { Name: string; most: number }> = {
  "Max open files": { Name: "nofile", most: 1048576 },
  "Max processes": { Name: "nproc", most: 32768 },
};

/** The hard limits in a text as /proc/self/limits has it (proc_pid_limits(5)), for a container. Pure. */
export function hardLimits(text: string): Ulimit[] {
  return text.split("\n").flatMap((line) => {
    const [, name = "", hard = ""] = /^(Max [a-z ]+?) {2,}\S+ +(\S+)/.exec(line) ?? [];
    const kind = KINDS[name];
    if (kind === undefined || !/^\d+$/.test(hard)) return [];
    const value = Math.min(Number(hard), kind.most);
    return [{ Name: kind.Name, Soft: value, Hard: value }];
  });
}

/** A request's limits, and of the others those given that it does not set; none when it sets none. */
export function completed(asked: unknown, others: readonly Ulimit[]): unknown {
  if (!Array.isArray(asked) || asked.length === 0) return asked;
  const names = new Set((asked as Ulimit[]).map(({ Name }) => Name));
  return [...asked, ...others.filter(({ Name }) => !names.has(Name))];
}
