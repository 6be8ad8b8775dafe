/** What has no address of its own, in both themes: signing in, the palette, help, notes, what is not there, what is lost. */
import { THEMES, look, settle } from "../looking.mjs";

const AT = "/s/demo.app.dev";

export default async function ({ page, url, shots, signIn, assert, open }) {
  const each = async (name, shown = page) => {
    for (const theme of THEMES) await look(shown, shots, name, theme, assert);
  };
  const someone = await open();
  await signIn(someone.page); // before anybody did, one is asked to set the installation up
  await someone.context.close();
  const before = await open();
  await before.page.goto(`${url}/`);
  await before.page.locator("form").waitFor();
  await each("sign-in", before.page);
  await before.page.getByRole("button", { name: "Forgot your password?" }).click();
  await before.page.getByRole("heading", { name: "Forgot your password?" }).waitFor();
  await each("forgot", before.page);
  for (const [token, title] of [["iwp_", "Set a new password"], ["iws_", "Verify your address"], ["nothing", "This link does not work"]]) {
    await before.page.goto(`${url}/link#${token}`);
    await before.page.getByRole("heading", { name: title }).waitFor();
    await each(`link-${token.replace("_", "")}`, before.page);
  }
  await before.context.close();

  await signIn(page);
  await page.goto(`${url}${AT}/endpoints`);
  await settle(page);
  const closed = async (name) => {
    await each(name);
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
  };
  await page.keyboard.press("Control+k");
  await page.keyboard.type("smol");
  await page.getByRole("option", { name: /^smollm2/ }).first().waitFor();
  await closed("palette");
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByText("Go to Endpoints").waitFor();
  await closed("shortcuts");
  await page.keyboard.press("s");
  await page.getByRole("option", { name: /^dev/ }).first().waitFor();
  await closed("scopes");
  await page.getByRole("button", { name: "Notifications" }).click();
  await page.getByRole("dialog", { name: "Notifications" }).waitFor();
  await closed("notifications");
  await page.getByRole("button", { name: "Your account" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).waitFor();
  await each("account");
  await page.keyboard.press("Escape");
  await page.getByRole("menu").waitFor({ state: "detached" });

  await byKeyboard(page, assert);

  await page.goto(`${url}${AT}/nowhere`);
  await page.getByText("There is nothing here").waitFor();
  await each("not-found");
  await page.route("**/api/v1/watch?*", (route) => route.abort("connectionreset"));
  await page.goto(`${url}${AT}/endpoints`);
  await page.locator("[data-live=lost]").waitFor();
  await each("lost");
}

/** Focus comes back to where a dialog was opened from, a list is walked by arrows, and a row's menu is reached from it. */
async function byKeyboard(page, assert) {
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent);
  await page.keyboard.press("g");
  await page.keyboard.press("k");
  await page.getByRole("heading", { name: "API keys" }).waitFor();
  await page.getByRole("link", { name: "demo", exact: true }).waitFor();
  await page.getByRole("grid").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  assert.match(await focused(), /^Actions of /);
  await page.keyboard.press("Enter");
  await page.locator("[role=menuitem][data-highlighted]", { hasText: "Details" }).waitFor();
  await page.keyboard.press("End"); // the last one asks before it does anything
  await page.locator("[role=menuitem][data-highlighted]", { hasText: "Revoke" }).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.match(await focused(), /^Actions of /);
  await page.keyboard.press("Escape");
  assert.equal(await focused(), "API keys");
}
