/** An endpoint's log is followed, searched and taken along. */
import { readFile } from "node:fs/promises";

export default async function ({ page, url, signIn, assert }) {
  await signIn(page);
  await page.goto(`${url}/s/demo.app.dev/endpoints/demo.app.dev/smollm2?tab=logs`);
  const log = page.getByRole("log");
  const newest = log.locator("[data-index]").filter({ hasText: /[a-z]{5}/i }).last();
  await newest.waitFor();
  const follow = page.getByLabel("Follow");
  assert.equal(await follow.isChecked(), true);

  const word = /[a-z]{5,}/i.exec((await newest.textContent()) ?? "")?.[0] ?? "";
  assert.ok(word, "the newest line holds a word");
  await page.getByPlaceholder("Search…").last().fill(word.toUpperCase());
  await page.getByText(/^0 of \d+$/).waitFor();
  await page.keyboard.press("Enter");
  await page.getByText(/^1 of \d+$/).waitFor();
  await log.locator("mark").first().waitFor();
  assert.equal(await follow.isChecked(), false, "what was found stays in sight");
  await page.keyboard.press("Escape");
  await log.locator("mark").first().waitFor({ state: "detached" });
  await follow.check();
  await newest.waitFor();

  const saving = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download" }).click();
  const saved = await saving;
  assert.equal(saved.suggestedFilename(), "demo.app.dev-smollm2.log");
  const text = await readFile(await saved.path(), "utf8");
  assert.ok(text.includes(word));
  assert.ok(!text.includes("\x1b"), "without colours");
}
