/** JupyterLab in a browser: `%%docker` in a notebook, and what it prints is seen while it runs. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { formatEndpoint } from "../../lib/docker/endpoint.ts";
import { dockerNeeds, IMAGE, startDocker } from "../helpers/engines.ts";
import { python, pythonModule, test } from "../helpers/need.ts";
import { baseEnv, tmp } from "../helpers/run.ts";
import { browserNeeds, KEY, startBrowser } from "../helpers/webdriver.ts";
import { notebookNeeds, type Notebooks, notebooks } from "./magics_setup.ts";
import { freePort } from "../helpers/machine.ts";

const TOKEN = "a-token-of-the-tests";

/** Text below each cell, and its prompt: `[*]:` while it runs. */
const CELLS = `return [...document.querySelectorAll(".jp-CodeCell")].map((cell) => ({
  prompt: cell.querySelector(".jp-InputPrompt").innerText,
  stdout: [...cell.querySelectorAll(".jp-OutputArea-output:not([data-mime-type$=stderr])")].map((o) => o.innerText).join(""),
  stderr: [...cell.querySelectorAll(".jp-OutputArea-output[data-mime-type$=stderr]")].map((o) => o.innerText).join(""),
}));`;

test("JupyterLab in Chromium shows what %%docker prints while it runs", {
  needs: [...notebookNeeds, ...dockerNeeds, ...browserNeeds, pythonModule("jupyterlab")],
}, async () => {
  await using docker = await startDocker();
  const book = await notebooks({ DOCKER_HOST: formatEndpoint(docker.endpoint) });
  const seen = tmp();
  const url = writeNotebook(book, [
    "%load_ext cordon",
    [
      `%%docker -v ${seen}:/seen ${IMAGE}`,
      "echo first line; echo an error >&2",
      "until [ -e /seen/first ]; do sleep 0.1; done",
      "echo second line",
      "until [ -e /seen/second ]; do sleep 0.1; done",
      "echo last line",
    ].join("\n"),
  ]);
  await using lab = await startLab(book);
  await using browser = await startBrowser();
  await browser.open(`${lab.url}/lab/tree/${url}?token=${TOKEN}`);
  const cells = () => browser.run<{ prompt: string; stdout: string; stderr: string }[]>(CELLS);
  const shows = (text: string) =>
    browser.until(`return document.querySelector(".jp-Notebook").innerText.includes(arguments[0])`, {
      args: [text],
    });
  await browser.until(`return document.querySelectorAll(".jp-CodeCell .cm-content").length === 2`);
  // The kernel is there.
  await browser.until(
    `return document.querySelector(".jp-Notebook-ExecutionIndicator")?.dataset.status === "idle"`,
  );
  await browser.click(".jp-CodeCell .cm-content");
  await browser.press(KEY.shift, KEY.enter);
  await browser.until(`return document.querySelector(".jp-InputPrompt").innerText.includes("1")`);
  await browser.press(KEY.shift, KEY.enter);

  await shows("\nfirst line");
  await shows("\nan error");
  let [, cell] = await cells();
  assert.equal(cell!.prompt, "[*]:");
  assert.equal(cell!.stdout.trim(), "first line");
  assert.equal(cell!.stderr.trim(), "an error");

  Deno.writeTextFileSync(join(seen, "first"), "");
  await shows("second line");
  [, cell] = await cells();
  assert.equal(cell!.prompt, "[*]:");
  assert.doesNotMatch(cell!.stdout, /last/);

  Deno.writeTextFileSync(join(seen, "second"), "");
  await browser.until(`return [...document.querySelectorAll(".jp-InputPrompt")][1].innerText === "[2]:"`);
  [, cell] = await cells();
  assert.match(cell!.stdout, /second line\s+last line\s*$/);
});

/** A notebook whose kernel is the Python with the magics; its path below the directory of the notebooks. */
function writeNotebook({ home, python, env }: Notebooks, sources: string[]): string {
  const kernel = `${home}/.local/share/jupyter/kernels/magics`;
  Deno.mkdirSync(kernel, { recursive: true });
  Deno.writeTextFileSync(
    `${kernel}/kernel.json`,
    JSON.stringify({
      argv: [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
      display_name: "Python with magics",
      language: "python",
      env,
    }),
  );
  Deno.writeTextFileSync(
    `${home}/docker.ipynb`,
    JSON.stringify({
      nbformat: 4,
      nbformat_minor: 5,
      metadata: { kernelspec: { name: "magics", display_name: "Python with magics", language: "python" } },
      cells: sources.map((source, i) => ({
        cell_type: "code",
        id: `cell-${i}`,
        execution_count: null,
        metadata: {},
        outputs: [],
        source,
      })),
    }),
  );
  return "docker.ipynb";
}

async function startLab({ home }: Notebooks): Promise<AsyncDisposable & { url: string }> {
  const child = new Deno.Command(python, {
    args: [
      ...["-m", "jupyterlab", "--no-browser", `--ServerApp.port=${freePort()}`, "--ServerApp.ip=127.0.0.1"],
      ...[`--IdentityProvider.token=${TOKEN}`, `--ServerApp.root_dir=${home}`],
      ...(Deno.uid() === 0 ? ["--allow-root"] : []),
    ],
    clearEnv: true,
    env: { ...baseEnv(home), JUPYTER_PLATFORM_DIRS: "0" },
    cwd: home,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let said = "";
  const found = Promise.withResolvers<string>();
  const read = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said += text;
      const url = /(http:\/\/127\.0\.0\.1:\d+)\/lab/.exec(said)?.[1];
      if (url) found.resolve(url);
    }
    found.reject(new Error(`JupyterLab ended: ${said}`));
  })();
  const url = await found.promise;
  return {
    url,
    async [Symbol.asyncDispose]() {
      await fetch(`${url}/api/shutdown?token=${TOKEN}`, { method: "POST" }).then((reply) =>
        reply.body?.cancel()
      );
      await Promise.all([read, child.status]);
    },
  };
}
