/**
 * A provider at a private address is refused by its field; a route is made by its form, serves, is changed, and deleted; a
 * target that goes dead is seen set aside, and back.
 */
import { until } from "../until.mjs";

export default async function ({ page, url, api, signIn, assert }) {
  const name = `route-${Date.now().toString(36)}`;
  const scope = "demo.app.dev";
  const at = `/api/v1/scopes/${scope}`;
  await signIn(page);

  await page.goto(`${url}/s/${scope}/routing/providers/new`);
  await page.getByRole("radio", { name: /Ollama/ }).click();
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Base address").fill("http://127.0.0.1:11434/v1");
  await page.getByLabel("Add a model by name").fill("llama3:8b");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Check the connection" }).click();
  await page.getByRole("alert").getByText("127.0.0.1 is not a public address").waitFor();
  await page.getByRole("button", { name: `Add ${name}` }).click();
  await page.getByRole("alert").getByText("127.0.0.1 is not a public address").waitFor();
  await assert.rejects(api("GET", `${at}/external-endpoints/${name}`), /404/);
  await page.getByLabel("Base address").fill("https://nobody.invalid/v1");
  await page.getByRole("button", { name: `Add ${name}` }).click();
  await page.getByText("nobody.invalid does not resolve").waitFor();
  await page.getByRole("button", { name: "Add it all the same" }).waitFor();

  await page.goto(`${url}/s/${scope}/routing/routes`);
  await page.getByRole("link", { name: "New route" }).first().click();
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Model, as callers write it").fill(`story/${name}`);
  await page.getByRole("button", { name: "Create route" }).click();
  await page.getByRole("alert").first().waitFor();
  const target = (number) => page.getByRole("group", { name: `Target ${number}` });
  const choose = async (number, model, weight) => {
    await target(number).getByRole("button", { name: "What serves it" }).click();
    await page.getByRole("combobox").fill(model);
    await page.getByRole("option", { name: model }).first().click();
    await target(number).getByLabel("Weight").fill(String(weight));
  };
  await choose(1, "smollm2", 3);
  await page.getByRole("button", { name: "Add a target" }).click();
  await choose(2, "smollm2", 1);
  await target(1).getByText("75 %").waitFor();
  await target(2).getByText("25 %").waitFor();
  await page.getByRole("button", { name: "Create route" }).click();
  await page.getByRole("heading", { name: `story/${name}` }).waitFor();
  await page.getByText("Serves").first().waitFor({ state: "attached" });
  assert.match((await page.getByLabel("curl").textContent()) ?? "", new RegExp(`"model":"story/${name}"`));

  await api("POST", `${at}/api-keys`, { metadata: { name }, spec: { permissions: ["endpoint:invoke"] } });
  const { key } = await api("POST", `${at}/api-keys/${name}:rotate`, {});
  const { status } = await api("GET", `${at}/endpoints/smollm2`);
  const ask = () =>
    fetch(`${status.service_url}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ model: `story/${name}`, max_tokens: 4, messages: [{ role: "user", content: "Hi" }] }),
    }).then((answer) => answer.status);
  await until(ask, (answered) => answered === 200);

  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByRole("radio", { name: /Ordered fallback/ }).click();
  await page.getByRole("button", { name: "Review changes" }).click();
  await page.getByRole("dialog").getByText("spec.strategy").waitFor();
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByText("2. choice").waitFor();

  // the first choice goes dead: the gateway sets it aside, serves by the second, and tries it again little by little
  const upstreams = [{ name: "main", url: "https://nobody.invalid/v1", model_mapping: { gone: "gone" } }];
  await api("POST", `${at}/external-endpoints`, { metadata: { name }, spec: { upstreams } });
  await api("PATCH", `${at}/routes/${name}`, { spec: { targets: [{ external: name, model: "gone" }, { endpoint: "smollm2" }] } });
  const row = page.locator("[data-standing]").filter({ hasText: `${name}: gone` });
  await row.waitFor();
  const provider = await page.context().newPage();
  await provider.goto(`${url}/s/${scope}/routing/providers/${scope}/${name}`);
  await provider.getByRole("link", { name: `story/${name}` }).waitFor();
  let told = false; // on the provider's page too: of the upstream, and of the route that leads there
  await until(async () => {
    assert.equal(await ask(), 200);
    told ||= (await provider.locator("[data-upstream=ill]").isVisible()) && (await provider.locator("[data-standing=ill]").isVisible());
    return told && row.getByText("Set aside", { exact: false }).isVisible();
  });
  await provider.close();
  await row.getByText("the model server cannot be reached", { exact: false }).waitFor();
  const seen = await api("GET", `${at}/routes/${name}/health`);
  assert.match(seen.targets[0].reason, /cannot be reached/);
  assert.equal(seen.targets[1].state, "healthy");
  await row.getByText("Back, with a part of its share", { exact: false }).waitFor();
  await page.getByText("requests in the last hour").or(page.getByText("request in the last hour")).first().waitFor();

  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("textbox").fill(name);
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.waitForURL(/routing\/routes$/);
  await api("DELETE", `${at}/api-keys/${name}`);
  await api("DELETE", `${at}/external-endpoints/${name}`);
}
