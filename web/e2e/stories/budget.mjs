/** A budget runs out while one looks at it; raising it lets the next call pass. */
import { until } from "../until.mjs";

export default async function ({ page, url, api, signIn, assert }) {
  const name = `budget-${Date.now().toString(36)}`;
  const at = "/api/v1/scopes/demo.app.dev";
  await api("POST", `${at}/api-keys`, { metadata: { name }, spec: { permissions: ["endpoint:invoke"] } });
  const { key } = await api("POST", `${at}/api-keys/${name}:rotate`, {});
  const { status } = await api("GET", `${at}/endpoints/smollm2`);
  const call = async () => {
    const body = { model: "smollm2", messages: [{ role: "user", content: "Say yes." }], max_tokens: 16 };
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const answer = await fetch(`${status.service_url}/chat/completions`, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: answer.status, request: answer.headers.get("x-request-id"), code: (await answer.json()).error?.code };
  };
  try {
    await signIn(page);
    await page.goto(`${url}/s/demo.app.dev/budgets/new`);
    await page.getByRole("textbox", { name: "Name" }).fill(name);
    await page.getByRole("radio", { name: "One key" }).click();
    await page.getByRole("button", { name: "One key" }).click();
    await page.getByRole("option", { name: new RegExp(name) }).click();
    await page.getByRole("textbox", { name: /^Amount/ }).fill("0.00015");
    await page.getByRole("button", { name: "Create the budget" }).click();
    await page.getByRole("heading", { name, level: 1 }).waitFor();
    await page.getByText("Within budget").waitFor();

    // the key and the budget reach the gateway within a second; then calls pass until all is spent
    assert.equal((await until(call, ({ status }) => status === 429)).code, "budget_exhausted");

    // nobody loaded the page again
    await page.getByText("Used up", { exact: true }).waitFor();
    await page.getByText("Calls that it counts are refused").waitFor();
    await page.getByRole("img", { name: /What was spent by when/ }).waitFor();

    await page.getByRole("button", { name: "Raise" }).click();
    await page.getByRole("textbox", { name: "New amount" }).fill("0.01");
    await page.getByRole("dialog").getByRole("button", { name: "Raise" }).click();
    await page.getByText("Used up", { exact: true }).waitFor({ state: "detached" });
    const last = await until(call, ({ status }) => status === 200);

    // the call has its story, down to the ledger
    await page.goto(`${url}/s/demo.app.dev/requests/${last.request}`);
    await page.getByRole("heading", { name: "Where the time went" }).waitFor();
    await page.getByText("Model: whole answer").waitFor();
    await page.getByRole("link", { name: /^Transfer of \$/ }).waitFor();
    await page.getByText("On no invoice yet").waitFor();
    await page.goto(`${url}/s/demo.app.dev/requests?status=2xx&route=smollm2`);
    await page.getByRole("row", { name: new RegExp(name) }).first().getByRole("link").click();
    await page.getByRole("heading", { name: "From use to invoice" }).waitFor();
  } finally {
    await api("DELETE", `${at}/budgets/${name}`).catch(() => undefined);
    await page.waitForTimeout(300);
    await api("DELETE", `${at}/api-keys/${name}`).catch(() => undefined);
  }
}
