/** The file system of portwrap: the caller's own, with devices that programs of a session use. */
import type { Mount } from "../spec/spec.ts";

/** Names below /dev beyond those every sandbox has. */
const DEVICES = /^(nvidia.*|dri|kfd|mqueue|hugepages|infiniband|accel|xdma.*|dxg)$/;

/** All of it, writable; beside the sandbox's own /dev the accelerators that are there. */
export function wholeFileSystem(): Mount[] {
  const devices = [...Deno.readDirSync("/dev")].filter(({ name }) => DEVICES.test(name)).map(({ name }) =>
    `/dev/${name}`
  );
  return [
    { dest: "/", source: "/", kind: "bind", readOnly: false, devices: false, optional: false },
    { dest: "/dev/shm", kind: "tmp", readOnly: false, devices: false, optional: false },
    ...devices.sort().map((path): Mount => ({
      dest: path,
      source: path,
      kind: "bind",
      readOnly: false,
      devices: true,
      optional: true,
    })),
  ];
}
