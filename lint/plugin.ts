/**
 * The house rules that a reader cannot be asked to check: which folder may import which, and which folder may talk
 * to the network or to foreign code. tests/, bench/ and lint/ are free of them.
 */
import { SYSCALLS } from "../ffi/syscalls.ts";

/** What each layer may import. `main.ts` → `cmd/` → `lib/` → `ffi/`, one way. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "main.ts": ["cmd", "lib"],
  cmd: ["cmd", "lib", "assets"],
  lib: ["lib", "ffi", "assets", "deno.json"],
  ffi: ["ffi"],
};

const OUTGOING = ["connect", "connectTls", "createHttpClient", "startTls"];
const INCOMING = ["serve", "listen", "listenTls", "listenDatagram"];
const FOREIGN = /^(dlopen|Unsafe.*)$/;
const NETWORK_MODULE = /^(node:)?(net|tls|dgram|http|https|http2)$/;

/** Whether `path` lies in one of `folders` (relative to the checkout, no slash at the end). */
function within(path: string, folders: readonly string[]): boolean {
  return folders.some((folder) => path.startsWith(folder + "/"));
}

const CHECKOUT = decodeURIComponent(new URL("../", import.meta.url).pathname);

/** The path of a linted file relative to the checkout; `undefined` for files the rules do not cover. */
function covered(filename: string): string | undefined {
  const path = filename.replace(/^file:\/\//, "");
  const relative = path.startsWith(CHECKOUT) ? path.slice(CHECKOUT.length) : path;
  return layerOf(relative) in MAY_IMPORT ? relative : undefined;
}

function layerOf(relative: string): string {
  return relative.split("/")[0] ?? relative;
}

/** Where a relative import leads, relative to the checkout; `undefined` for npm: and node: ones. */
function target(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return decodeURIComponent(new URL(specifier, `file:///${from}`).pathname).slice(1);
}

/** Calls `found` with each module name that a file imports, re-exports or loads by `import()`. */
function onImport(found: (specifier: string, node: Deno.lint.Node) => void): Deno.lint.LintVisitor {
  return {
    ImportDeclaration: (node) => found(node.source.value, node),
    ExportAllDeclaration: (node) => found(node.source.value, node),
    ExportNamedDeclaration: (node) => {
      if (node.source) found(String((node.source as Deno.lint.StringLiteral).value), node);
    },
    ImportExpression: (node) => {
      if (node.source.type === "Literal" && typeof node.source.value === "string") {
        found(node.source.value, node);
      }
    },
  };
}

/** Calls `found` with each `Deno.NAME` of a file: as a member, by a literal key, or taken apart. */
function onDeno(found: (name: string, node: Deno.lint.Node) => void): Deno.lint.LintVisitor {
  return {
    MemberExpression(node) {
      if (!isDeno(node.object)) return;
      if (node.property.type === "Identifier" && !node.computed) found(node.property.name, node);
      if (node.property.type === "Literal") found(String(node.property.value), node);
    },
    VariableDeclarator(node) {
      if (node.id.type !== "ObjectPattern" || !node.init || !isDeno(node.init)) return;
      for (const property of node.id.properties) {
        if (property.type === "Property" && property.key.type === "Identifier") {
          found(property.key.name, node);
        }
      }
    },
  };
}

function isDeno(node: Deno.lint.Node): boolean {
  if (node.type === "Identifier") return node.name === "Deno";
  return isMember(node, "globalThis", "Deno");
}

function isMember(node: Deno.lint.Node, object: string, property: string): boolean {
  return node.type === "MemberExpression" && node.object.type === "Identifier" &&
    node.object.name === object &&
    node.property.type === "Identifier" && node.property.name === property;
}

/** A rule for uses of `Deno.NAME` that only some folders may have. */
function reserved(
  folders: readonly string[],
  options: { names: (name: string) => boolean; message: string },
): Deno.lint.Rule {
  return {
    create(context) {
      const file = covered(context.filename);
      if (file === undefined || within(file, folders)) return {};
      return onDeno((name, node) => {
        if (options.names(name)) context.report({ node, message: `Deno.${name}: ${options.message}` });
      });
    },
  };
}

const importTable: Deno.lint.Rule = {
  create(context) {
    const file = covered(context.filename);
    if (file === undefined) return {};
    const allowed = MAY_IMPORT[layerOf(file)] ?? [];
    return onImport((specifier, node) => {
      const to = target(file, specifier);
      if (to === undefined || allowed.includes(layerOf(to))) return;
      context.report({
        node,
        message: `${layerOf(file)} must not import ${layerOf(to)}`,
        hint: `imports point one way: main.ts, cmd, lib, ffi; ${layerOf(file)} may import ${
          allowed.join(", ")
        }`,
      });
    });
  },
};

const CLIENTS = ["lib/docker", "lib/hub", "lib/api"];

const outgoingCalls: Deno.lint.Rule = {
  create(context) {
    const file = covered(context.filename);
    if (file === undefined || within(file, CLIENTS)) return {};
    const message = `outgoing connections belong in ${CLIENTS.join(", ")}`;
    return {
      CallExpression(node) {
        const bare = node.callee.type === "Identifier" && node.callee.name === "fetch";
        if (bare || isMember(node.callee, "globalThis", "fetch")) {
          context.report({ node, message: `fetch: ${message}` });
        }
      },
      NewExpression(node) {
        if (node.callee.type === "Identifier" && /^(WebSocket|EventSource)$/.test(node.callee.name)) {
          context.report({ node, message: `${node.callee.name}: ${message}` });
        }
      },
    };
  },
};

const networkModules: Deno.lint.Rule = {
  create(context) {
    const file = covered(context.filename);
    if (file === undefined || within(file, [...CLIENTS, "lib/serve"])) return {};
    return onImport((specifier, node) => {
      if (!NETWORK_MODULE.test(specifier)) return;
      context.report({
        node,
        message: `${specifier}: only ${CLIENTS.join(", ")} and lib/serve use the network`,
      });
    });
  },
};

/** An integer literal of at least `least` and below `end`. */
function isInteger(node: Deno.lint.Node | null, { least = 0, end = Infinity } = {}): boolean {
  if (node?.type !== "Literal" || typeof node.value !== "number") return false;
  return Number.isInteger(node.value) && node.value >= least && node.value < end;
}

/** Shorter lists of bytes are something else: a file's signature, an address. */
const CODE_BYTES = 8;

/** Tables of system call numbers, and machine code written as bytes. */
const numbersAndCode: Deno.lint.Rule = {
  create(context) {
    const file = covered(context.filename);
    if (file === undefined || within(file, ["ffi"])) return {};
    return {
      Property(node) {
        const { key, value } = node;
        const name = key.type === "Identifier" ? key.name : key.type === "Literal" ? String(key.value) : "";
        if (!Object.hasOwn(SYSCALLS, name) || value.type !== "ArrayExpression") return;
        if (value.elements.length !== 2 || !value.elements.every((number) => isInteger(number))) return;
        context.report({ node, message: `${name}: numbers of system calls belong in ffi/syscalls.ts` });
      },
      ArrayExpression(node) {
        if (node.elements.length < CODE_BYTES) return;
        if (!node.elements.every((byte) => isInteger(byte, { end: 256 }))) return;
        const hexadecimal = node.elements.filter((byte) => byte?.type === "Literal" && /^0x/i.test(byte.raw));
        if (2 * hexadecimal.length < node.elements.length) return;
        context.report({ node, message: "machine code belongs in ffi" });
      },
    };
  },
};

export default {
  name: "cordon",
  rules: {
    "import-table": importTable,
    "outgoing-only-in-clients": outgoingCalls,
    // A front probes the socket whose place it takes, and speaks to the runtime's server behind it.
    "outgoing-sockets-only-in-clients": reserved([...CLIENTS, "lib/serve/front"], {
      names: (name) => OUTGOING.includes(name),
      message: `outgoing connections belong in ${CLIENTS.join(", ")}`,
    }),
    "incoming-only-in-serve": reserved(["lib/serve"], {
      names: (name) => INCOMING.includes(name),
      message: "listening belongs in lib/serve",
    }),
    "network-modules": networkModules,
    "numbers-and-code-only-in-ffi": numbersAndCode,
    "foreign-code-only-in-ffi": reserved(["ffi"], {
      names: (name) => FOREIGN.test(name),
      message: "dlopen, pointers and callbacks of foreign code belong in ffi",
    }),
  },
} satisfies Deno.lint.Plugin;
