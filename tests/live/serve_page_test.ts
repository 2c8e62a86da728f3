/**
 * The page of `cordon serve` in a browser. CORDON_SCREENSHOT=FILE keeps a picture of it: docs/serve-page.png is made by
 * CORDON_SCREENSHOT=docs/serve-page.png deno test -A tests/live/serve_page_test.ts
 */
import assert from "node:assert/strict";
import { test, userns } from "../helpers/need.ts";
import { tmp } from "../helpers/run.ts";
import { hashed, mark, type Serving, serving, sleeping, TOKEN, until } from "../helpers/serving.ts";
import { type Browser, browserNeeds, KEY, startBrowser } from "../helpers/webdriver.ts";

const options = { needs: [userns, ...browserNeeds] };
const MOST_TABS = 60;

const TWO_AT_ONCE = `concurrency = 2
[policies.default]
images = ["host"]
[tenants.class]
concurrency = 1
rate = "600/min"
tokens = ["${hashed(TOKEN)}"]
`;

/** Goes on by Tab until this has the focus. */
async function tabTo(browser: Browser, selector: string): Promise<void> {
  for (let tabs = 0; tabs < MOST_TABS; tabs++) {
    if (await browser.run("return document.activeElement.matches(arguments[0])", selector)) return;
    await browser.press(KEY.tab);
  }
  throw new Error(`Tab does not lead to ${selector}`);
}

async function signIn(browser: Browser, server: Serving): Promise<void> {
  await browser.open(`${server.url}/`);
  await browser.until(`return document.activeElement.id === "token"`);
  await browser.type(TOKEN);
  await browser.press(KEY.enter);
  await browser.until(`return document.activeElement.id === "command"`);
}

async function runs(browser: Browser, script: string): Promise<void> {
  await browser.run("document.getElementById('command').value = arguments[0]", script);
  await browser.run("document.getElementById('command').focus()");
  await browser.press(KEY.control, KEY.enter);
}

const output = (browser: Browser) =>
  browser.run<string>("return document.getElementById('output').textContent");

const outputHas = (browser: Browser, text: string) =>
  browser.until("return document.getElementById('output').textContent.includes(arguments[0])", {
    args: [text],
  });

const statusHas = (browser: Browser, text: string) =>
  browser.until("return document.getElementById('status').textContent.includes(arguments[0])", {
    args: [text],
  });

test("the page runs a command by keyboard alone and shows its output while it runs", options, async () => {
  await using server = await serving({ config: TWO_AT_ONCE });
  await using browser = await startBrowser();
  await signIn(browser, server);
  const word = mark();
  await browser.type(`echo first; echo bad >&2; sleep ${word}`);
  await tabTo(browser, "#run");
  await browser.press(KEY.enter);
  await outputHas(browser, "first\n");
  await outputHas(browser, "bad\n");
  assert.ok(sleeping(word));
  assert.equal(
    await browser.run(`return document.querySelector("#output .stderr").textContent`),
    "bad\n",
  );
  assert.equal(await browser.run("return document.getElementById('status').textContent"), "Runs");

  // A second one waits, for the tenant has one place.
  const second = await server.request("/v1/executions", {
    method: "POST",
    json: { command: `sleep 8${word}` },
  });
  const { id } = await second.json();
  await browser.until(
    `return [...document.querySelectorAll("#now tr")].map((row) => row.cells[2].textContent).sort().join() === "queued,running"`,
  );
  await browser.until(`return document.getElementById("usage").innerText.includes("1 of 1")`);

  // The one that waits is cancelled in the table, the one that runs beside its output.
  await tabTo(browser, `#now tr[data-id="${id}"] button + button`);
  await browser.press(KEY.enter);
  await browser.until(
    `return document.querySelector("#recent tr[data-id='${id}']")?.cells[2].textContent === "cancelled"`,
  );
  await browser.run("document.getElementById('command').focus()");
  await tabTo(browser, "#stop");
  await browser.press(KEY.enter);
  await statusHas(browser, "Ended: cancelled");
  await until(() => !sleeping(word));
  await browser.until(
    `return document.querySelectorAll("#recent tr").length === 2 && document.getElementById("now-none").checkVisibility()`,
  );
});

