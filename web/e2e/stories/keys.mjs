/** A key is made, shown once, works at the gateway, is limited and watched, and stops when it is revoked. */
import { until } from "../until.mjs";

export default async function ({ page, url, api, signIn, assert }) {
  const name = `key-${Date.now().toString(36)}`;
  await signIn(page);
  await page.goto(`${url}/s/demo.app.dev/keys`);
  await page.getByRole("button", { name: "Create key" }).first().click();
  await page.getByRole("textbox", { name: "Name" }).fill(name);
  await page.getByRole("dialog").getByRole("button", { name: "Create key" }).click();
  const key = (await page.getByLabel("The new key").textContent()) ?? "";
  assert.match(key, /^iwk_/);
  await page.getByRole("button", { name: "I have copied it" }).click();

  const { status } = await api("GET", "/api/v1/scopes/demo.app.dev/endpoints/smollm2");
  const models = () => fetch(`${status.service_url}/models`, { headers: { authorization: `Bearer ${key}` } }).then((answer) => answer.status);
  await until(models, (status) => status === 200);

  // its page tells what was called with it and what holds it back; a limit set there holds within a second
  await page.getByRole("grid").getByRole("link", { name }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
  await page.getByText("Nothing was called with it in the last 30 days").waitFor();
  await page.getByText("None counts it").waitFor();
  await page.getByRole("button", { name: "Limit it" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Requests a minute").fill("1");
  await dialog.getByRole("button", { name: "Limit it" }).click();
  await page.getByText("1 request a minute").waitFor();
  const call = () =>
    fetch(`${status.service_url}/chat/completions`, {
      method: "POST", headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "smollm2", messages: [{ role: "user", content: "Say yes." }], max_tokens: 2 }),
    }).then((answer) => answer.status);
  await until(call, (status) => status === 429);
  await page.getByRole("img", { name: "Requests per day" }).waitFor(); // what was let through shows by itself
  await page.getByRole("link", { name: "Give it a budget" }).click();
  await page.getByRole("button", { name: "One key" }).getByText(name).waitFor();
  await api("DELETE", `/api/v1/scopes/demo.app.dev/limits/${name}`);

  await page.goto(`${url}/s/demo.app.dev/keys`);
  await page.getByRole("row", { name: new RegExp(name) }).getByRole("button").click();
  await page.getByRole("menuitem", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("textbox").fill(name);
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("row", { name: new RegExp(name) }).waitFor({ state: "detached" });
  await until(models, (status) => status === 401);
}
