/** Somebody says how he is called, takes what he likes to another browser, ends the session there, and changes his password. */
export default async function ({ url, api, signIn, open, page, assert }) {
  const name = `set-${Date.now().toString(36)}`;
  const email = `${name}@example.com`;
  const [first, second] = ["a first long password", "a second long password"];
  await signIn(page); // somebody has set the installation up
  await api("POST", "/api/v1/scopes/-/users", { metadata: { name }, spec: { email } });
  await api("POST", `/api/v1/users/${name}:set-password`, { password: first });
  await api("POST", "/api/v1/scopes/demo.app.dev/role-assignments", { metadata: { name }, spec: { subject: `user:${email}`, role: "-/viewer" } });
  const [here, there] = [await open(), await open()];
  try {
    await signIn(here.page, email, first);
    await here.page.goto(`${url}/s/demo.app.dev/settings/profile`);
    await here.page.getByLabel("How you are called").fill("Sam Settings");
    await here.page.getByRole("button", { name: "Save" }).click();
    await here.page.getByText("Saved").first().waitFor();
    assert.equal((await api("GET", `/api/v1/scopes/-/users/${name}`)).metadata.display_name, "Sam Settings");

    const kept = here.page.waitForResponse((answer) => answer.url().endsWith("/me/preferences") && answer.request().method() === "PUT" && answer.ok());
    await here.page.goto(`${url}/s/demo.app.dev/settings`);
    await here.page.getByRole("radio", { name: "Light" }).click();
    await kept;
    await signIn(there.page, email, first);
    await there.page.waitForFunction(() => document.documentElement.dataset.theme === "light"); // its system is dark

    await here.page.goto(`${url}/s/demo.app.dev/settings/sessions`);
    await here.page.getByText("This one").waitFor();
    await here.page.getByRole("button", { name: "End", exact: true }).click();
    await here.page.getByText("The session has ended").first().waitFor();
    await there.page.reload();
    await there.page.getByRole("heading", { name: "Sign in to Ironworks" }).waitFor();

    await here.page.goto(`${url}/s/demo.app.dev/settings/password`);
    await here.page.getByLabel("Current password", { exact: true }).fill(first);
    await here.page.getByLabel("New password", { exact: true }).fill(second);
    await here.page.getByLabel("New password, again", { exact: true }).fill(second);
    await here.page.getByRole("button", { name: "Change password" }).click();
    await here.page.getByRole("heading", { name: "Sign in to Ironworks" }).waitFor();
    await signIn(here.page, email, second);
    assert.deepEqual([...here.errors, ...there.errors], []);
  } finally {
    await api("DELETE", `/api/v1/scopes/demo.app.dev/role-assignments/${name}`);
    await api("DELETE", `/api/v1/scopes/-/users/${name}`);
  }
}
