/** From signing in to a streamed answer, to its request's story, to the ledger entry that it became. */
import { until } from "../until.mjs";

const TENANT = "demo.app.dev";

export default async function ({ page, url, api, signIn, assert }) {
  await signIn(page);
  await page.goto(`${url}/s/${TENANT}/endpoints/${TENANT}/smollm2`);
  await page.getByRole("link", { name: "Try it" }).click();
  await page.getByRole("spinbutton", { name: "Longest answer" }).fill("24");
  await page.getByRole("textbox", { name: "Message" }).fill("Say hello.");
  await page.keyboard.press("Enter");
  const answer = page.locator("[data-answer=done]");
  await answer.waitFor();
  assert.ok((await answer.locator("p").first().textContent())?.trim());
  const fact = (name) => answer.locator(`[data-fact=${name}]`).textContent();
  assert.match(await fact("first"), /first token [\d.]+ m?s/);
  assert.match(await fact("cost"), /^\$0\.0*[1-9]/);
  const [, input, output] = /^(\d+) in, (\d+) out$/.exec(await fact("tokens")) ?? [];

  const link = answer.locator("[data-measures] a");
  const id = (await link.textContent()) ?? "";
  assert.match(id, /^req_/);
  const booked = await until(() => api("GET", `/api/v1/billing/requests/${id}`), ({ transfers }) => transfers.length > 0);
  const used = Object.fromEntries(booked.lines.map((line) => [line.meter, line.quantity]));
  const given = (used.input_tokens ?? 0) + (used.cached_input_tokens ?? 0); // what was asked before costs less
  assert.deepEqual([given, used.output_tokens], [Number(input), Number(output)]);

  const key = /playground-\w+/.exec((await page.getByText("Calls with playground-").textContent()) ?? "")?.[0];
  assert.ok(key);
  const { spec } = await api("GET", `/api/v1/scopes/${TENANT}/api-keys/${key}`);
  assert.deepEqual(spec.permissions, ["endpoint:invoke"]);
  assert.ok(Date.parse(spec.expires_at) <= Date.now() + 3_600_000);

  await link.click();
  await page.getByRole("heading", { name: id, level: 1 }).waitFor();
  const entry = page.getByRole("link", { name: /^Transfer of/ });
  await entry.waitFor();
  assert.ok((await entry.getAttribute("href"))?.endsWith(booked.transfers[0].id));

  await page.goto("about:blank"); // the key goes with the page
  await until(() => api("GET", `/api/v1/scopes/${TENANT}/api-keys/${key}`).catch((error) => error.message), (found) => /404/.test(found));
}
