import { beforeEach, describe, expect, it, vi } from "vitest";

const KEY = "ironworks.preferences";

/** As a page begins that finds this in its browser. */
async function begin(kept: Record<string, unknown> = {}) {
  vi.resetModules();
  localStorage.setItem(KEY, JSON.stringify(kept));
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener: () => undefined }));
  return import("./prefs.ts");
}
const kept = () => JSON.parse(localStorage.getItem(KEY) ?? "{}") as Record<string, unknown>;

describe("preferences", () => {
  beforeEach(() => localStorage.clear());

  it("are there before the server is asked, and follow it where nothing was changed here", async () => {
    const prefs = await begin({ theme: "light", unknown: 1, density: "tiny" });
    expect(prefs.shownTheme()).toBe("light");
    prefs.adoptPreferences({ theme: "dark", density: null, utc: true, scope: "acme" }, "ann");
    expect(prefs.shownTheme()).toBe("dark");
    expect(kept()).toMatchObject({ theme: "dark", density: "compact", utc: true, scope: "acme" });
    expect(prefs.unsavedPreferences()).toBeNull();
  });

  it("are told to the server, which undoes nothing that it has not heard of", async () => {
    let prefs = await begin();
    prefs.setPreferences({ theme: "light" });
    prefs = await begin(kept()); // the page is loaded again before anything could be sent
    prefs.adoptPreferences({ theme: "dark" }, "ann");
    expect(prefs.shownTheme()).toBe("light");
    const told = prefs.unsavedPreferences();
    expect(told).toEqual({ theme: "light", density: "compact", utc: false, scope: "" });
    prefs.setPreferences({ utc: true });
    if (told) prefs.preferencesSaved(told);
    expect(prefs.unsavedPreferences()?.utc).toBe(true); // changed while that was on its way
    prefs.setPreferences({ utc: true });
    prefs.preferencesSaved({ theme: "light", density: "compact", utc: true, scope: "" });
    expect(prefs.unsavedPreferences()).toBeNull();
  });

  it("are one person's: who comes after him begins with his own", async () => {
    const prefs = await begin({ theme: "light", utc: true, unsaved: true, owner: "ann" });
    prefs.adoptPreferences({ density: "comfortable" }, "bob");
    expect(kept()).toMatchObject({ theme: "system", density: "comfortable", utc: false, owner: "bob" });
    expect(prefs.unsavedPreferences()).toBeNull();
  });

  it("are those of another tab as soon as they change there", async () => {
    const prefs = await begin();
    prefs.followTheme();
    const heard = vi.fn();
    prefs.onPreferences(heard);
    localStorage.setItem(KEY, JSON.stringify({ theme: "light" }));
    window.dispatchEvent(new StorageEvent("storage", { key: KEY }));
    expect(prefs.shownTheme()).toBe("light");
    expect(document.documentElement.dataset["theme"]).toBe("light");
    expect(heard).toHaveBeenCalledTimes(1);
  });
});
