/**
 * Runs one story in a real browser against a real installation: `run.mjs STORY`, called by tests/e2e/installed.
 *
 * IRONWORKS_URL says where the console is, IRONWORKS_OPERATOR_KEY holds the operator's key, IRONWORKS_BROWSER the
 * browser's path, IRONWORKS_SHOTS a folder for screenshots, SLOWDOWN by how much the browser's machine seems
 * to be slower, for looking whether a story depends on that. A story fails by throwing; so does anything that the page
 * writes to its console as an error, a refused style or script among it.
 */
import assert from "node:assert/strict";

import { chromium } from "playwright-core";

const { IRONWORKS_URL: url, IRONWORKS_OPERATOR_KEY: key, IRONWORKS_BROWSER: executablePath, IRONWORKS_SHOTS: shots = "", SLOWDOWN: slowdown = "1" } = process.env;
export const PASSWORD = process.env.IRONWORKS_OPERATOR_PASSWORD ?? "a long enough password";
export const OPERATOR = process.env.IRONWORKS_OPERATOR_EMAIL ?? "olga@example.com";

/** The API as the operator; raises what it refuses. */
async function api(method, path, body) {
  const headers = { authorization: `Bearer ${key}`, ...(body && { "content-type": "application/json" }) };
  const response = await fetch(`${url}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** A page of its own, whose errors end up in `errors`. */
async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "dark", ...options });
  context.setDefaultTimeout(60_000); // says nothing about how fast pages are: CI's machine does much at a time
  const page = await context.newPage();
  if (slowdown !== "1") await (await context.newCDPSession(page)).send("Emulation.setCPUThrottlingRate", { rate: Number(slowdown) });
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    // a refused call is told by the page itself; what the browser adds of it is no news
    if (message.location().url.endsWith("/console/reports")) return; // stories load more pages a minute than people do
    if (message.type() === "error" && !/status of (401|403|404|409|422|503)|ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY/.test(message.text())) errors.push(message.text());
  });
  return { page, context, errors };
}

/** Signs in, setting the installation up where nobody did. */
async function signIn(page, email = OPERATOR, password = PASSWORD) {
  await page.goto(`${url}/`);
  const form = page.locator("form");
  await form.waitFor();
  if (await page.locator("input[name=operator-key]").count()) {
    await page.fill("input[name=operator-key]", key);
    await page.fill("input[name=email]", OPERATOR);
    await page.fill("input[name=new-password]", PASSWORD);
  } else {
    await page.fill("input[name=email]", email);
    await page.fill("input[name=password]", password);
  }
  await page.click("button[type=submit]");
  await page.locator("[data-live=live]").waitFor();
}

const name = process.argv[2];
const { default: story } = await import(`./stories/${name}.mjs`);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const first = await open(browser);
try {
  await story({ url, shots, api, assert, browser, open: (options) => open(browser, options), signIn, ...first });
  assert.deepEqual(first.errors, []);
} catch (error) {
  if (shots) await first.page.screenshot({ path: `${shots}/failed-${name}.png` }).catch(() => undefined);
  process.stderr.write(`${error.stack}\n${first.errors.join("\n")}\n${first.page.url()}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
