/** From usage to an invoice that is looked through, opened, fetched and paid; then a plan is changed for what was shown. */
import { readFile } from "node:fs/promises";

import { forget, invoiced, spend } from "../money.mjs";

export default async function ({ page, url, api, signIn, assert }) {
  const account = `money-${Date.now().toString(36)}`;
  const request = await spend(api, account);
  const number = `${account.toUpperCase()}-000001`;
  try {
    await signIn(page);
    await page.goto(`${url}/s/${account}/billing`);
    await page.getByRole("heading", { name: "Billing" }).waitFor();
    await invoiced(api, account);

    await page.goto(`${url}/s/${account}/billing/invoices`);
    await page.getByRole("link", { name: number }).click();
    await page.getByRole("heading", { name: `Invoice ${number}` }).waitFor();
    await page.getByText("To pay").first().waitFor();

    await page.getByRole("link", { name: /GPU seconds/ }).click();
    await page.getByRole("heading", { name: "GPU seconds" }).waitFor();
    await page.getByRole("link", { name: request }).waitFor();
    await page.getByText("$7.00").first().waitFor();

    await page.getByRole("link", { name: number }).click();
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "PDF", exact: true }).click()]);
    assert.equal(file.suggestedFilename(), `${number}.pdf`);
    assert.equal((await readFile(await file.path())).subarray(0, 5).toString(), "%PDF-");
    await page.getByRole("tab", { name: "Document" }).click();
    await page.getByRole("heading", { name: `Invoice ${number}`, level: 1 }).nth(1).waitFor();

    await page.getByRole("button", { name: "Pay", exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Reference").fill(`statement 14, ${account}`);
    await dialog.getByRole("button", { name: "Record 7.00 USD" }).click();
    await page.getByRole("tab", { name: "Lines" }).click();
    await page.getByText("Paid on", { exact: true }).waitFor(); // by itself: nobody reloads; its payment is paid a moment before
    assert.equal((await api("GET", `/api/v1/invoices/${number}`)).invoice.state, "paid");

    await page.goto(`${url}/s/${account}/billing/ledger?kind=payment`);
    await page.getByRole("row", { name: /Payment/ }).getByRole("link").click();
    await page.getByRole("heading", { name: "Transfer of $7.00" }).waitFor();
    await page.getByText("Cash").waitFor();

    await changed(api, page, url, account, assert);
  } finally {
    await forget(api, account);
  }
}

/** From one plan to a dearer one: what it costs is shown before, and charged as shown. */
async function changed(api, page, url, account, assert) {
  await api("POST", `/api/v1/scopes/${account}/subscription`, { plan: "starter", trial: false });
  await page.goto(`${url}/s/${account}/billing/plan`);
  await page.getByRole("button", { name: "Change to Growth" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("On the next invoice").waitFor();
  await dialog.getByText("$150.00").waitFor(); // the whole difference, on the period's first day
  await dialog.getByRole("button", { name: "Change the plan" }).click();
  await page.getByText("The account is on Growth").waitFor();
  await page.getByRole("columnheader", { name: /Growth.*Present plan/ }).waitFor();
  assert.equal((await api("GET", `/api/v1/scopes/${account}/subscription`)).plan.name, "growth");
  const { items } = await api("GET", `/api/v1/scopes/${account}/subscription/charges`);
  assert.equal(items.reduce((sum, charge) => sum + charge.cost.nano, 0), 199e9);
}
