/** A feature that comes while the console runs shows its page; one that throws takes nothing else down. */
const manifest = (id, title) => ({
  id, version: "1.0.0", display_name: title, description: `${title}, added at run time.`, icon: "plug",
  routes: [{ path: "", page: "main", title }], navigation: [{ id: "main", label: title, route: "", order: 700 }],
});
const GOOD = `export default ({ react, sdk, ui }) => ({
  manifest: ${JSON.stringify(manifest("greeting", "Greeting"))},
  pages: { main: async () => ({ default: () => react.createElement(ui.Page, { title: "Hello from " + sdk.usePlace().scope }) }) },
});`;
const BAD = `export default ({ react }) => ({
  manifest: ${JSON.stringify(manifest("grumpy", "Grumpy"))},
  pages: { main: async () => ({ default: () => { throw new Error("it is what it is"); } }) },
});`;

export default async function ({ page, url, api, signIn, assert, errors }) {
  await api("PUT", "/api/v1/console/features/greeting", { manifest: manifest("greeting", "Greeting"), module: GOOD });
  await api("PUT", "/api/v1/console/features/grumpy", { manifest: manifest("grumpy", "Grumpy"), module: BAD });
  try {
    await signIn(page);
    await page.goto(`${url}/s/demo.app.dev/overview`);
    const links = page.getByRole("navigation", { name: "Navigation" });
    await links.getByRole("link", { name: "Greeting" }).click();
    await page.getByRole("heading", { name: "Hello from demo.app.dev" }).waitFor();
    await links.getByRole("link", { name: "Grumpy" }).click();
    await page.getByText("it is what it is").waitFor();
    await links.getByRole("link", { name: "Overview" }).click();
    await page.getByRole("heading", { name: "dev", level: 1 }).waitFor();
    assert.ok(errors.every((error) => error.includes("it is what it is")), errors.join("\n"));
    errors.length = 0;
  } finally {
    await api("DELETE", "/api/v1/console/features/greeting");
    await api("DELETE", "/api/v1/console/features/grumpy");
  }
}
