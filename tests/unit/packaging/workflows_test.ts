/** The workflows do what README, CI and install.sh say: they cannot be run here, so their text is held to that. */
import assert from "node:assert/strict";

const CHECKOUT = new URL("../../../", import.meta.url).pathname;
const read = (path: string) => Deno.readTextFileSync(CHECKOUT + path);

Deno.test("the workflow of a push runs what CI runs, and that is README's test command", () => {
  assert.match(read(".github/workflows/test.yml"), /- run: sudo \.ci\/run$/m);
  assert.match(read(".ci/run"), /^CORDON_TEST_MUST_RUN=1 exec \.\/run-tests --install$/m);
  assert.match(read("README.md"), /^\.\/run-tests --install$/m);
});

Deno.test("a release holds the files that install.sh fetches, for both architectures", () => {
  const workflow = read(".github/workflows/release.yml");
  const fetched = [...read("install.sh").matchAll(/file=cordon-linux-(\w+) ;;/g)].map((match) => match[1]!);
  assert.deepEqual(fetched, ["x86_64", "aarch64"]);
  assert.deepEqual([...workflow.matchAll(/arch: (\w+) /g)].map((match) => match[1]), fetched);
  assert.match(workflow, /^ +FILE: cordon-linux-\$\{\{ matrix\.arch \}\}$/m);
  assert.match(workflow, /sha256sum "\$FILE" >"\$FILE\.sha256"/);
  assert.match(workflow, /CORDON_RELEASE=1 CORDON_RUN=build \.\/cordon$/m);
});

Deno.test("a release and a push run nothing of the checkout that does not exist", () => {
  for (const name of ["test", "release"]) {
    const workflow = read(`.github/workflows/${name}.yml`);
    for (const [, path = ""] of workflow.matchAll(/(?:^|\s)((?:\.ci|packaging)\/\w+)/gm)) {
      assert.ok((Deno.statSync(CHECKOUT + path).mode! & 0o111) !== 0, path);
    }
  }
});
