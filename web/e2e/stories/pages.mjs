/** Every page, in both themes and on a phone: accessible, without an error, with few calls; pictures of all. */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

import { forget, moneyPages } from "../money.mjs";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const MOST_CALLS = 6;
export const THEMES = ["light", "dark"];
const OF_COLOURS = ["color-contrast", "link-in-text-block"];
const IN_WIDTHS = ["overview", "list", "detail", "playground", "metrics", "invoice", "budget", "request", "members", "access-why", "audit", "system"];
const AT = "/s/demo.app.dev";
const PAGES = {
  overview: `${AT}/overview`,
  installation: "/s/-/overview",
  resources: `${AT}/resources`,
  list: `${AT}/resources/endpoints`,
  "list-empty": `${AT}/resources/trace-policies`,
  roles: "/s/-/resources/roles",
  detail: `${AT}/resources/endpoints/demo.app.dev/smollm2`,
  yaml: `${AT}/resources/endpoints/demo.app.dev/smollm2?tab=yaml`,
  history: `${AT}/resources/endpoints/demo.app.dev/smollm2?tab=history`,
  new: `${AT}/resources/endpoints/new`,
  endpoints: `${AT}/endpoints`,
  endpoint: `${AT}/endpoints/demo.app.dev/smollm2`,
  call: `${AT}/endpoints/demo.app.dev/smollm2?tab=call&in=python`,
  logs: `${AT}/endpoints/demo.app.dev/smollm2?tab=logs`,
  metrics: `${AT}/endpoints/demo.app.dev/smollm2?tab=metrics`,
  deploy: `${AT}/endpoints/new`,
  playground: `${AT}/playground?with=smollm2`,
  embeddings: `${AT}/playground/embeddings`,
  routes: `${AT}/routing/routes`,
  route: `${AT}/routing/routes/demo.app.dev/pages-route`,
  "route-edit": `${AT}/routing/routes/demo.app.dev/pages-route/edit`,
  "route-new": `${AT}/routing/routes/new`,
  providers: `${AT}/routing/providers`,
  provider: `${AT}/routing/providers/demo.app.dev/pages-provider`,
  "provider-edit": `${AT}/routing/providers/demo.app.dev/pages-provider/edit`,
  "provider-new": `${AT}/routing/providers/new`,
  "form-route": `${AT}/resources/routes/new`,
  budgets: `${AT}/budgets`,
  budget: `${AT}/budgets/demo.app.dev/pages-budget`,
  "budget-new": `${AT}/budgets/new`,
  requests: `${AT}/requests`,
  keys: `${AT}/keys`,
  key: `${AT}/keys/demo.app.dev/demo`,
  members: `${AT}/members`,
  "members-below": "/s/demo/members?show=below",
  "members-invited": `${AT}/members?show=invited`,
  "member-roles": `${AT}/members/roles`,
  role: `${AT}/members/roles/-/developer`,
  "role-new": `${AT}/members/roles/new?like=-/developer`,
  access: `${AT}/members/access`,
  "access-why": `${AT}/members/access?subject=service-account:demo.app.dev/demo&permission=endpoint:create`,
  "access-why-not": `${AT}/members/access?subject=service-account:demo.app.dev/demo&permission=budget:create`,
  audit: `${AT}/audit`,
  "audit-all": "/s/-/audit?range=all&result=ok",
  system: "/s/-/system",
  "dead-letters": "/s/-/system/dead-letters",
  "set-aside": "/s/-/system/set-aside",
  usage: `${AT}/usage?range=hour`,
  preferences: `${AT}/settings`,
  profile: `${AT}/settings/profile`,
  password: `${AT}/settings/password`,
  sessions: `${AT}/settings/sessions`,
  features: `${AT}/settings/features`,
};

/** What pages of single things are shown of. */
const MADE = [
  ["api-keys", "pages-key", {}],
  ["external-endpoints", "pages-provider", { upstreams: [{ name: "main", url: "https://nobody.invalid/v1", auth: { credential: "none" }, model_mapping: { "gpt-4o": "gpt-4o" } }] }],
  ["routes", "pages-route", { model: "pages/best", cache: {}, targets: [{ external: "pages-provider", model: "gpt-4o", weight: 3, timeout_seconds: 30 }, { endpoint: "smollm2" }] }],
  ["budgets", "pages-budget", { amount: "25", period: "month", key: "pages-key" }],
];
const placeOf = ([plural, name]) => `/api/v1/scopes/demo.app.dev/${plural}/${name}`;

export default async function ({ page, url, shots, api, signIn, assert, context }) {
  const { items } = await api("GET", "/api/v1/scopes/demo.app.dev/usage/requests?limit=1");
  const request = `${AT}/requests/${items[0].request_id}`;
  const pages = { ...PAGES, request, ...(await moneyPages(api, "pages-money")) };
  for (const made of MADE) await api("POST", `${placeOf(made)}:apply`, { metadata: { name: made[1] }, spec: made[2] });
  await signIn(page);
  await settle(page); // or the first page's calls count as the next one's
  let calls = [];
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    // those of the shell itself are made once, not for each page
    if (pathname.startsWith("/api/") && !/\/(session|bootstrap|watch|reports|console|me\/preferences)/.test(pathname)) calls.push(pathname);
  });
  const shown = [];
  for (const [name, path] of Object.entries(pages)) {
    calls = [];
    await page.goto(url + path);
    await settle(page);
    assert.ok(calls.length <= MOST_CALLS, `${name} makes ${calls.length} calls: ${calls.join(" ")}`);
    shown.push({ name, path, title: (await page.title()).split(" · ")[0] });
    for (const theme of THEMES) await look(page, shots, name, theme, assert);
    if (IN_WIDTHS.includes(name)) await fits(page, shots, name);
  }
  if (shots) writeFileSync(`${shots}/pages.json`, JSON.stringify(shown));
  await context.close();
  for (const made of [...MADE].reverse()) await api("DELETE", placeOf(made));
  await forget(api, "pages-money");
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
  await page.waitForTimeout(60);
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
  const options = { resultTypes: ["violations"], ...(rules && { runOnly: { type: "rule", values: rules } }) };
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
