/**
 * What a second tenant makes never reaches the member of a first: not on any page, and not in any answer or stream that
 * the browser of the first was sent. The second is a tenant beside the first on one platform, and an account elsewhere.
 */
import { close } from "../money.mjs";
import { until } from "../until.mjs";

const SETTLED = "main [role=status], main .animate-pulse:not(.size-1\\.5)";
const PASSWORD = "a password for one story";

export default async function ({ page, url, api, signIn, open, assert }) {
  const tag = Date.now().toString(36);
  const name = `zebra-${tag}`; // what the second's things are called: in addresses that one may make up, too
  const word = `quagga${tag}`; // what they say: nobody who asks for an address gets it back
  const platform = `first-${tag}.shop`;
  const own = `${platform}.one`;
  const places = [`${platform}.${name}`, `${name}.shop.main`];
  await signIn(page); // somebody has set the installation up
  await makeScopes(api, own, ...places);
  const fay = await makeUser(api, `fay-${tag}@example.com`, [[own, "-/tenant-admin"]]);
  const zoe = await makeUser(api, `${name}@example.com`, [[places[0], "-/tenant-admin"], [name, "-/platform-admin"]], word);

  const first = await open();
  const heard = [];
  await first.page.exposeFunction("heard", (address, text) => heard.push({ address, text }));
  await first.page.addInitScript(listenIn);
  let token = "";
  first.page.on("request", (request) => (token = request.headers()["authorization"] ?? token));
  await signIn(first.page, fay.email, PASSWORD);
  await first.page.goto(`${url}/s/${own}/resources/service-accounts`);
  await first.page.locator("[data-live=live]").waitFor();

  // all of this happens while the first member looks, with a stream of changes open
  const second = await as(url, zoe.email);
  for (const place of places) await makeThings(second, place, name, word);
  await second("POST", `/api/v1/scopes/${name}/budgets`, { metadata: { name, display_name: word }, spec: { amount: "5" } });
  await second("POST", `/api/v1/scopes/${name}/roles`, { metadata: { name }, spec: { permissions: ["endpoint:read"], description: word } });
  await useAndInvoice(api, second, assert, { account: name, places, word });
  await api("POST", `/api/v1/scopes/${own}/service-accounts`, { metadata: { name: `own-${tag}` }, spec: {} });
  await first.page.getByRole("row", { name: new RegExp(`own-${tag}`) }).waitFor(); // the stream told what is the first's

  // the second finds it all: were it not there, that the first finds nothing would say nothing
  const hits = await second("GET", `/api/v1/search?q=${name}&limit=50`);
  assert.ok(hits.items.length >= 6, JSON.stringify(hits.items));
  const trail = await second("GET", `/api/v1/scopes/${name}/audit?limit=200`);
  assert.ok(trail.items.some((record) => JSON.stringify(record).includes(word)));

  const links = await first.page.getByRole("navigation", { name: "Navigation" }).getByRole("link").evaluateAll((found) => found.map((link) => link.getAttribute("href")));
  const { kinds } = await as(url, fay.email).then((call) => call("GET", `/api/v1/console/bootstrap?scope=${own}`));
  const pages = [
    ...links, ...kinds.map((kind) => `/s/${own}/resources/${kind.plural}`),
    `/s/${own}/audit?range=all`, `/s/${own}/usage?range=month&by=tenant`, `/s/${own}/members/roles`, `/s/${own}/members/access`,
  ];
  for (const path of new Set(pages)) {
    await first.page.goto(url + path);
    await first.page.locator("main h1, main h2").first().waitFor();
    await first.page.waitForFunction((still) => !document.querySelector(still), SETTLED, { timeout: 4_000 }).catch(() => undefined);
    const text = await first.page.evaluate(() => document.body.innerText);
    assert.ok(!text.includes(name) && !text.includes(word), `${path} shows it:\n${text}`);
  }
  const told = heard.filter(({ text }) => text.includes(name) || text.includes(word));
  assert.deepEqual(told.map(({ address }) => address), [], "the browser was sent it");
  assert.ok(heard.some(({ address, text }) => address.includes("/watch") && text.includes(`own-${tag}`)), "the stream was not listened to");

  // who makes its addresses up is told that there is nothing, whatever is asked for
  for (const place of [name, ...places]) {
    for (const path of [`/s/${place}/overview`, `/s/${place}/resources/endpoints/${place}/${name}`, `/s/${place}/audit`]) {
      await first.page.goto(url + path);
      await first.page.getByText(`There is no scope ${place}`).waitFor();
    }
    for (const rest of ["endpoints", "api-keys", "usage", "analytics", "audit", "members", "budgets", `endpoints/${name}`]) {
      const answer = await fetch(`${url}/api/v1/scopes/${place}/${rest}`, { headers: { authorization: token } });
      const text = await answer.text();
      assert.ok(!text.includes(word), `${place}/${rest}: ${text}`);
      assert.ok([403, 404].includes(answer.status) || JSON.parse(text).items?.length === 0, `${place}/${rest}: ${answer.status} ${text}`);
    }
  }
  await first.page.goto(`${url}/s/${own}/overview`);
  await first.page.locator("[data-live=live]").waitFor();
  const searched = first.page.waitForResponse((response) => response.url().endsWith(`q=${name}`));
  await first.page.keyboard.press("Control+k");
  await first.page.keyboard.type(name);
  await searched;
  await first.page.getByText("Nothing found").waitFor();
  assert.deepEqual(heard.filter(({ text }) => text.includes(word)).map(({ address }) => address), []);
  assert.deepEqual(first.errors, []);
  await tidy(api, [...places, own], [fay, zoe], name);
}

