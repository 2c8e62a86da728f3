import assert from "node:assert/strict";
import { parseConnection } from "../../../lib/jupyter/connection.ts";
import { insideFiles, portsAndSockets, transportFor } from "../../../lib/jupyter/launch.ts";

const PORTS = { shell_port: 5001, iopub_port: 5002, stdin_port: 5003, control_port: 5004, hb_port: 5005 };
const MEMBERS = {
  ...PORTS,
  transport: "tcp",
  ip: "127.0.0.1",
  key: "secret",
  signature_scheme: "hmac-sha256",
};
const connection = parseConnection(JSON.stringify(MEMBERS), "c.json");

Deno.test("the kernel's command line names its own connection file, whole words or what stands in one", () => {
  const inside = "/run/cordon/kernel.json";
  const cases: [file: string, command: string[], expected: string[]][] = [
    ["/run/user/1/k.json", ["p", "-f", "/run/user/1/k.json"], ["p", "-f", inside]],
    ["/k", ["p", "--connection=/k", "x:/k:y"], ["p", `--connection=${inside}`, `x:${inside}:y`]],
    ["k", ["python3", "-m", "ipykernel", "-f", "k"], ["python3", "-m", "ipykernel", "-f", inside]],
    ["k", ["p", "--file=k", "k.k"], ["p", `--file=${inside}`, "k.k"]],
  ];
  for (const [file, command, expected] of cases) {
    assert.deepEqual(insideFiles(connection, { transport: "ipc", file, command }).command, expected);
  }
});

Deno.test("the kernel's connection file has sockets or ports of its own and everything else", () => {
  for (const transport of ["ipc", "tcp"] as const) {
    const [file] = insideFiles(connection, { transport, file: "c", command: ["p"] }).files;
    const { key, signature_scheme, ...rest } = JSON.parse(file!.content);
    assert.deepEqual([key, signature_scheme, rest.transport], ["secret", "hmac-sha256", transport]);
    const ports = Object.entries(rest).filter(([name]) => name.endsWith("_port")).map(([, port]) => port);
    assert.equal(new Set(ports).size, 5);
    if (transport === "tcp") assert.ok(ports.every((port) => Number(port) >= 1024 && Number(port) < 32768));
    if (transport === "tcp") assert.deepEqual(ports.toSorted(), portsAndSockets().map(({ port }) => port));
  }
});

Deno.test("what has no ipc is known by its language", () => {
  assert.deepEqual(["Java", "scala", "python", "R", undefined].map(transportFor), [
    "tcp",
    "tcp",
    "ipc",
    "ipc",
    "ipc",
  ]);
});
