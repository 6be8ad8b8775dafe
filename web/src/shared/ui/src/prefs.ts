/**
 * What a person set: theme, density, zone, and where he was last. The server keeps it for all of his browsers; this
 * browser's copy is there before the first paint, and tells its tabs of each other's changes.
 */
import { useSyncExternalStore } from "react";

export type Theme = "system" | "dark" | "light";
export interface Preferences {
  theme: Theme;
  density: "compact" | "comfortable";
  utc: boolean;
  /** Where the person was last; empty before anything. */
  scope: string;
}

interface Kept extends Preferences {
  /** It was changed here and the server has not heard of it yet. */
  unsaved?: boolean;
  /** Whose they are; browsers are shared. */
  owner?: string;
}

const KEY = "ironworks.preferences";
const DEFAULTS: Preferences = { theme: "system", density: "compact", utc: false, scope: "" };
const listeners = new Set<() => void>();
let current = load();

/** Words of another version, or of nobody, are left out. */
export function readPreferences(kept: Record<string, unknown>): Partial<Preferences> {
  const { theme, density, utc, scope } = kept;
  return {
    ...(["system", "dark", "light"].includes(theme as string) && { theme: theme as Theme }),
    ...(["compact", "comfortable"].includes(density as string) && { density: density as Preferences["density"] }),
    ...(typeof utc === "boolean" && { utc }),
    ...(typeof scope === "string" && { scope }),
  };
}

function load(): Kept {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Record<string, unknown>;
    const owner = kept["owner"];
    return { ...DEFAULTS, ...readPreferences(kept), unsaved: kept["unsaved"] === true, ...(typeof owner === "string" && { owner }) };
  } catch {
    return DEFAULTS; // unreadable or forbidden storage: the defaults do
  }
}

function keep(next: Kept): void {
  current = next;
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // private windows may forbid it; the choice then lasts as long as the page
  }
  tell();
}

function tell(): void {
  showTheme();
  for (const listener of listeners) listener();
}

export function setPreferences(change: Partial<Preferences>): void {
  const changed = (Object.keys(change) as (keyof Preferences)[]).some((name) => current[name] !== change[name]);
  if (changed) keep({ ...current, ...change, unsaved: true });
}

/** What the server says of somebody, unless it has not heard of what he changed here. */
export function adoptPreferences(kept: Record<string, unknown>, owner: string): void {
  const own = current.owner === undefined || current.owner === owner;
  if (own && current.unsaved) keep({ ...current, owner });
  else keep({ ...(own ? current : DEFAULTS), ...readPreferences(kept), owner });
}

/** The server has these now. */
export function preferencesSaved(saved: Preferences): void {
  const same = (Object.keys(DEFAULTS) as (keyof Preferences)[]).every((name) => current[name] === saved[name]);
  if (same) keep({ ...current, unsaved: false });
}

/** What the server is to hear; null where it knows. */
export function unsavedPreferences(): Preferences | null {
  const { unsaved, theme, density, utc, scope } = current;
  return unsaved ? { theme, density, utc, scope } : null;
}

export const onPreferences = (listener: () => void): (() => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const usePreferences = (): Preferences => useSyncExternalStore(onPreferences, () => current);

/** The theme that is shown now; `system` resolved. */
export function shownTheme(): "dark" | "light" {
  if (current.theme !== "system") return current.theme;
  return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

/** The theme that is shown, for what draws its colours itself; the system may change it while we look. */
export const useShownTheme = (): "dark" | "light" => useSyncExternalStore(onPreferences, shownTheme);

/** Puts the theme on the document, and follows the system's when that is what was chosen. */
export function showTheme(): void {
  document.documentElement.dataset["theme"] = shownTheme();
}

/** Shows the theme from now on as this tab, another one, or the system changes it. */
export function followTheme(): void {
  showTheme();
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => {
    current = { ...current }; // what is drawn with colours of its own is drawn anew
    tell();
  });
  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    current = load();
    tell();
  });
}
