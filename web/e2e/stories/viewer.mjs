/** A viewer sees its platform and nothing else, is offered nothing it may not do, and the API says the same. */
export default async function ({ page, url, api, signIn, assert, open }) {
  await signIn(page); // somebody has set the installation up
  const email = "vera@example.com";
  await api("POST", "/api/v1/scopes/-/users/vera:apply", { metadata: { name: "vera" }, spec: { email } });
  await api("POST", "/api/v1/users/vera:set-password", { password: "another long password" });
  await api("POST", "/api/v1/scopes/demo.app/role-assignments/vera:apply", {
    metadata: { name: "vera" },
    spec: { subject: `user:${email}`, role: "-/viewer" },
  });
  await api("POST", "/api/v1/scopes/-/accounts/globex:apply", { metadata: { name: "globex" }, spec: {} });

  const other = await open();
  let token = "";
  other.page.on("request", (request) => (token = request.headers()["authorization"] ?? token));
  await signIn(other.page, email, "another long password");
  await other.page.goto(`${url}/s/demo.app.dev/resources/endpoints`);
  await other.page.getByRole("link", { name: "smollm2" }).waitFor();
  assert.equal(await other.page.getByRole("link", { name: "New Endpoint" }).count(), 0);
  await other.page.getByRole("link", { name: "smollm2" }).click();
  await other.page.getByRole("heading", { name: "smollm2" }).waitFor();
  assert.equal(await other.page.getByRole("button", { name: "Delete" }).count(), 0);
  await other.page.getByRole("tab", { name: "YAML" }).click();
  await other.page.getByText("engine: -/llama-cpp").waitFor();
  assert.equal(await other.page.getByRole("button", { name: "Edit" }).count(), 0);

  await other.page.goto(`${url}/s/globex/overview`);
  await other.page.getByText("There is no scope globex").waitFor();
  await other.page.getByRole("button", { name: /Switch scope/ }).first().click();
  assert.equal(await other.page.getByRole("option", { name: /globex/ }).count(), 0);

  const refused = await fetch(`${url}/api/v1/scopes/demo.app.dev/endpoints/smollm2`, { method: "DELETE", headers: { authorization: token } });
  assert.equal(refused.status, 403);
  const hidden = await fetch(`${url}/api/v1/scopes/-/accounts/globex`, { headers: { authorization: token } });
  assert.equal(hidden.status, 404);
  assert.deepEqual(other.errors, []);
}