test("a wrong token is not taken, and the right one is kept in the tab alone", options, async () => {
  await using server = await serving();
  await using browser = await startBrowser();
  await browser.open(`${server.url}/`);
  await browser.until(`return document.activeElement.id === "token"`);
  assert.equal(await browser.run("return document.getElementById('trouble').textContent"), "");
  await browser.type("another-token-than-that");
  await browser.press(KEY.enter);
  await browser.until(`return document.getElementById("trouble").textContent.includes("not taken")`);
  await browser.until(`return document.activeElement.id === "token"`);
  await browser.type(TOKEN);
  await browser.press(KEY.enter);
  await browser.until(`return document.getElementById("inside").checkVisibility()`);
  assert.deepEqual(
    await browser.run(
      "return [localStorage.length, document.cookie, location.href, document.getElementById('token').value]",
    ),
    [0, "", `${server.url}/`, ""],
  );
  // Still there after the page is loaded again; gone after signing out.
  await browser.open(`${server.url}/`);
  await browser.until(`return document.getElementById("inside").checkVisibility()`);
  await browser.click("#leave");
  assert.deepEqual(
    await browser.run(
      "return [sessionStorage.length, document.getElementById('inside').hidden, document.getElementById('usage').textContent]",
    ),
    [0, true, ""],
  );
  assert.ok(!server.said().includes(TOKEN));
});

test("what is refused is told with its reason", options, async () => {
  await using server = await serving({ config: TWO_AT_ONCE });
  await using browser = await startBrowser();
  await signIn(browser, server);
  await browser.run("document.getElementById('image').value = 'python:3.12'");
  await runs(browser, "true");
  await statusHas(browser, "Not run: ");
  const why = await browser.run<string>("return document.getElementById('status').textContent");
  assert.match(why, /python:3\.12/);
  await browser.run("document.getElementById('image').value = 'host'");
  await runs(browser, "exit 3");
  await statusHas(browser, "Ended: exit code 3");
  // What has ended is shown again, from the record.
  await runs(browser, "echo later");
  await outputHas(browser, "later");
  await browser.until(`return document.querySelectorAll("#recent tr").length === 2`);
  await tabTo(browser, "#recent tr:last-child button");
  await browser.press(KEY.enter);
  await statusHas(browser, "Ended: exit code 3");
  assert.equal(await output(browser), "");
  // Why one could not even be started stands there too.
  const failed = await server.request("/v1/executions", {
    method: "POST",
    json: { command: "true", workdir: "/etc/passwd/x", wait: true },
  });
  await failed.body?.cancel();
  await browser.until(
    `return /could not be run: .*passwd/.test(document.getElementById("recent").textContent)`,
  );
});

test("output is text: no markup, no terminal control", options, async () => {
  await using server = await serving();
  await using browser = await startBrowser();
  await signIn(browser, server);
  const markup = `<img src=x onerror="window.ran=1"><script>window.ran=1</script>`;
  const red = String.raw`\033[31mred\033[0m \033]0;title\007\033]8;;http://x\033\\link\033]8;;\033\\`;
  await runs(browser, `echo '${markup}'; printf '${red} a\\033'; sleep 0.1; printf '[1mb\\r\\nend\\n'`);
  await outputHas(browser, "end\n");
  assert.equal(await output(browser), `${markup}\nred link ab\nend\n`);
  // The command itself stands in a table as well.
  await browser.until(`return document.querySelector("#recent code")?.textContent.includes("onerror")`);
  assert.deepEqual(
    await browser.run(
      "return [window.ran ?? null, document.querySelectorAll('main img, main script').length]",
    ),
    [null, 0],
  );
  // And the policy of the page would not let any run.
  const blocked = await browser.run(`
    const script = document.createElement("script");
    try { script.textContent = "window.ran = 1"; document.body.append(script); } catch (error) { return error.name; }
    return window.ran ?? "nothing ran";`);
  assert.match(String(blocked), /^(TypeError|nothing ran)$/);
  const policy =
    (await (await fetch(`${server.url}/`)).bytes(),
      (await fetch(`${server.url}/`, { method: "HEAD" })).headers)
      .get("content-security-policy")!;
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
});

interface Node {
  ignored: boolean;
  role?: { value: string };
  name?: { value: string };
  properties?: { name: string; value: { value: unknown } }[];
}

const CONTROLS = ["button", "textbox", "link", "combobox", "spinbutton", "searchbox", "DisclosureTriangle"];

