/** Somebody is invited by mail, comes in with a password of his own, sees what he was invited to alone, and forgets it. */
import { THEMES, look } from "../looking.mjs";
import { mailed } from "../mails.mjs";

export default async function ({ page, url, shots, api, signIn, open, assert }) {
  const tag = Date.now().toString(36);
  const email = `gus-${tag}@example.com`;
  const account = `guests-${tag}`;
  const first = "a password of his own";
  const second = "another one of his own";
  await signIn(page);
  await api("POST", "/api/v1/scopes/-/accounts", { metadata: { name: account }, spec: {} });
  await page.goto(`${url}/s/${account}/members?show=invited`);
  await page.getByText("Nobody is invited here").waitFor();
  await page.getByRole("main").getByRole("button", { name: "Add member" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("E-mail address").fill(email);
  await dialog.getByRole("button", { name: /^Role/ }).click();
  await page.getByRole("combobox", { name: "Role" }).fill("viewer");
  await page.getByRole("option", { name: /^viewer/ }).first().click();
  await dialog.getByRole("button", { name: "Give role" }).click();
  await dialog.getByRole("button", { name: "Invite by mail" }).click();
  const row = page.getByRole("row", { name: new RegExp(`${email}.*waiting`) });
  await row.waitFor();

  // the link of the mail opens without a session, and leaves no token in the address
  const token = await mailed(api, email, "iwi_");
  const guest = await open();
  await guest.page.goto(`${url}/link#${token}`);
  await guest.page.getByRole("heading", { name: `You are invited to ${account}` }).waitFor();
  assert.equal(guest.page.url(), `${url}/link`);
  for (const theme of THEMES) await look(guest.page, shots, "link-invitation", theme, assert);
  let asGuest = "";
  guest.page.on("request", (request) => {
    asGuest = request.headers()["authorization"] ?? asGuest;
    assert.ok(!request.url().includes(token), request.url());
  });
  await guest.page.getByLabel("Your name").fill("Gus");
  await guest.page.getByLabel("Password", { exact: true }).fill(first);
  await guest.page.getByRole("button", { name: "Accept and sign in" }).click();
  await guest.page.waitForURL(`${url}/s/${account}/overview`);
  await guest.page.locator("[data-live=live]").waitFor();
  await row.waitFor({ state: "detached" }); // nobody touched the page
  const seen = await fetch(`${url}/api/v1/accounts`, { headers: { authorization: asGuest } });
  assert.deepEqual((await seen.json()).items.map((one) => one.metadata.name), [account]);
  await guest.page.goto(`${url}/s/${account}/members`);
  await guest.page.getByRole("row", { name: new RegExp(`${email}.*viewer`) }).waitFor();
  assert.equal(await guest.page.getByRole("button", { name: "Add member" }).count(), 0);

  // what he sets goes with him, and his tabs agree
  const tab = await guest.context.newPage();
  await tab.goto(`${url}/s/${account}/settings`);
  await guest.page.goto(`${url}/s/${account}/settings`);
  const saved = guest.page.waitForResponse(async (answer) => answer.url().endsWith("/me/preferences") && (await answer.text()).includes('"light"'));
  await guest.page.getByRole("radio", { name: "Light" }).click();
  await tab.waitForFunction(() => document.documentElement.dataset.theme === "light");
  assert.equal((await saved).status(), 200);
  await tab.close();

  // the same link again does nothing
  const late = await open();
  await late.page.goto(`${url}/link#${token}`);
  await late.page.getByRole("heading", { name: "This link does not work" }).waitFor();
  await late.context.close();

  // a forgotten password: without a mail server the page says who helps; the mail's link sets another one
  await guest.page.getByRole("button", { name: "Your account" }).click();
  await guest.page.getByRole("menuitem", { name: "Sign out" }).click();
  await guest.page.getByLabel("E-mail").fill(email);
  await guest.page.getByRole("button", { name: "Forgot your password?" }).click();
  await guest.page.getByText(`ironworks password-link ${email}`).waitFor();
  const elsewhere = await open({ colorScheme: "dark" });
  await signIn(elsewhere.page, email, first);
  await elsewhere.page.waitForFunction(() => document.documentElement.dataset.theme === "light"); // his, in a new browser
  const asked = await fetch(`${url}/api/v1/password:forgot`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ email }) });
  assert.equal(asked.status, 202);
  await guest.page.goto(`${url}/link#${await mailed(api, email, "iwp_")}`);
  await guest.page.getByRole("heading", { name: "Set a new password" }).waitFor();
  await guest.page.getByLabel("New password").fill(second);
  await guest.page.getByRole("button", { name: "Set the password" }).click();
  await guest.page.waitForURL(/\/s\/[^/]+\/overview$/);
  await elsewhere.page.reload();
  await elsewhere.page.getByRole("heading", { name: "Sign in to Ironworks" }).waitFor(); // that session has ended
  await signIn(elsewhere.page, email, second);

  const { items } = await api("GET", "/api/v1/scopes/-/users?limit=500");
  await api("DELETE", `/api/v1/scopes/-/users/${items.find((one) => one.spec.email === email).metadata.name}`);
  await api("DELETE", `/api/v1/scopes/-/accounts/${account}`);
}
