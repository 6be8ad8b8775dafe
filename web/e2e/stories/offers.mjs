/**
 * The operator offers a plan, changes and withdraws it, sets a price and terms, and says in what an account pays; a
 * customer's people see what is theirs.
 */
import { forget, spend } from "../money.mjs";

export default async function ({ page, url, api, signIn, open, assert }) {
  const tag = Date.now().toString(36);
  const account = `offers-${tag}`;
  await spend(api, account);
  try {
    await signIn(page);
    await plan(page, url, api, assert, `team-${tag}`);
    await price(page, url, account);
    await terms(page, url, account);
    await currency(page, url, api, assert, `abroad-${tag}`);
    await customer(page, url, api, signIn, open, assert, account, tag);
  } finally {
    await forget(api, account);
  }
}

/** An account that pays in another currency from the beginning, and in a third one later. */
async function currency(page, url, api, assert, account) {
  await page.goto(`${url}/s/-/overview`);
  await page.getByRole("main").getByRole("button", { name: "New account" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Name", exact: true }).fill(account);
  await dialog.getByLabel("Currency").fill("eur");
  await dialog.getByRole("button", { name: "New account" }).click();
  await page.getByRole("heading", { name: account, level: 1 }).waitFor();
  await page.goto(`${url}/s/${account}/billing/payment`);
  await page.getByText("EUR", { exact: true }).waitFor();
  await page.getByLabel("Another one").fill("chf");
  await page.getByLabel("From", { exact: true }).fill(new Date(Date.now() + 3 * 86_400_000).toISOString().slice(0, 10));
  await page.getByRole("button", { name: "Set the currency" }).click();
  await page.getByText(/^CHF/).waitFor();
  const found = await api("GET", `/api/v1/scopes/${account}/currency`);
  assert.deepEqual([found.currency, found.versions.map((one) => one.currency).sort()], ["EUR", ["CHF", "EUR"]]);
  await api("DELETE", `/api/v1/scopes/-/accounts/${account}`);
}

const choose = async (page, label, option) => {
  await page.getByRole("button", { name: new RegExp(`^${label}`) }).last().click();
  await page.getByRole("option", { name: option }).first().click();
};

const offered = async (api, name) => (await api("GET", "/api/v1/plans")).items.find((plan) => plan.name === name);

/** From nothing to a dearer version to nobody's; what changes is told before it does. */
async function plan(page, url, api, assert, name) {
  await page.goto(`${url}/s/-/billing/plan`);
  await page.getByRole("link", { name: "New plan" }).click();
  await page.getByLabel("Title").fill("Team");
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Fee a month (USD)").fill("99.50");
  await page.getByLabel("Platforms").fill("2");
  await page.getByRole("button", { name: "Include a meter" }).click();
  await choose(page, "Meter", /^KV reads/);
  await page.getByLabel("Included", { exact: true }).fill("5,000,000");
  await page.getByLabel("Beyond it (USD)").fill("0.40");
  await page.getByRole("listitem").filter({ hasText: "KV reads, beyond" }).getByText("$0.40 / million").waitFor();
  await page.getByRole("button", { name: "Offer the plan" }).click();
  await page.getByText("Version 1", { exact: true }).waitFor();
  const made = await offered(api, name);
  assert.deepEqual([made.base_fee.amount, made.limits.platforms, made.included, made.overage], ["99.500000000", 2, { kv_reads: 5_000_000 }, { kv_reads: "0.0000004" }]);

  await page.getByRole("link", { name: "New version" }).click();
  await page.getByText("Nothing differs from version 1 yet.").waitFor();
  await page.getByLabel("Fee a month (USD)").fill("120");
  const change = page.getByRole("listitem").filter({ hasText: "Fee" });
  await change.locator("del", { hasText: "$99.50" }).waitFor();
  await change.locator("ins", { hasText: "$120.00" }).waitFor();
  await page.getByRole("button", { name: "Add version 2" }).click();
  await page.getByText("Version 2", { exact: true }).waitFor();
  await page.getByText("Version 1", { exact: true }).waitFor();

  await page.getByRole("button", { name: "Withdraw" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Withdraw" }).click();
  await page.getByText("The plan was withdrawn.").waitFor();
  assert.equal(await offered(api, name), undefined);
}

/** A price of the account's own: what the last weeks would have cost, one version, no second at the same moment, its end. */
async function price(page, url, account) {
  await page.goto(`${url}/s/${account}/billing/prices`);
  await page.getByRole("link", { name: "Set a price" }).click();
  await choose(page, "Meter", /^GPU seconds/);
  await page.getByText("$0.0007").first().waitFor(); // what counts now
  await page.getByLabel("Price (USD)").fill("0.0014");
  await page.getByLabel("For how many").selectOption("for one");
  await page.getByRole("row", { name: /^Total/ }).getByText("$14.00").waitFor(); // 10,000 seconds, at twice the price
  await page.getByRole("button", { name: "Add the version" }).click();
  await page.getByRole("heading", { name: "GPU seconds, price" }).waitFor();
  await page.getByRole("row", { name: /in force/ }).getByText("$0.0014").waitFor();

  const address = page.url().replace("prices/versions", "prices/new");
  const later = async () => {
    await page.goto(`${address}&price=0.002/one`);
    await page.getByRole("radio", { name: "Later" }).click();
    await page.getByLabel("From", { exact: true }).fill("2040-01-01T00:00");
    await page.getByRole("button", { name: "Add the version" }).click();
  };
  await later();
  await page.getByRole("row", { name: /to come/ }).waitFor();
  await later();
  await page.getByText(/a version of this price begins at .* already; choose another time/).waitFor();

  await page.goto(address.replace("prices/new", "prices/versions"));
  await page.getByRole("link", { name: "Withdraw" }).click();
  await page.getByText("From then on the next price above counts.").waitFor();
  await page.getByRole("button", { name: "Add the version" }).click();
  await page.getByRole("row", { name: /withdrawn/ }).waitFor();
}

/** Terms say in words what they do, and what is wrong with them stands where it was written. */
async function terms(page, url, account) {
  await page.goto(`${url}/s/${account}/billing/prices?tab=terms`);
  await page.getByRole("link", { name: "Set terms" }).click();
  await choose(page, "Meter", /^GPU seconds/);
  await page.getByLabel("Discount").fill("110");
  await page.getByRole("button", { name: "Add the version" }).click();
  await page.locator("p[role=alert]").filter({ hasText: /100/ }).waitFor(); // the preview beside it refuses it, too
  await page.getByLabel("Discount").fill("10");
  await page.getByText("10 % off").waitFor();
  await page.getByRole("row", { name: /^Total/ }).getByText("$6.30").waitFor(); // of 7 dollars
  await page.getByRole("button", { name: "Add the version" }).click();
  await page.getByRole("heading", { name: "GPU seconds, terms" }).waitFor();
  await page.getByRole("row", { name: /10 % off/ }).waitFor();
}

/** Who keeps the customer's books sees its prices, is offered no change of them, and may make none. */
async function customer(page, url, api, signIn, open, assert, account, tag) {
  const name = `ben-${tag}`;
  const email = `${name}@example.com`;
  await api("POST", `/api/v1/scopes/-/users/${name}:apply`, { metadata: { name }, spec: { email } });
  await api("POST", `/api/v1/users/${name}:set-password`, { password: "another long password" });
  await api("POST", `/api/v1/scopes/${account}/role-assignments/${name}:apply`, { metadata: { name }, spec: { subject: `user:${email}`, role: "-/billing-admin" } });
  const other = await open();
  let authorization = "";
  other.page.on("request", (request) => (authorization = request.headers()["authorization"] ?? authorization));
  await signIn(other.page, email, "another long password");
  await other.page.goto(`${url}/s/${account}/billing/prices?tab=terms`);
  await other.page.getByRole("link", { name: "GPU seconds" }).click();
  await other.page.getByRole("row", { name: /10 % off/ }).waitFor();
  assert.equal(await other.page.getByRole("link", { name: /New version|Withdraw|Set terms/ }).count(), 0);
  await other.page.goto(`${url}/s/${account}/billing/prices/new`);
  await other.page.getByText(/nothing here|may not/i).first().waitFor();
  const post = (path, body) => fetch(`${url}/api/v1/${path}`, { method: "POST", headers: { authorization, "content-type": "application/json" }, body: JSON.stringify(body) });
  const key = { meter: "gpu_seconds", scope: account };
  for (const [path, body] of [
    ["plans", { name: "free", title: "Free", base_fee: "0" }], ["plans/starter:withdraw", {}],
    ["prices", { ...key, unit_price: "0" }], ["price-terms", { ...key, terms: { discount: "100" } }],
  ]) assert.equal((await post(path, body)).status, 403, path);
  assert.deepEqual(other.errors, []);
  await api("DELETE", `/api/v1/scopes/-/users/${name}`);
}
