/**
 * Where the compiled executable begins: it runs the bundle of `main.ts` with V8's code cache, so that the functions a
 * start needs come as bytecode and the rest of the source is not even parsed. Of 44 ms for `cordon isolate true` that
 * saves 9.
 *
 * Deno's own code cache lies under a predictable name in the shared temporary directory, where another user could
 * plant one. This one lies inside the executable. The build compiles twice: the executable with an empty cache runs
 * once and writes what it compiled on the way. A cache that V8 refuses (of another version of V8, or of other flags)
 * does no harm: it compiles as usual.
 */
import { createRequire } from "node:module";
import { Script } from "node:vm";

const source = Deno.readTextFileSync(`${import.meta.dirname}/bundle`);
const cache = Deno.readFileSync(`${import.meta.dirname}/cache`);
const making = cache.length === 0;
const script = new Script(source, {
  filename: "cordon.js",
  ...(!making && { cachedData: cache as unknown as NodeJS.ArrayBufferView }),
});
if (script.cachedDataRejected && Deno.env.get("CORDON_DEBUG") === "1") {
  console.error("cordon: V8 refuses the code cache");
}

const require = createRequire(import.meta.url);
Object.assign(globalThis, { require }); // for lib/cli/require.ts, to which a bundled script's import.meta says nothing
// To a script of node:vm the global timers are Node's, which are objects; our code is written for Deno's.
script.runInThisContext()(require, {}, { setTimeout, setInterval, clearTimeout, clearInterval });

const place = making && Deno.env.get("CORDON_CODE_CACHE");
if (place) addEventListener("unload", () => Deno.writeFileSync(place, script.createCachedData()));
