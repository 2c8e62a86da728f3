import assert from "node:assert/strict";
import { CordonError } from "../../../lib/errors.ts";
import { parseAnswer } from "../../../lib/jupyter/probe.ts";
import { askPython, isPythonName, onPath } from "../../../lib/jupyter/python.ts";
import { program, test } from "../../helpers/need.ts";
import { run, tmp } from "../../helpers/run.ts";
import { SYSTEM } from "./answers.ts";

Deno.test("the answer is the last line; null means no ipykernel", () => {
  const text = `a site says hello\n\n${JSON.stringify({ ...SYSTEM, ipykernel: null })}\n`;
  const { ipykernel: _, ...rest } = SYSTEM;
  assert.deepEqual(parseAnswer(text, "python3"), rest);
  assert.deepEqual(parseAnswer(JSON.stringify(SYSTEM), "python3"), SYSTEM);
});

for (const text of ["", "hello", "{}", '{"executable": null}', '{"executable": ""}']) {
  Deno.test(`no answer: ${JSON.stringify(text)}`, () => {
    assert.throws(() => parseAnswer(text, "/x/python3"), (error) => {
      return error instanceof CordonError && error.message.includes("/x/python3");
    });
  });
}

Deno.test("names of Pythons", () => {
  for (const name of ["python", "/usr/bin/python3", "python3.13", "pypy3"]) {
    assert.ok(isPythonName(name), name);
  }
  for (const name of ["ipython", "R", "python3-config", "bpython"]) assert.ok(!isPythonName(name), name);
});

Deno.test("the search path: executables only, absolute directories only, in order", () => {
  const [a, b] = [tmp(), tmp()];
  Deno.writeTextFileSync(`${a}/p`, "", { mode: 0o644 });
  Deno.writeTextFileSync(`${b}/p`, "", { mode: 0o755 });
  Deno.mkdirSync(`${b}/q`);
  assert.deepEqual(onPath(["p", "q"], `${a}::.:/nonexistent:${b}`), [`${b}/p`]);
});

Deno.test("a Python that fails is told with its last words", () => {
  const directory = tmp();
  Deno.writeTextFileSync(`${directory}/python3`, "#!/bin/sh\necho broken >&2\nexit 3\n", { mode: 0o755 });
  assert.throws(() => askPython(`${directory}/python3`), (error) => {
    return error instanceof CordonError && error.why === "it ended with status 3: broken";
  });
});

const DEBIAN = "/usr/bin/python3";

test(
  "a real Python: a virtual environment knows itself and its base",
  { needs: [program(DEBIAN)] },
  async () => {
    const root = `${tmp()}/my env`;
    const made = await run([DEBIAN, "-m", "venv", "--without-pip", root]);
    assert.equal(made.code, 0, made.stderr);
    const site = Array.from(Deno.readDirSync(`${root}/lib`))[0]!.name;
    const packages = `${root}/lib/${site}/site-packages`;
    const editable = tmp();
    Deno.writeTextFileSync(`${packages}/editable.pth`, `${editable}\n`);
    const answer = askPython(`${root}/bin/python3`);
    assert.equal(answer.executable, `${root}/bin/python3`);
    assert.equal(answer.prefix, root);
    assert.equal(answer.basePrefix, "/usr");
    assert.equal(answer.ipykernel, undefined);
    assert.equal(answer.chain[0]!.path, `${root}/bin/python3`);
    assert.equal(answer.chain.at(-1)!.path, Deno.realPathSync(DEBIAN));
    const paths = answer.path.map(({ path }) => path);
    assert.ok(paths.includes(packages) && paths.includes(editable), paths.join("\n"));

    Deno.mkdirSync(`${packages}/ipykernel`);
    Deno.writeTextFileSync(`${packages}/ipykernel/__init__.py`, "");
    Deno.symlinkSync("python3", `${root}/bin/again`); // each name is asked once
    assert.equal(askPython(`${root}/bin/again`).ipykernel, "");
  },
);
