/** Plans of a sandbox's root: whatever is asked for. */
import assert from "node:assert/strict";
import { exposesHome, planRoot } from "../../../lib/engine/namespaces/root.ts";
import { CordonError } from "../../../lib/errors.ts";
import { Inside } from "../../helpers/made_up_fs.ts";
import { fs, imaged, mountsOf, specOf, type Where } from "./made_up_host.ts";

// A host's own symlinks inside a bind are looked up when mounting, not here: the host's root is not among these.
Deno.test("whatever is asked for is refused with a reason or can be carried out step by step", () => {
  const words =
    `/home/ann/w ro:/home/ann/w . /home/ann /home/ann/w/sub /home/ann/w/sub=none /home/ann/w/file=none tmp:/home
    tmp:/home/ann/w/sub /tmp=none tmp:/tmp /tmp/a=/data/a /u/ann/course /m/home/ann/course/week1=/data/b /u=/data/a
    /m=/home/ann /bin/tar=none /usr/bin/sh=/data/file /usr=none /usr/share=none /usr/share/b=/data/b copy:/home/ann/w/sub
    copy:/home/ann/x overlay:/data/a overlay:/data/a/in=/data/b try:/no /etc=none /etc/x=/data/file /etc/passwd=/data/file
    /dev=none /dev/shm=/data/a /dev/null=none /proc=none /=/image /home=none /home/ann/w/sub/deep=/data/a
    /home/ann/.bashrc /home/ann/w=/home/ann/x /data /data/a/in=none tmp:/data/a/in/t /var=/data/a /run=none /lib=/data/a
    /home/ann/w/new=/data/b /bin=none /u/ann=none /loop=/data/a /mnt/f=/data/file /mnt/f/g=/data/a`.split(
      /\s+/,
    );
  let x = 42;
  const pick = (below: number) => {
    x ^= x << 13, x ^= x >>> 17, x ^= x << 5;
    return (x >>> 0) % below;
  };
  let refused = 0, planned = 0;
  for (let turn = 0; turn < 3000; turn++) {
    const list = Array.from({ length: 1 + pick(4) }, () => words[pick(words.length)]).join(" ");
    let steps;
    try {
      steps = planRoot(specOf(mountsOf(list)), imaged);
    } catch (error) {
      assert.ok(error instanceof CordonError, `${list}: ${error}`);
      refused++;
      continue;
    }
    try {
      new Inside(steps, imaged);
    } catch (error) {
      throw new Error(`${list}\n${(error as Error).message}`);
    }
    planned++;
  }
  assert.ok(refused > 100 && planned > 500, `${refused} refused, ${planned} planned`);
});

Deno.test("planning asks and changes nothing: the same question gives the same plan", () => {
  const spec = specOf(mountsOf("/u/ann/course /home/ann/w tmp:/home/ann/t"));
  const before = JSON.stringify(spec);
  assert.deepEqual(planRoot(spec, fs), planRoot(spec, fs));
  assert.equal(JSON.stringify(spec), before);
});

Deno.test("a writable mount of HOME or of what is above it exposes its start-up files", () => {
  const exposed = (list: string, where: Where = {}) =>
    exposesHome(specOf(mountsOf(list, where), where), fs)?.dest;
  assert.equal(exposed("/home/ann"), "/home/ann");
  assert.equal(exposed("/home"), "/home");
  assert.equal(exposed("/x=/home/ann"), "/x");
  assert.equal(exposed("/m/home/ann", { home: "/u/ann" }), "/m/home/ann");
  for (
    const harmless of [
      "ro:/home/ann",
      "/home/ann/w",
      "/home/ann=none",
      "tmp:/home/ann",
      "copy:/home/ann",
      "/data/a",
    ]
  ) {
    assert.equal(exposed(harmless), undefined, harmless);
  }
});
