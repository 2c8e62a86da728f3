import assert from "node:assert/strict";
import { UsageError } from "../../../../lib/errors.ts";
import { allowedImage, imagePattern } from "../../../../lib/serve/policy/images.ts";
import { policyOf } from "./policies.ts";

const A = "a".repeat(64), B = "b".repeat(64);

/** By pattern: what it allows, as the engine is asked for it, and what not. */
const PATTERNS: Record<string, { yes: Record<string, string>; no: string[] }> = {
  "python:3.12": {
    yes: {
      "python:3.12": "docker.io/library/python:3.12",
      "docker.io/library/python:3.12": "docker.io/library/python:3.12",
      "index.docker.io/python:3.12": "docker.io/library/python:3.12",
    },
    no: [
      "python",
      "python:3.13",
      "python:3.12-slim",
      "evil/python:3.12",
      "evil.org/library/python:3.12",
      `python@sha256:${A}`,
      // The tag is for show: the digest decides.
      `python:3.12@sha256:${A}`,
      `sha256:${A}`,
      A,
      "Python:3.12",
      "host",
    ],
  },
  python: { yes: { python: "docker.io/library/python:latest" }, no: ["python:3.12", "pythons", "cpython"] },
  "python:*": {
    yes: {
      python: "docker.io/library/python:latest",
      "python:3.12-slim": "docker.io/library/python:3.12-slim",
      [`python:3@sha256:${A}`]: `docker.io/library/python@sha256:${A}`,
    },
    no: ["x/python", "pythonx:3"],
  },
  [`python@sha256:${A}`]: {
    yes: {
      [`python@sha256:${A}`]: `docker.io/library/python@sha256:${A}`,
      [`python:3.12@sha256:${A}`]: `docker.io/library/python@sha256:${A}`,
    },
    no: ["python", `python@sha256:${B}`, `other@sha256:${A}`, `sha256:${A}`],
  },
  [`sha256:${A}`]: {
    yes: { [`sha256:${A}`]: `sha256:${A}`, [A]: `sha256:${A}` },
    no: [`sha256:${B}`, "python"],
  },
  "ghcr.io/course/*:*": {
    yes: { "ghcr.io/course/r:1": "ghcr.io/course/r:1" },
    no: ["ghcr.io/course/deep/r:1", "ghcr.io/course2/r:1", "ghcr.io.evil.org/course/r:1", "course/r:1"],
  },
  "ghcr.io/course/**:*": {
    yes: { "ghcr.io/course/deep/r:1": "ghcr.io/course/deep/r:1" },
    no: ["ghcr.io/coursedeep/r:1", "ghcr.io/other/r"],
  },
  "localhost:5000/lab:2026-*": {
    yes: { "localhost:5000/lab:2026-1": "localhost:5000/lab:2026-1" },
    no: ["localhost/lab:2026-1", "localhost:5000/lab", "localhost:5000/lab:2025-1"],
  },
  "c0ffee*": {
    // Never by a name that the engine could take for the beginning of an id.
    yes: { c0ffee12: "docker.io/library/c0ffee12:latest" },
    no: ["c0ffe"],
  },
  "**": {
    yes: { "a/b/c:1": "docker.io/a/b/c:1", [A]: `sha256:${A}` },
    no: ["host", "Not A Name", "-x", "a b"],
  },
};

for (const [pattern, { yes, no }] of Object.entries(PATTERNS)) {
  Deno.test(`images: ${pattern}`, () => {
    const policy = policyOf(`images = ["${pattern}"]`);
    for (const [name, full] of Object.entries(yes)) assert.equal(allowedImage(name, policy), full, name);
    for (const name of no.filter((name) => !(pattern === "**" && name === "host"))) {
      assert.equal(allowedImage(name, policy), undefined, name);
    }
  });
}

Deno.test("images: host is this machine where it is listed, and never an image of that name by accident", () => {
  assert.equal(allowedImage("host", policyOf('images = ["host"]')), "host");
  assert.equal(allowedImage("host", policyOf('images = ["**"]')), "docker.io/library/host:latest");
  assert.equal(allowedImage("host", policyOf('images = ["python"]')), undefined);
});

Deno.test("images: an alias stands for one image, which needs no pattern", () => {
  const policy = policyOf(
    `aliases = { python = "python:3.12@sha256:${A}", shell = "host", id = "sha256:${B}" }`,
  );
  assert.equal(allowedImage("python", policy), `docker.io/library/python@sha256:${A}`);
  assert.equal(allowedImage("shell", policy), "host");
  assert.equal(allowedImage("id", policy), `sha256:${B}`);
  for (const name of ["python:latest", "docker.io/library/python", "constructor", "__proto__", "host"]) {
    assert.equal(allowedImage(name, policy), undefined, name);
  }
});

Deno.test("images: what is no pattern is refused", () => {
  for (const text of ["", "***", "UPPER", "a b", "a:b:c", "python@sha256:*", "python@", "/x", "x/"]) {
    assert.throws(() => imagePattern(text), UsageError, text);
  }
});
