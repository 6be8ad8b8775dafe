/** Somebody is made a member, is given a role, asks why it may do something, and goes again; others see it at once. */
import { until } from "../until.mjs";

export default async function ({ page, url, api, signIn, open, assert }) {
  const tag = Date.now().toString(36);
  const email = `mia-${tag}@example.com`;
  const account = `team-${tag}`;
  await signIn(page);
  await api("POST", "/api/v1/scopes/-/accounts", { metadata: { name: account }, spec: {} });
  await page.goto(`${url}/s/${account}/members`);
  await page.getByRole("grid").getByText(/operator/).first().waitFor();
  const token = { value: "" };
  page.on("request", (request) => (token.value = request.headers()["authorization"] ?? token.value));
  const row = page.getByRole("row", { name: new RegExp(email) });

  // a person who has no user yet gets one, with a first password
  await page.getByRole("button", { name: "Add member" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("E-mail address").fill(email);
  await choose(page, dialog, "Role", "viewer");
  await dialog.getByRole("button", { name: "Give role" }).click();
  await dialog.getByText("Nobody has this address yet").waitFor();
  await dialog.getByRole("button", { name: "Make the user and give the role" }).click();
  const password = (await page.getByLabel("First password").textContent()) ?? "";
  assert.ok(password.length >= 12);
  await page.getByRole("button", { name: "I have copied it" }).click();
  await row.waitFor();

  // who sees it as itself, and may do no more than its role says
  const other = await open();
  let own = "";
  other.page.on("request", (request) => (own = request.headers()["authorization"] ?? own));
  await signIn(other.page, email, password);
  await other.page.goto(`${url}/s/${account}/members`);
  await other.page.getByRole("row", { name: new RegExp(email) }).waitFor();
  await other.page.getByText("Others have access from a scope above").waitFor();
  assert.equal(await other.page.getByRole("button", { name: "Add member" }).count(), 0);
  assert.equal(await other.page.getByText("operator@localhost").count(), 0);
  const refused = await fetch(`${url}/api/v1/scopes/${account}/role-assignments`, {
    method: "POST", headers: { authorization: own, "content-type": "application/json" }, body: JSON.stringify({ metadata: { name: "x" }, spec: { subject: `user:${email}`, role: "-/operator" } }),
  });
  assert.equal(refused.status, 403);

  // why it may read, and why not create
  await row.getByRole("link", { name: email }).click();
  await page.getByRole("heading", { name: "Who may do what" }).waitFor();
  await page.getByRole("button", { name: "endpoint:read: held", exact: true }).click();
  await page.getByText(`Yes: ${email} holds endpoint:read at ${account}`).waitFor();
  await page.getByRole("link", { name: "viewer", exact: true }).waitFor();
  await page.getByRole("button", { name: "endpoint:create: not held", exact: true }).click();
  await page.getByText(`No: ${email} does not hold endpoint:create`).waitFor();
  await page.getByText("No role that holds it is given at this scope or above.").waitFor();

  // a role of one's own, from another
  await page.goto(`${url}/s/${account}/members/roles/-/viewer`);
  await page.getByRole("link", { name: "Copy" }).click();
  await page.getByLabel("Name", { exact: true }).fill("watcher");
  await page.getByLabel("endpoint:create", { exact: true }).check();
  await page.getByRole("button", { name: "Create role" }).click();
  await page.getByRole("heading", { name: "watcher" }).waitFor();
  const { spec } = await api("GET", `/api/v1/scopes/${account}/roles/watcher`);
  assert.ok(spec.permissions.includes("endpoint:create") && spec.permissions.includes("endpoint:read"));

  // a change of role shows to the person concerned, whose rights change with it
  await page.goto(`${url}/s/${account}/members`);
  await row.getByRole("button").click();
  await page.getByRole("menuitem", { name: "Change role" }).click();
  await choose(page, dialog, "Role", `${account}/watcher`);
  await dialog.getByRole("button", { name: "Change role" }).click();
  await other.page.getByRole("row", { name: new RegExp(`${email}.*watcher`) }).waitFor();

  // taken away, given back, and taken away for good
  await row.getByRole("button").click();
  await page.getByRole("menuitem", { name: "Take the role away" }).click();
  await row.waitFor({ state: "detached" });
  await page.getByRole("status").filter({ hasText: "no longer" }).getByRole("button", { name: "Undo" }).click(); // not that of the change before
  await row.waitFor();
  await row.getByRole("button").click();
  await page.getByRole("menuitem", { name: "Take the role away" }).click();
  await row.waitFor({ state: "detached" });
  // an account in which one has nothing is not there
  await until(() => fetch(`${url}/api/v1/scopes/${account}/members`, { headers: { authorization: own } }), (answer) => answer.status === 404);

  const { items } = await api("GET", `/api/v1/scopes/-/users?limit=500`);
  const user = items.find((one) => one.spec.email === email);
  await api("DELETE", `/api/v1/scopes/-/users/${user.metadata.name}`);
  await api("DELETE", `/api/v1/scopes/${account}/roles/watcher`);
  await api("DELETE", `/api/v1/scopes/-/accounts/${account}`);
}

/** Chooses from a list that is found by typing. */
async function choose(page, within, label, option) {
  await within.getByRole("button", { name: new RegExp(`^${label}`) }).first().click();
  await page.getByRole("combobox", { name: label }).fill(option);
  await page.getByRole("option", { name: new RegExp(`^${option.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`) }).first().click();
}