/** In the page: hands every answer on, as it comes; streams, too, which have no end. */
function listenIn() {
  const real = window.fetch;
  window.fetch = async (...given) => {
    const response = await real(...given);
    const copy = response.clone();
    void (async () => {
      const reader = copy.body?.pipeThrough(new window.TextDecoderStream()).getReader();
      for (let part = await reader?.read(); part && !part.done; part = await reader.read()) void window.heard(response.url, part.value);
    })().catch(() => undefined); // the page went on to another one
    return response;
  };
}

async function makeScopes(api, ...tenants) {
  for (const tenant of tenants) {
    const [account, platform, rest] = tenant.split(".");
    await api("POST", `/api/v1/scopes/-/accounts/${account}:apply`, { metadata: { name: account }, spec: {} });
    await api("POST", `/api/v1/scopes/${account}/platforms/${platform}:apply`, { metadata: { name: platform }, spec: {} });
    await api("POST", `/api/v1/scopes/${account}.${platform}/tenants/${rest}:apply`, { metadata: { name: rest }, spec: {} });
  }
}

async function makeUser(api, email, roles, display_name = null) {
  const name = email.split("@")[0];
  await api("POST", "/api/v1/scopes/-/users", { metadata: { name, display_name }, spec: { email } });
  await api("POST", `/api/v1/users/${name}:set-password`, { password: PASSWORD });
  for (const [scope, role] of roles) await api("POST", `/api/v1/scopes/${scope}/role-assignments`, { metadata: { name }, spec: { subject: `user:${email}`, role } });
  return { name, email };
}

/** The API as whoever signs in so. */
async function as(url, email) {
  const send = async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}${path}`, { method, headers: { ...headers, ...(body && { "content-type": "application/json" }) }, ...(body && { body: JSON.stringify(body) }) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} as ${email}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  };
  const { access_token } = await send("POST", "/api/v1/auth:login", { email, password: PASSWORD });
  return (method, path, body) => send(method, path, body, { authorization: `Bearer ${access_token}` });
}

/** An endpoint that is paused, a key that works, a service account, a limit: each says the word. */
async function makeThings(second, place, name, word) {
  const metadata = { name, display_name: word, labels: { of: word } };
  const made = {
    endpoints: { model: { name: "smollm2" }, replicas: { num: 0 } },
    "service-accounts": { description: word },
    "api-keys": {},
    "external-endpoints": { upstreams: [{ name: "main", url: `https://${word}.invalid/v1`, auth: { credential: "none" }, model_mapping: { [word]: word } }] },
  };
  for (const [plural, spec] of Object.entries(made)) await second("POST", `/api/v1/scopes/${place}/${plural}`, { metadata, spec });
  await second("POST", `/api/v1/scopes/${place}/api-keys/${name}:rotate`, {});
}

/** Usage of the second's tenants, as it is measured elsewhere, at a price, and an invoice over it. */
async function useAndInvoice(api, second, assert, { account, places, word }) {
  await api("POST", "/api/v1/prices", { scope: account, meter: "input_tokens", model: word, currency: "USD", unit_price: "0.00001" });
  const time = new Date().toISOString();
  const events = places.map((subject) => ({
    specversion: "1.0", type: "ironworks.usage.v1", source: `/${word}`, id: subject, subject, time,
    data: { quantities: { input_tokens: 1_000_000, output_tokens: 1_000_000 }, model: word, user: word },
  }));
  const { accepted } = await api("POST", "/api/v1/usage", { events });
  assert.equal(accepted, places.length);
  const charged = () => second("GET", `/api/v1/scopes/${account}/balance`).then(({ unbilled }) => unbilled.some(({ nano }) => nano >= 10_000_000_000));
  await until(charged);
  await close(api, account);
  const invoiced = () => second("GET", `/api/v1/scopes/${account}/invoices`).then(({ items }) => items.length > 0);
  await until(invoiced);
  const usage = await second("GET", `/api/v1/scopes/${account}/usage`);
  assert.ok(JSON.stringify(usage).includes(word));
}

/** What can go, goes: an account with books stays. */
async function tidy(api, places, users, name) {
  const gone = (path) => api("DELETE", path).catch(() => undefined);
  for (const place of places) for (const plural of ["endpoints", "api-keys", "service-accounts", "external-endpoints"]) await gone(`/api/v1/scopes/${place}/${plural}/${name}`);
  await gone(`/api/v1/scopes/${name}/budgets/${name}`);
  for (const user of users) await gone(`/api/v1/scopes/-/users/${user.name}`);
}
