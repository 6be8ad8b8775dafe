/** A list shows what others do as they do it, and a connection that breaks heals. */
export default async function ({ page, url, api, signIn, open, assert }) {
  const name = `live-${Date.now().toString(36)}`;
  const at = "/api/v1/scopes/demo.app.dev/service-accounts";
  await signIn(page);
  await page.goto(`${url}/s/demo.app.dev/resources/service-accounts`);
  await page.locator("[data-live=live]").waitFor();
  await page.getByRole("grid").getByRole("link", { name: "demo", exact: true }).waitFor(); // the list is there
  const row = page.getByRole("row", { name: new RegExp(name) });
  assert.equal(await row.count(), 0);
  let lists = 0;
  page.on("request", (request) => (lists += /service-accounts\?/.test(request.url()) ? 1 : 0));

  await api("POST", at, { metadata: { name }, spec: { description: "made elsewhere" } });
  await row.waitFor();
  await api("DELETE", `${at}/${name}`);
  await row.waitFor({ state: "detached" });
  assert.equal(lists, 0, "the list was read again, where the stream should have told");

  // one's own sign-ins are nobody else's business, and told to oneself
  await page.goto(`${url}/s/-/settings/sessions`);
  await page.getByText("This one").waitFor();
  const elsewhere = await open({ userAgent: name });
  await signIn(elsewhere.page);
  const signedIn = page.getByRole("listitem").filter({ hasText: name });
  await signedIn.waitFor();
  await elsewhere.page.evaluate(() => fetch("/api/v1/session", { method: "DELETE" }));
  await signedIn.waitFor({ state: "detached" });
  await elsewhere.context.close();
  await page.goto(`${url}/s/demo.app.dev/resources/service-accounts`);
  await page.locator("[data-live=live]").waitFor();

  process.kill(Number(process.env.IRONWORKS_API_PID), "SIGKILL");
  await page.locator("[data-live=lost]").waitFor();
  await page.locator("[data-live=live]").waitFor();
  await api("POST", at, { metadata: { name }, spec: {} });
  await row.waitFor();
  await api("DELETE", `${at}/${name}`);
}
