import assert from "node:assert/strict";
import { type Head, parseHead } from "../../../../lib/serve/front/head.ts";
import { refusedSender } from "../../../../lib/serve/front/hosts.ts";

const names = { hosts: ["run.example.org", "*.lab.example.org"], origins: ["https://hub.example.org"] };

function status(host: string, origin?: string, unix = false): number | undefined {
  const line = origin === undefined ? "" : `Origin: ${origin}\r\n`;
  const head = parseHead(`GET / HTTP/1.1\r\nHost: ${host}\r\n${line}\r\n`);
  return refusedSender(head as Head, names, { unix })?.status;
}

Deno.test("addresses, localhost and configured names are answered", () => {
  const answered = [
    "localhost",
    "LOCALHOST:8377",
    "localhost.",
    "127.0.0.1:8377",
    "10.1.2.3",
    "[::1]:8377",
    "run.example.org",
    "Run.Example.Org:443",
    "a.lab.example.org",
  ];
  for (const host of answered) assert.equal(status(host), undefined, host);
});

Deno.test("any other name is one that was made to point here", () => {
  const rebound = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "xrun.example.org",
    "lab.example.org",
    "2130706433",
    "0x7f.1",
    "evil-lab.example.org",
  ];
  for (const host of rebound) assert.equal(status(host), 421, host);
  assert.equal(status("evil.example", undefined, true), undefined);
});

Deno.test("pages of this server and configured ones may call", () => {
  assert.equal(status("localhost:8377", "http://localhost:8377"), undefined);
  assert.equal(status("run.example.org", "https://run.example.org"), undefined);
  assert.equal(status("localhost:8377", "https://hub.example.org"), undefined);
});

Deno.test("pages of others may not", () => {
  const foreign = [
    "https://evil.example",
    "null",
    "",
    "http://localhost",
    "http://localhost:1",
    "http://localhost:8377.evil.example",
    "http://localhost:8377/",
    "file://localhost:8377",
    "http://hub.example.org",
  ];
  for (const origin of foreign) assert.equal(status("localhost:8377", origin), 403, origin);
});
