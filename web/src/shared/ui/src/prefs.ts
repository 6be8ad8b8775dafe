/** What a person set for this browser: theme, density. Kept locally, told to every component that asks. */
import { useSyncExternalStore } from "react";

export type Theme = "system" | "dark" | "light";
export interface Preferences {
  theme: Theme;
  density: "compact" | "comfortable";
  utc: boolean;
}

const KEY = "ironworks.preferences";
const DEFAULTS: Preferences = { theme: "system", density: "compact", utc: false };
const listeners = new Set<() => void>();
let current = load();

function load(): Preferences {
  try {
    return { ...DEFAULTS, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>) };
  } catch {
    return DEFAULTS; // unreadable or forbidden storage: the defaults do
  }
}

export function setPreferences(change: Partial<Preferences>): void {
  current = { ...current, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // private windows may forbid it; the choice then lasts as long as the page
  }
  showTheme();
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const usePreferences = (): Preferences => useSyncExternalStore(subscribe, () => current);

/** The theme that is shown now; `system` resolved. */
export function shownTheme(): "dark" | "light" {
  if (current.theme !== "system") return current.theme;
  return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

/** The theme that is shown, for what draws its colours itself; the system may change it while we look. */
export const useShownTheme = (): "dark" | "light" => useSyncExternalStore(subscribe, shownTheme);

/** Puts the theme on the document, and follows the system's when that is what was chosen. */
export function showTheme(): void {
  document.documentElement.dataset["theme"] = shownTheme();
}

export function followTheme(): void {
  showTheme();
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => {
    showTheme();
    current = { ...current }; // what is drawn with colours of its own is drawn anew
    for (const listener of listeners) listener();
  });
}
