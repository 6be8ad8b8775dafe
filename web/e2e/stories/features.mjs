/**
 * A feature that comes while the console runs shows its page; one that throws takes nothing else down, one whose code is
 * not what was registered never runs, and one that is switched off says so to whoever comes by its address.
 */
const manifest = (id, title) => ({
  id, version: "1.0.0", display_name: title, description: `${title}, added at run time.`, icon: "plug",
  routes: [{ path: "", page: "main", title }], navigation: [{ id: "main", label: title, route: "", order: 700 }],
});
/** It says what it is told of its life, and its page reads what its own provider gives. */
const GREETING = { ...manifest("greeting", "Greeting"), providers: ["polite"], hooks: { on_register: true, on_activate: true, on_deactivate: true } };
const GOOD = `export default ({ react, sdk, ui }) => {
  const Manner = react.createContext("Well");
  const life = (word) => () => void (document.documentElement.dataset.greeting = (document.documentElement.dataset.greeting ?? "") + word);
  return {
    manifest: ${JSON.stringify(GREETING)},
    providers: { polite: ({ children }) => react.createElement(Manner.Provider, { value: "Hello" }, children) },
    onRegister: life("r"), onActivate: life("a"), onDeactivate: life("d"),
    pages: { main: async () => ({ default: () => react.createElement(ui.Page, { title: react.useContext(Manner) + " from " + sdk.usePlace().scope }) }) },
  };
};`;
const BAD = `export default ({ react }) => ({
  manifest: ${JSON.stringify(manifest("grumpy", "Grumpy"))},
  pages: { main: async () => ({ default: () => { throw new Error("it is what it is"); } }) },
});`;

export default async function ({ page, url, api, signIn, assert, errors }) {
  await signIn(page);
  await page.goto(`${url}/s/demo.app.dev/overview`);
  const links = page.getByRole("navigation", { name: "Navigation" });
  await links.getByRole("link", { name: "Overview" }).waitFor();
  await api("PUT", "/api/v1/console/features/greeting", { manifest: GREETING, module: GOOD });
  await api("PUT", "/api/v1/console/features/grumpy", { manifest: manifest("grumpy", "Grumpy"), module: BAD });
  try {
    await links.getByRole("link", { name: "Greeting" }).click();
    await page.getByRole("heading", { name: "Hello from demo.app.dev" }).waitFor();
    await links.getByRole("link", { name: "Grumpy" }).click();
    await page.getByRole("heading", { name: "Grumpy failed" }).waitFor();
    await page.getByText("it is what it is").waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.greeting), "rad"); // registered once, opened, left
    await links.getByRole("link", { name: "Overview" }).click();
    await page.getByRole("heading", { name: "dev", level: 1 }).waitFor();

    const altered = async (route) => route.fulfill({ contentType: "text/javascript", body: `${await (await route.fetch()).text()}\nthrow new Error("it ran");` });
    await page.route("**/console/features/*/index.js", altered);
    await page.goto(`${url}/s/demo.app.dev/greeting`);
    await page.getByRole("heading", { name: "Greeting could not be loaded" }).waitFor();
    await page.getByText("its code is not what was registered", { exact: false }).waitFor();
    await page.unroute("**/console/features/*/index.js", altered);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "Hello from demo.app.dev" }).waitFor();

    await api("PUT", "/api/v1/scopes/demo.app/console/features/greeting", { enabled: false });
    await page.goto(`${url}/s/demo.app.dev/greeting`);
    await page.getByRole("heading", { name: "Greeting is switched off" }).waitFor();
    await page.getByRole("main").getByRole("link", { name: "Features of this platform" }).click();
    await page.waitForURL(/settings\/features$/);
    await page.goto(`${url}/s/demo.app.nowhere/overview`);
    await page.getByRole("heading", { name: "There is no scope demo.app.nowhere" }).waitFor();
    assert.ok(errors.every((error) => /it is what it is|digest|integrity checks/.test(error)), errors.join("\n"));
    errors.length = 0;
  } finally {
    await api("PUT", "/api/v1/scopes/demo.app/console/features/greeting", { enabled: true });
    await api("DELETE", "/api/v1/console/features/greeting");
    await api("DELETE", "/api/v1/console/features/grumpy");
  }
}
