import assert from "node:assert/strict";
import { DOCKER_FLAGS } from "../../../lib/dockerargs/flags.ts";
import { scan } from "../../../lib/dockerargs/scan.ts";
import { UsageError } from "../../../lib/errors.ts";

function scanned(...argv: string[]): string {
  const { typed, rest } = scan(argv, DOCKER_FLAGS);
  return [...typed.map(({ flag, value }) => `${flag.name}=${value}`), `[${rest.join(" ")}]`].join(" ");
}

const READ: [string[], string][] = [
  [["img"], "[img]"],
  [["--rm", "img"], "rm=true [img]"],
  [["--rm=false", "img"], "rm=false [img]"],
  [["--rm", "false", "img"], "rm=true [false img]"],
  [["--privileged", "false", "img"], "privileged=true [false img]"],
  [["--net", "host", "img"], "net=host [img]"],
  [["--network=host", "img"], "network=host [img]"],
  [["--env=A=B=C", "img"], "env=A=B=C [img]"],
  [["-eA=1", "img"], "env=A=1 [img]"],
  [["-e=A=1", "img"], "env=A=1 [img]"],
  [["-e", "A=1", "img"], "env=A=1 [img]"],
  [["-e=", "img"], "env== [img]"],
  [["-v/:/h", "img"], "volume=/:/h [img]"],
  [["-itm", "64m", "img"], "interactive=true tty=true memory=64m [img]"],
  [["-itm=64m", "img"], "interactive=true tty=true memory=64m [img]"],
  [["-im64m", "img"], "interactive=true memory=64m [img]"],
  [["-i=false", "img"], "interactive=false [img]"],
  [["-it=false", "img"], "interactive=true tty=false [img]"],
  [["-e", "--rm", "img"], "env=--rm [img]"],
  [["--name", "--", "img"], "name=-- [img]"],
  [["--", "--rm", "img"], "[--rm img]"],
  [["img", "--rm"], "[img --rm]"],
  [["-", "--rm"], "[- --rm]"],
  [["", "--rm"], "[ --rm]"],
  [["--name=", "img"], "name= [img]"],
  [[], "[]"],
];

for (const [argv, expected] of READ) {
  Deno.test(`docker run ${argv.join(" ")}`, () => assert.equal(scanned(...argv), expected));
}

const REFUSED: [string[], RegExp][] = [
  [["--privilege"], /^Unknown option "--privilege"/],
  [["--Privileged"], /^Unknown option/],
  [["--no-rm", "img"], /^Unknown option/],
  [["-z"], /^Unknown option "-z"/],
  [["-iz"], /^Unknown option "-z" in "-iz"/],
  [["-i="], /^Unknown option "-=" in "-i="/],
  [["---rm"], /^Unknown option "---rm"/],
  [["--=x"], /^Unknown option "--"/],
  [["-ä"], /^Unknown option/],
  [["--env"], /^Option --env needs a value$/],
  [["-it", "-e"], /^Option -e needs a value$/],
  [["-itm"], /^Option -m needs a value$/],
  [["--cpu-count", "1"], /^Option --cpu-count is not taken$/],
  [["--use-api-socket"], /^Option --use-api-socket is not taken$/],
  [["--name", "a\0b", "img"], /holds a NUL byte/],
  [["img", "a\0b"], /holds a NUL byte/],
];

for (const [argv, message] of REFUSED) {
  Deno.test(`docker run ${JSON.stringify(argv)} is refused`, () => {
    assert.throws(
      () => scanned(...argv),
      (error) => error instanceof UsageError && message.test(error.message),
    );
  });
}

Deno.test("a near miss is suggested", () => {
  assert.throws(() => scanned("--memroy", "1g"), { why: "Did you mean --memory?" });
});

Deno.test("the words that a flag took are told", () => {
  const { typed } = scan(["-i", "--name", "x", "-tm", "1g", "--rm=1", "img"], DOCKER_FLAGS);
  assert.deepEqual(typed.map(({ as, from, to }) => [as, from, to]), [
    ["-i", 0, 1],
    ["--name", 1, 3],
    ["-t", 3, 5],
    ["-m", 3, 5],
    ["--rm", 5, 6],
  ]);
});