test(
  "assistive technology finds names, landmarks and what changes; no screen is too narrow or dark",
  options,
  async () => {
    await using server = await serving();
    await using browser = await startBrowser();
    await signIn(browser, server);
    const word = mark();
    await runs(browser, `echo seen; exec sleep ${word}`);
    await outputHas(browser, "seen");
    await browser.until(`return document.querySelector("#now button")`);
    await server.execute("true");
    await browser.until(`return document.querySelector("#recent button")`);
    const { nodes } = await browser.devtools<{ nodes: Node[] }>("Accessibility.getFullAXTree");
    const seen = nodes.filter(({ ignored }) => !ignored);
    const controls = seen.filter(({ role }) => CONTROLS.includes(role?.value ?? ""));
    assert.ok(controls.length >= 12, `${controls.length} controls`);
    for (const { role, name } of controls) assert.ok(name?.value, `a ${role?.value} has no name`);
    const names = controls.map(({ name }) => name!.value);
    assert.equal(names.filter((name) => name.startsWith("Cancel: echo seen")).length, 1, names.join("; "));
    const roles = seen.map(({ role }) => role?.value);
    for (const role of ["banner", "main", "navigation", "log", "status", "table"]) {
      assert.ok(
        roles.includes(role),
        role,
      );
    }
    const live = seen.find(({ role }) => role?.value === "log")!.properties!.find(({ name }) =>
      name === "live"
    );
    assert.equal(live?.value.value, "polite");

    for (const scheme of ["light", "dark"]) {
      await browser.devtools("Emulation.setEmulatedMedia", {
        features: [{ name: "prefers-color-scheme", value: scheme }],
      });
      assert.deepEqual(await browser.run(FAINT), [], scheme);
    }
    const metrics = { height: 640, deviceScaleFactor: 1, mobile: true };
    for (const width of [320, 800]) {
      await browser.devtools("Emulation.setDeviceMetricsOverride", { ...metrics, width });
      const wide = await browser.run<number>("return document.documentElement.scrollWidth");
      assert.ok(wide <= width, `${wide} px on ${width}`);
    }
  },
);

/** Texts whose contrast is below 4.5 : 1 (WCAG 2.2, 1.4.3). */
const FAINT = `
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => parts(color).slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const { backgroundColor } = getComputedStyle(element);
      if ((parts(backgroundColor)[3] ?? 1) === 1) return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility() && !one.disabled && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((one) => {
      const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
      return [one.tagName + "#" + one.id, (a + 0.05) / (b + 0.05)];
    })
    .filter(([, contrast]) => contrast < 4.5);`;

test("without authentication no token is asked for", options, async () => {
  await using server = await serving({ config: 'auth = false\n[policies.default]\nimages = ["host"]\n' });
  await using browser = await startBrowser();
  await browser.open(`${server.url}/`);
  await browser.until(`return document.getElementById("inside").checkVisibility()`);
  await runs(browser, "echo anybody");
  await outputHas(browser, "anybody\n");
  assert.equal(await browser.run("return document.getElementById('leave').hidden"), true);
});

test("a picture for the documents", options, async () => {
  await using server = await serving({ config: TWO_AT_ONCE });
  await using browser = await startBrowser();
  await signIn(browser, server);
  await browser.devtools("Emulation.setDeviceMetricsOverride", {
    width: 900,
    height: 1120,
    deviceScaleFactor: 1,
    mobile: false,
  });
  for (const cmd of ["python3 -c 'print(sum(range(10**6)))'", "exit 3", "seq 100000 | sort -R | tail -n 1"]) {
    await server.request("/v1/executions", { method: "POST", json: { command: cmd, wait: true } })
      .then((response) => response.json());
  }
  await runs(
    browser,
    "for task in parse compile test; do echo \"$task: ok\"; done\necho 'warning: no network here' >&2\nsleep 600",
  );
  await outputHas(browser, "warning");
  const waiting = await server.request("/v1/executions", { method: "POST", json: { command: "make grade" } });
  await waiting.body?.cancel();
  await browser.until(
    `return document.querySelectorAll("#now tr").length === 2 && document.querySelectorAll("#recent tr").length === 3`,
  );
  await browser.run("document.activeElement.blur(); window.scrollTo(0, 0)");
  const file = Deno.env.get("CORDON_SCREENSHOT") ?? `${tmp()}/page.png`;
  await browser.screenshot(file);
  assert.ok(Deno.statSync(file).size > 10_000);
});
