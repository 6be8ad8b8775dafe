/** A model is deployed with a few clicks, is seen to come up, and is tried. */
export default async function ({ page, url, api, signIn }) {
  const name = `d-${Date.now().toString(36)}`;
  await signIn(page);
  await page.goto(`${url}/s/demo.app.dev/endpoints/new`);
  await page.getByRole("radio", { name: /all-minilm/ }).click();
  await page.getByRole("textbox", { name: "Name" }).fill(name);
  await page.getByRole("button", { name: `Deploy ${name}` }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
  try {
    await page.getByText("1 of 1 ready").waitFor({ timeout: 90_000 });
    await page.getByRole("tab", { name: "Call it" }).click();
    await page.getByText(`"model": "${name}"`).waitFor();
    await page.getByRole("link", { name: "Try it" }).click();
    await page.getByRole("button", { name: "Embed", exact: true }).click();
    await page.getByRole("table", { name: "Similarity" }).waitFor();
    await page.getByText("Closest: 1 and 2").waitFor();
  } finally {
    await api("DELETE", `/api/v1/scopes/demo.app.dev/endpoints/${name}`);
  }
}
