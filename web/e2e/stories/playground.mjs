/**
 * A conversation is stopped, changed, kept and had with two models; refusals are told in words; texts are compared; who
 * may make no key pastes one.
 */
import { until } from "../until.mjs";

const TENANT = "demo.app.dev";
const AT = `/s/${TENANT}/playground`;

export default async function (stage) {
  const { api } = stage;
  const name = `p-${Date.now().toString(36)}`;
  // it comes up while people talk
  await api("POST", `/api/v1/scopes/${TENANT}/endpoints/${name}:apply`, {
    metadata: { name },
    spec: { model: { registry: "-/builtin", name: "all-minilm-l6-v2" }, replicas: { num: 1 } },
  });
  try {
    await talk(stage);
    await compareTexts(stage, name);
    await stage.page.goto("about:blank"); // its key goes with it
    await talkWithAKeyOfOnesOwn(stage, name);
  } finally {
    await api("DELETE", `/api/v1/scopes/${TENANT}/endpoints/${name}`);
  }
}

async function talk({ page, url, signIn, assert }) {
  await signIn(page);
  await page.goto(`${url}${AT}?max_tokens=400&temperature=0`);
  await say(page, "Count from one to two hundred.");
  await page.locator("[data-answer=streaming]").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.locator("[data-answer=stopped]").waitFor();

  await page.getByRole("button", { name: "Edit and ask again" }).click();
  await page.getByRole("textbox", { name: "Edit and ask again" }).fill("Say yes.");
  await page.getByRole("spinbutton", { name: "Longest answer" }).fill("8");
  await page.getByRole("button", { name: "Ask again" }).click();
  await page.locator("[data-answer=done]").waitFor();
  assert.equal(await page.locator("[data-answer]").count(), 1);

  await page.getByRole("button", { name: "Compare" }).click();
  await say(page, "Say no.");
  await until(() => page.locator("[data-answer=done]").count(), (count) => count === 3);
  await page.getByRole("button", { name: "Code" }).click();
  await page.getByText('"max_tokens": 8').waitFor();
  await page.keyboard.press("Escape");
  await page.reload();
  await page.getByText("Say yes.").waitFor();
  await until(() => page.locator("[data-answer=done]").count(), (count) => count === 3);

  await page.goto(`${url}${AT}?model=nowhere`);
  await say(page, "Is anybody there?");
  await page.getByText("There is no such model here").waitFor();
  await page.getByRole("button", { name: "New conversation" }).click();
  await page.getByText("Say something to nowhere").waitFor();
}

async function compareTexts({ page, url }, name) {
  await page.goto(`${url}/s/${TENANT}/endpoints/${TENANT}/${name}`);
  await page.getByText("1 of 1 ready").waitFor();
  await page.getByRole("link", { name: "Try it" }).click();
  await page.getByRole("button", { name: "Embed", exact: true }).click();
  await page.getByRole("table", { name: "Similarity" }).waitFor();
  await page.getByText("Closest: 1 and 2").waitFor();
}

async function talkWithAKeyOfOnesOwn({ url, api, signIn, assert, open }, name) {
  const key = await prepare(api, name);
  const other = await open();
  try {
    await signIn(other.page, `${name}@example.com`, "another long password");
    await other.page.goto(`${url}${AT}?model=smollm2&max_tokens=4`);
    await other.page.getByText("You may not make keys here").waitFor();
    await other.page.getByRole("button", { name: "Use a key of mine" }).click();
    await other.page.getByLabel("API key", { exact: true }).fill(key);
    await other.page.getByRole("button", { name: "Use it" }).click();
    await say(other.page, "Hello");
    await other.page.locator("[data-answer=done]").waitFor();
    assert.deepEqual(other.errors, []);
  } finally {
    await api("DELETE", `/api/v1/scopes/${TENANT}/api-keys/${name}`);
    await api("DELETE", `/api/v1/scopes/${TENANT}/role-assignments/${name}`);
    await api("DELETE", `/api/v1/scopes/-/users/${name}`);
    await api("DELETE", `/api/v1/scopes/-/roles/${name}`);
  }
}

async function say(page, text) {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.keyboard.press("Enter");
}

/** Somebody who may call models and see them, and nothing else; and a key that was made for him. */
async function prepare(api, name) {
  const permissions = ["endpoint:invoke", "endpoint:read", "route:read", "external-endpoint:read", "tenant:read", "platform:read", "account:read"];
  await api("POST", `/api/v1/scopes/-/roles/${name}:apply`, { metadata: { name }, spec: { permissions } });
  await api("POST", `/api/v1/scopes/-/users/${name}:apply`, { metadata: { name }, spec: { email: `${name}@example.com` } });
  await api("POST", `/api/v1/users/${name}:set-password`, { password: "another long password" });
  const spec = { subject: `user:${name}@example.com`, role: `-/${name}` };
  await api("POST", `/api/v1/scopes/${TENANT}/role-assignments/${name}:apply`, { metadata: { name }, spec });
  await api("POST", `/api/v1/scopes/${TENANT}/api-keys/${name}:apply`, { metadata: { name }, spec: { permissions: ["endpoint:invoke"] } });
  return (await api("POST", `/api/v1/scopes/${TENANT}/api-keys/${name}:rotate`, {})).key;
}
