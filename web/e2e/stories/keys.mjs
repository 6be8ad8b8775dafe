/** A key is made, shown once, works at the gateway, and stops when it is revoked. */
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

  await page.getByRole("row", { name: new RegExp(name) }).getByRole("button").click();
  await page.getByRole("menuitem", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("textbox").fill(name);
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("row", { name: new RegExp(name) }).waitFor({ state: "detached" });
  await until(models, (status) => status === 401);
}
