/** The first person comes, becomes the operator, finds the model that runs, leaves and comes back. */
export default async function ({ page, url, signIn, assert }) {
  await signIn(page);
  await page.goto(`${url}/s/demo.app.dev/overview`);
  await page.getByRole("heading", { name: "dev", level: 1 }).waitFor();
  await page.getByRole("link", { name: /smollm2/ }).first().waitFor();

  await page.keyboard.press("Control+k");
  await page.keyboard.type("endpoints");
  await page.getByRole("option", { name: /^Endpoints/ }).first().waitFor();
  await page.keyboard.press("Escape");

  await page.getByRole("navigation", { name: "Navigation" }).getByRole("link", { name: "Resources" }).click();
  await page.getByRole("heading", { name: "Resources", level: 1 }).waitFor(); // the page before has such a link, too
  await page.getByRole("main").getByRole("link", { name: /^Endpoints/ }).first().click();
  await page.getByRole("grid").getByRole("link", { name: "smollm2" }).click();
  await page.getByRole("heading", { name: "smollm2" }).waitFor();
  assert.match(page.url(), /\/s\/demo\.app\.dev\/resources\/endpoints\/demo\.app\.dev\/smollm2$/);

  // the address alone brings the same view back, and a session survives the page
  await page.goto(`${page.url()}?tab=yaml`);
  await page.getByText("engine: -/llama-cpp").waitFor();

  await page.getByRole("button", { name: "Your account" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in to Ironworks" }).waitFor();
  await page.fill("input[name=email]", "nobody@example.com");
  await page.fill("input[name=password]", "not the password");
  await page.click("button[type=submit]");
  await page.getByRole("alert").waitFor();
  await signIn(page);
  // what one signed out of is where one comes back to only by its address; the start goes to the last scope
  await page.goto(`${url}/`);
  await page.waitForURL(/\/s\/[^/]+\/overview$/);
}
