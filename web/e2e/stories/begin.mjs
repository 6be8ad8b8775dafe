/** A newcomer goes from an empty tenant to a model, a key, an answer and its cost, by what the pages say alone. */
import { until } from "../until.mjs";

export default async function ({ page, url, api, signIn }) {
  const account = `begin-${Date.now().toString(36)}`;
  await signIn(page);
  const nav = page.getByRole("navigation", { name: "Navigation" });
  const make = async (kind, name) => {
    await page.getByRole("main").getByRole("button", { name: `New ${kind}` }).first().click();
    await page.getByRole("dialog").getByRole("textbox", { name: "Name", exact: true }).fill(name);
    await page.getByRole("dialog").getByRole("button", { name: `New ${kind}` }).click();
    await page.getByRole("heading", { name, level: 1 }).waitFor();
  };
  await page.goto(`${url}/s/-/overview`);
  await make("account", account);
  await make("platform", "shop");
  await make("tenant", "dev");
  const tenant = `${account}.shop.dev`;
  try {
    const steps = page.getByRole("region", { name: /Getting started|It works/ }).getByRole("listitem");
    const ticked = (step) => steps.nth(step - 1).getByText("Done:").waitFor();
    await steps.getByRole("link", { name: "Deploy a model" }).click();
    await page.getByRole("button", { name: "Deploy smollm2" }).click();
    await page.getByText("1 of 1 ready").waitFor({ timeout: 90_000 });
    await page.getByRole("tab", { name: "Call it" }).click();
    await page.getByText('"model": "smollm2"').waitFor();

    await nav.getByRole("link", { name: "Overview" }).click();
    await ticked(1);
    await steps.getByRole("link", { name: "Create a key" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("first");
    await page.getByRole("dialog").getByRole("button", { name: "Create key" }).click();
    const key = (await page.getByLabel("The new key").textContent()) ?? "";
    await page.getByRole("button", { name: "I have copied it" }).click();
    await nav.getByRole("link", { name: "Overview" }).click();
    await ticked(2);

    const { status } = await api("GET", `/api/v1/scopes/${tenant}/endpoints/smollm2`);
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const body = JSON.stringify({ model: "smollm2", messages: [{ role: "user", content: "Hello" }], max_tokens: 5 });
    // the gateway learns of a key a moment later
    await until(() => fetch(`${status.service_url}/chat/completions`, { method: "POST", headers, body }), (answer) => answer.status === 200);
    await ticked(3); // nobody touched the page
    await ticked(4);
    await page.getByText("It works").waitFor();
    await page.getByRole("main").getByText(/^\$0\.0/).first().waitFor();
  } finally {
    await api("DELETE", `/api/v1/scopes/${tenant}/api-keys/first`).catch(() => undefined);
    await api("DELETE", `/api/v1/scopes/${tenant}/endpoints/smollm2`).catch(() => undefined);
  }
}
