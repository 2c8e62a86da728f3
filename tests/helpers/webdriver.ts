/** A browser for tests: Chromium, led by the W3C WebDriver protocol (https://www.w3.org/TR/webdriver2/). */
import { type Need, program } from "./need.ts";
import { baseEnv, tmp } from "./run.ts";

const BINARIES = ["chromium", "google-chrome"].map((name) => `/usr/bin/${name}`);

const browser: Need = {
  what: "a browser",
  met: () => binary() !== undefined || `none of ${BINARIES.join(" and ")} is there`,
};

export const browserNeeds: readonly Need[] = [browser, program("chromedriver")];

function binary(): string | undefined {
  return BINARIES.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  });
}

/** Keys of the protocol. */
export const KEY = { shift: "\uE008", enter: "\uE007", tab: "\uE004", control: "\uE009" } as const;

const READY_MS = 60_000;

export interface Browser extends AsyncDisposable {
  open(url: string): Promise<void>;
  /** Runs a function's body in the page and returns its value. */
  run<T>(body: string, ...args: unknown[]): Promise<T>;
  /** Waits until the body gives something true, which it returns. */
  until<T>(body: string, options?: { ms?: number; args?: unknown[] }): Promise<T>;
  click(selector: string): Promise<void>;
  /** Keys go to what has the focus; they are pressed together. */
  press(...keys: string[]): Promise<void>;
  /** Letters go to what has the focus, one after the other. */
  type(text: string): Promise<void>;
  /** A command of the Chrome DevTools Protocol: https://chromedevtools.github.io/devtools-protocol/ */
  devtools<T>(cmd: string, params?: object): Promise<T>;
  screenshot(file: string): Promise<void>;
}

export async function startBrowser(): Promise<Browser> {
  const home = tmp();
  const driver = new Deno.Command("chromedriver", {
    args: ["--port=0"],
    clearEnv: true,
    env: baseEnv(home),
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const { port, ended } = await portOf(driver.stdout);
  const base = `http://127.0.0.1:${port}`;
  const stop = async () => {
    driver.kill("SIGTERM");
    await Promise.all([driver.status, ended]);
  };
  try {
    const args = [
      "--headless=new",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      `--user-data-dir=${home}/profile`,
    ];
    // Chromium has no sandbox for root.
    if (Deno.uid() === 0) args.push("--no-sandbox");
    const capabilities = { alwaysMatch: { "goog:chromeOptions": { args, binary: binary() } } };
    const { sessionId } = await call<{ sessionId: string }>(`${base}/session`, { capabilities });
    const session = `${base}/session/${sessionId}`;
    const keys = (actions: object[]) =>
      call<void>(`${session}/actions`, { actions: [{ type: "key", id: "keyboard", actions }] });
    const run = <T>(body: string, ...args: unknown[]) =>
      call<T>(`${session}/execute/sync`, { script: body, args });
    return {
      run,
      open: (url) => call(`${session}/url`, { url }),
      async until<T>(body: string, { ms = READY_MS, args = [] }: { ms?: number; args?: unknown[] } = {}) {
        for (const end = Date.now() + ms;;) {
          const value = await run<T>(body, ...args);
          if (value) return value;
          if (Date.now() > end) {
            throw new Error(`it did not happen: ${body}\n${await run("return document.body.innerText")}`);
          }
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      },
      async click(selector) {
        const element = await call<Record<string, string>>(`${session}/element`, {
          using: "css selector",
          value: selector,
        });
        await call(`${session}/element/${Object.values(element)[0]}/click`, {});
      },
      press: (...values) =>
        keys([
          ...values.map((value) => ({ type: "keyDown", value })),
          ...values.toReversed().map((value) => ({ type: "keyUp", value })),
        ]),
      type: (text) =>
        keys(
          [...text].flatMap((value) => [{ type: "keyDown", value }, { type: "keyUp", value }]),
        ),
      devtools: (cmd, params = {}) => call(`${session}/goog/cdp/execute`, { cmd, params }),
      async screenshot(file) {
        const picture = await call<string>(`${session}/screenshot`);
        await Deno.writeFile(file, Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0)));
      },
      async [Symbol.asyncDispose]() {
        await call(session, undefined, "DELETE");
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the driver says it listens on; its later output is read and dropped. */
async function portOf(stdout: ReadableStream<Uint8Array>): Promise<{ port: string; ended: Promise<void> }> {
  const found = Promise.withResolvers<string>();
  let said = "";
  const ended = (async () => {
    for await (const text of stdout.pipeThrough(new TextDecoderStream())) {
      said += text;
      const port = /started successfully on port (\d+)/.exec(said)?.[1];
      if (port) found.resolve(port);
    }
    found.reject(new Error(`chromedriver ended: ${said}`));
  })();
  return { port: await found.promise, ended };
}

async function call<T>(url: string, body?: object, method = body ? "POST" : "GET"): Promise<T> {
  const response = await fetch(url, { method, ...(body && { body: JSON.stringify(body) }) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${method} ${url}: ${value.error}: ${value.message}`);
  return value;
}
