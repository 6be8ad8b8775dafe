/** Looks at pages: in both themes and on a phone they are accessible, without an error, with few calls; pictures of all. */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const MOST_CALLS = 6;
export const THEMES = ["light", "dark"];
const OF_COLOURS = ["color-contrast", "link-in-text-block"];
const IN_WIDTHS = ["overview", "list", "detail", "playground", "metrics", "invoice", "budget", "request", "members", "access-why", "audit", "system"];

/** Signs in and looks at each of `pages`, addresses by name; what was shown is told to `make docs-images` in `STORY.json`. */
export async function lookAtAll({ page, url, shots, signIn, assert, context }, story, pages) {
  await signIn(page);
  await settle(page); // or the first page's calls count as the next one's
  const calls = new Set(); // once each: what was made a moment ago is told to the page, which asks for it again
  page.on("request", (request) => {
    const { pathname, search } = new URL(request.url());
    // those of the shell itself are made once, not for each page
    if (pathname.startsWith("/api/") && !/\/(session|bootstrap|watch|reports|console|me\/preferences)/.test(pathname)) calls.add(pathname + search);
  });
  const shown = [];
  for (const [name, path] of Object.entries(pages)) {
    calls.clear();
    await page.goto(url + path);
    await settle(page);
    assert.ok(calls.size <= MOST_CALLS, `${name} makes ${calls.size} calls: ${[...calls].join(" ")}`);
    shown.push({ name, path, title: (await page.title()).split(" · ")[0] });
    for (const theme of THEMES) await look(page, shots, name, theme, assert);
    if (IN_WIDTHS.includes(name)) await fits(page, shots, name);
  }
  if (shots) writeFileSync(`${shots}/${story}.json`, JSON.stringify(shown));
  await context.close();
}

/** The page on a phone and on a large screen, which it is never wider than. */
async function fits(page, shots, name) {
  const usual = page.viewportSize();
  for (const width of [360, 3840]) {
    await page.setViewportSize({ width, height: width < 1000 ? 740 : 2160 });
    await page.waitForFunction((wanted) => innerWidth === wanted && document.documentElement.scrollWidth <= innerWidth, width).catch(async () => {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      throw new Error(`${name} is ${wide} px wide at ${width}`);
    });
    if (shots) await page.screenshot({ path: `${shots}/${name}-${width}.png` });
  }
  await page.setViewportSize(usual);
}

/**
 * The page in a theme: its picture, and nothing serious that axe finds. A theme changes colours and nothing else, so all
 * rules are asked in the first one, and those of colours in each.
 */
export async function look(page, shots, name, theme, assert) {
  await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
  await page.waitForFunction((wanted) => document.documentElement.dataset.theme === wanted, theme);
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  await page.waitForFunction(() => document.getAnimations().every((one) => one.playState === "finished" || one.effect?.getTiming().iterations === Infinity));
  if (shots) await page.screenshot({ path: `${shots}/${name}-${theme}.png` });
  assert.deepEqual(await violations(page, theme === THEMES[0] ? null : OF_COLOURS), [], `${name}, ${theme}`);
}

export async function settle(page) {
  await page.locator("[data-live=live]").waitFor();
  await page.locator("main h1, main h2").first().waitFor();
  await page.waitForFunction(() => !document.querySelector("main [role=status], main .animate-pulse:not(.size-1\\.5)"), null, { timeout: 5_000 }).catch(() => undefined);
  await page.evaluate(() => document.fonts.ready);
  await page.waitForTimeout(150);
}

/** Of the rules that are named, or of all. */
async function violations(page, rules) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(source());
  // what would be fetched first is for rules about sound and about turning a phone, of which there is none here
  const options = { resultTypes: ["violations"], preload: false, ...(rules && { runOnly: { type: "rule", values: rules } }) };
  const { violations: found } = await page.evaluate((asked) => window.axe.run(document, asked), options);
  return found
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(" | ")}`);
}

let text = "";
function source() {
  text ||= readFileSync(axe, "utf8");
  return text;
}
