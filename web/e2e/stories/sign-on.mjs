/**
 * The first person sets the installation up; others come by an OpenID provider, or are told why they may not; who was
 * invited by mail comes to what he was invited to by the provider's word.
 */
import { mailed } from "../mails.mjs";

const TOLD = {
  cancelled: /did not finish signing in/,
  expired: /longer than ten minutes/,
  unverified: /has not verified your e-mail address/,
  "unknown-user": /no user with your e-mail address/,
  provider: /did not answer as it should/,
};

export default async function ({ page, url, shots, api, signIn, assert }) {
  await page.route("https://cdn.jsdelivr.net/**", (route) => route.fulfill({ contentType: "text/css", body: "" })); // the provider's looks
  await page.goto(`${url}/`);
  await page.getByRole("heading", { name: "Set up this installation" }).waitFor();
  await picture(page, shots, "set-up");
  await signIn(page);
  await signOut(page);

  await api("POST", "/api/v1/scopes/-/users/ann:apply", { metadata: { name: "ann" }, spec: { email: "ann@example.com" } });
  await api("POST", "/api/v1/scopes/-/role-assignments/ann:apply", { metadata: { name: "ann" }, spec: { subject: "user:ann@example.com", role: "-/viewer" } });
  await page.goto(`${url}/s/-/resources/roles?sort=-name`);
  await byProvider(page, shots, "ann");
  await page.waitForURL(`${url}/s/-/resources/roles?sort=-name`); // where one wanted to go
  await page.locator("[data-live=live]").waitFor();
  await signOut(page, "ann@example.com");

  for (const [person, problem] of [["bob", "unverified"], ["carl", "unknown-user"]]) {
    await byProvider(page, "", person);
    await page.getByRole("alert").filter({ hasText: TOLD[problem] }).waitFor();
  }
  await api("POST", "/api/v1/scopes/-/invitations", { email: "carl@example.com", role: "-/viewer" });
  await byProvider(page, "", "carl"); // whoever was invited is known by that
  await page.locator("[data-live=live]").waitFor();
  await signOut(page, "carl@example.com");
  await invited(page, url, api, assert);

  await page.getByRole("button", { name: "Sign in with Example" }).click();
  await page.getByRole("button", { name: "Deny" }).click();
  await page.getByRole("alert").filter({ hasText: TOLD.expired }).waitFor(); // this provider leaves the state out, so nobody knows what was cancelled
  for (const [problem, words] of Object.entries(TOLD)) {
    await page.goto(`${url}/sign-in?problem=${problem}`);
    await page.getByRole("alert").filter({ hasText: words }).waitFor();
    assert.equal(new URL(page.url()).pathname, "/", "the problem would be told again at the next load");
  }
  await picture(page, shots, "sign-in-refused");
  await page.goto(`${url}/sign-in?problem=%3Cscript%3E`);
  await page.getByRole("heading", { name: "Sign in to Ironworks" }).waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);
  await signIn(page); // the password works beside it
}

/** By the mail's link to the provider, and back as a member of the scope, without having had a password. */
async function invited(page, url, api, assert) {
  await api("POST", "/api/v1/scopes/-/accounts", { metadata: { name: "guests" }, spec: {} });
  await api("POST", "/api/v1/scopes/guests/invitations", { email: "dora@example.com", role: "-/viewer" });
  await page.goto(`${url}/link#${await mailed(api, "dora@example.com", "iwi_")}`);
  await page.getByRole("heading", { name: "You are invited to guests" }).waitFor();
  await byProvider(page, "", "dora");
  await page.waitForURL(`${url}/s/guests/overview`);
  await page.locator("[data-live=live]").waitFor();
  await page.goto(`${url}/s/guests/members`);
  await page.getByRole("row", { name: /dora@example\.com.*viewer/ }).waitFor();
  const { items } = await api("GET", "/api/v1/scopes/guests/invitations");
  assert.deepEqual(items, [], "the invitation was used");
  await signOut(page, "dora@example.com");
}

async function byProvider(page, shots, person) {
  await page.getByRole("button", { name: "Sign in with Example" }).waitFor();
  if (shots) await picture(page, shots, "sign-in");
  await page.getByRole("button", { name: "Sign in with Example" }).click();
  await page.getByPlaceholder("sub").fill(person);
  await page.getByRole("button", { name: "Authorize" }).click();
}

async function signOut(page, email = "") {
  await page.getByRole("button", { name: "Your account" }).click();
  await page.getByText(`Signed in as ${email}`).waitFor();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in to Ironworks" }).waitFor();
}

/** Both themes, and a phone's. */
async function picture(page, shots, name) {
  if (!shots) return;
  for (const theme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme: theme });
    await page.waitForTimeout(300); // colours change in a moment, not at once
    await page.screenshot({ path: `${shots}/${name}-${theme}.png` });
  }
  await page.setViewportSize({ width: 360, height: 740 });
  await page.screenshot({ path: `${shots}/${name}-360.png` });
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: "dark" });
}
