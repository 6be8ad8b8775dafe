/** A document is written as a form and as YAML, checked, compared, applied and taken back; what others depend on is not deleted. */
export default async function ({ page, url, api, signIn, assert, errors }) {
  const name = `edit-${Date.now().toString(36)}`;
  const at = `/api/v1/scopes/demo.app.dev/service-accounts`;
  await signIn(page);
  await page.goto(`${url}/s/demo.app.dev/resources/service-accounts/new`);
  const editor = page.locator(".cm-content");
  const form = () => page.getByRole("radio", { name: "Form" }).click();
  const yaml = async () => {
    await page.getByRole("radio", { name: "YAML" }).click();
    await editor.waitFor();
  };
  await page.getByLabel("Name", { exact: true }).fill("No name");
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("alert").getByText(/letters|name/i).waitFor();
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Description").fill("first");
  await yaml();
  assert.match(await editor.textContent(), new RegExp(`name: ${name}.*description: first`));
  await form();
  assert.equal(await page.getByLabel("Description").inputValue(), "first");
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("heading", { name }).waitFor();

  await page.getByRole("button", { name: "Edit" }).click();
  assert.equal(await page.getByLabel("Name", { exact: true }).isDisabled(), true);
  await page.getByLabel("Description").fill("by the form");
  await page.getByRole("tab", { name: "Overview" }).click();
  await page.getByRole("tab", { name: "Edit" }).click();
  assert.equal(await page.getByLabel("Description").inputValue(), "by the form");
  await yaml();
  await editor.click();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(`kind: ServiceAccount\nmetadata:\n  name: ${name}\nspec:\n  descripton: typo\n`);
  await page.locator(".cm-lint-marker-error").first().waitFor();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(`# why\nkind: ServiceAccount\nmetadata:\n  name: ${name}\nspec:\n  description: second\n`);
  await form();
  await page.getByLabel("Description").fill("third");
  await page.getByRole("button", { name: "Review changes" }).click();
  await page.getByText("1 field changes").waitFor();
  await page.getByText("# why").waitFor();
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByText("is as it was before").waitFor();
  assert.equal((await api("GET", `${at}/${name}`)).spec.description, "first");

  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByText("Nothing depends on it.").waitFor();
  const confirm = page.getByRole("dialog").getByRole("button", { name: "Delete" });
  assert.equal(await confirm.isDisabled(), true);
  await page.getByRole("dialog").getByRole("textbox").fill(name);
  await confirm.click();
  await page.waitForURL(/service-accounts$/);

  await page.goto(`${url}/s/-/resources/clusters/-/local`);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByText("It cannot be deleted now").waitFor();
  await page.getByRole("dialog").getByText(/demo\.app\.dev\/smollm2/).waitFor();

  // Chromium itself tries to keep the style of a selection that is typed over, and the console's policy refuses that
  const own = errors.filter((error) => !error.startsWith("Applying inline style violates"));
  errors.splice(0, errors.length, ...own);
}
