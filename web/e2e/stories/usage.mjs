/** Usage is opened from a model to who called it, narrowed to a time by hand and by the chart, and taken along as a table. */
import { readFile } from "node:fs/promises";

const AT = "/s/demo.app.dev/usage";

export default async function ({ page, url, api, signIn, assert }) {
  const { metadata } = await api("GET", "/api/v1/scopes/demo.app.dev/api-keys/demo");
  const words = () => new URL(page.url()).searchParams;
  await signIn(page);
  await page.goto(`${url}${AT}`);
  await page.getByRole("grid").getByRole("link", { name: "smollm2", exact: true }).click();
  await page.waitForURL(/model=smollm2/);
  assert.equal(words().get("by"), "key");
  assert.equal(await page.getByRole("textbox", { name: "Model" }).or(page.getByRole("combobox", { name: "Model" })).inputValue(), "smollm2");

  // keys are told by their names, on the page and in the file
  const key = page.getByRole("grid").getByRole("link", { name: "demo", exact: true });
  await key.waitFor();
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
  assert.match(await readFile(await file.path(), "utf8"), /^key,requests,.*\r\n(.*\r\n)*demo,\d/m);
  await key.click();
  await page.waitForURL(/by=model/);
  assert.equal(words().get("key"), metadata.uid);
  await page.getByRole("button", { name: "Clear" }).click();
  await page.waitForURL((at) => !at.searchParams.has("key") && !at.searchParams.has("model"));

  await page.getByRole("radio", { name: "From … to" }).click();
  await page.waitForURL(/range=custom/);
  const before = Date.parse(words().get("from"));
  const chart = page.getByRole("img", { name: /over time/ }).locator(".u-over");
  await chart.waitFor();
  const box = await chart.boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width - 2, box.y + 40, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL((at) => Date.parse(at.searchParams.get("from")) > before);
  await page.getByLabel("From", { exact: true }).fill("2026-01-01T00:00");
  await page.waitForURL((at) => new Date(at.searchParams.get("from")).getUTCFullYear() <= 2026 && Date.parse(at.searchParams.get("from")) < before);
  await page.getByRole("grid").getByRole("link", { name: "smollm2", exact: true }).waitFor();

  // who filters for what is not there is told so, and finds back
  await page.goto(`${url}${AT}?endpoint=nowhere/nothing`);
  await page.getByText("Nothing that was used in this time matches").waitFor();
}
