/** An operator sees that something was set aside, looks into it, has it tried again, and sees that it was handled. */
export default async function ({ page, url, api, signIn, assert }) {
  const { items } = await api("GET", "/api/v1/dead-letters");
  assert.equal(items.length, 1, "this story is about the one letter that its test wrote");
  const [letter] = items;
  await signIn(page);
  await page.goto(`${url}/s/-/system`);
  await page.locator("[data-system=live]").waitFor();
  await page.getByRole("table", { name: "Parts on this machine" }).getByText("gateway").waitFor();
  await page.getByText("1 wait for a replay").waitFor();
  let calls = 0;
  page.on("request", (request) => (calls += /\/api\/v1\/(system|gateway)/.test(request.url()) ? 1 : 0));

  await page.getByRole("main").getByRole("link", { name: /Dead letters/ }).click();
  await page.getByRole("grid").getByRole("link", { name: letter.subject }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(letter.error).waitFor();
  await dialog.getByText("What the log says").waitFor();
  await dialog.getByRole("button", { name: "Replay" }).click();
  await page.getByText(`${letter.subject} was handled by ${letter.consumer}`).waitFor();
  await page.keyboard.press("Escape");
  await page.getByText("Nothing was set aside").waitFor();
  await page.getByRole("radio", { name: "Replayed" }).click();
  await page.getByRole("row", { name: new RegExp(letter.consumer) }).first().waitFor();
  assert.equal(calls, 0, "what is live was asked for again");

  // what was done is in the trail, which is whole
  await page.goto(`${url}/s/-/audit?action=dead-letter.*&range=hour`);
  await page.getByRole("row", { name: /dead-letter\.replay/ }).first().click();
  await page.getByRole("dialog").getByText(letter.consumer, { exact: true }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Verify" }).click();
  await page.getByRole("button", { name: "Verify now" }).click();
  await page.getByText("Above platforms").waitFor();
  await page.getByRole("button", { name: "Verify again" }).waitFor();
  assert.equal(await page.getByText(/Broken at record/).count(), 0);

  const saved = page.waitForEvent("download");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Export" }).click();
  await page.getByRole("menuitem", { name: "As CSV" }).click();
  assert.match((await saved).suggestedFilename(), /^audit-installation-.*\.csv$/);
}
