/** What is of no kind shows what others do as well: a payment, a request; and nobody asks while nothing happens. */
import { forget, invoiced, spend, use } from "../money.mjs";

/** The stream itself, what pages report, and the shell's tree of scopes, which others may change meanwhile. */
const NOT_THE_PAGE_S = ["/watch", "/console/reports", "/console/bootstrap"];
const QUIET_MS = 5_000;
/** From the commit to the picture, on a machine that does much at a time. */
const SOON = { timeout: 8_000 };

export default async function ({ page, url, api, signIn, assert }) {
  const account = `told-${Date.now().toString(36)}`;
  const request = await spend(api, account);
  try {
    const { number, id, due } = await invoiced(api, account);
    await signIn(page);
    const other = await page.context().newPage();
    const asked = [];
    for (const one of [page, other]) {
      one.on("request", (call) => {
        const { pathname } = new URL(call.url());
        if (pathname.startsWith("/api/") && !NOT_THE_PAGE_S.some((end) => pathname.endsWith(end))) asked.push(`${call.method()} ${pathname}`);
      });
    }
    await page.goto(`${url}/s/${account}/billing/invoices/${number}`);
    await page.getByText("To pay").first().waitFor();
    await other.goto(`${url}/s/${account}/requests`);
    await other.locator(`a[href$="/requests/${request}"]`).first().waitFor();
    await Promise.all([page, other].map((one) => one.locator("[data-live=live]").waitFor()));

    await settled(asked);
    asked.length = 0;
    await page.waitForTimeout(QUIET_MS);
    assert.deepEqual(asked, [], "nothing changed, and it was asked for");

    await api("POST", "/api/v1/payments:record", { invoice: id, amount_nano: due.nano, method: "bank_transfer", reference: `statement of ${account}` });
    await page.getByText("Paid on", { exact: true }).waitFor(SOON);
    const next = await use(api, account, `${account}-2`);
    await other.locator(`a[href$="/requests/${next}"]`).first().waitFor(SOON);
    await settled(asked);
    assert.ok(asked.length <= 40, `a payment and a request were asked for ${asked.length} times: ${asked.join(", ")}`);
  } finally {
    await forget(api, account);
  }
}

/** Until nothing has been asked for a while: what a page asks for when it comes has been answered. */
async function settled(asked) {
  for (let before = -1; before !== asked.length; ) {
    before = asked.length;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
  }
}
