/** Everything that can be done without a mouse: single keys where nobody types, `g` and a letter for pages. */
import { Dialog, Keys, isTyping, setPreferences, shownTheme } from "@ironworks/ui";
import { useEffect, useRef } from "react";

import type { Entry } from "./registry.ts";
import { t } from "./words.ts";

interface Shortcuts {
  palette: () => void;
  help: () => void;
  scope: () => void;
  menu: () => void;
  page: (key: string) => void;
}

const SEQUENCE_MS = 1_200;

/** A letter for each entry: the first of its label that no one before it took. */
export function pageKeys(entries: readonly Entry[]): Map<string, string> {
  const taken = new Set<string>();
  const keys = new Map<string, string>();
  for (const entry of entries) {
    const key = [...entry.label.toLowerCase()].find((letter) => /[a-z]/.test(letter) && !taken.has(letter));
    if (!key) continue;
    taken.add(key);
    keys.set(entry.id, key);
  }
  return keys;
}

export function useShortcuts(shortcuts: Shortcuts): void {
  const latest = useRef(shortcuts);
  useEffect(() => {
    latest.current = shortcuts;
  });
  useEffect(() => {
    let waitingSince = -Infinity; // by when keys were pressed, not by when a busy page came to handle them
    const press = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        latest.current.palette();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
      const second = event.timeStamp - waitingSince < SEQUENCE_MS;
      waitingSince = -Infinity;
      if (second) latest.current.page(event.key.toLowerCase());
      else if (event.key === "g") waitingSince = event.timeStamp;
      else if (event.key === "?") latest.current.help();
      else if (event.key === "s") latest.current.scope();
      else if (event.key === "[") latest.current.menu();
      else if (event.key === "t") setPreferences({ theme: shownTheme() === "dark" ? "light" : "dark" });
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

export function ShortcutHelp({ open, onClose, entries, keys }: { open: boolean; onClose: () => void; entries: Entry[]; keys: Map<string, string> }) {
  const general: [string, string][] = [
    ["Ctrl K", t("openPalette")],
    ["s", t("switchScope")],
    ["/", t("filterList")],
    ["↑ ↓", t("walkList")],
    ["Enter", t("openRow")],
    ["t", `${t("themeDark")} / ${t("themeLight").toLowerCase()}`],
    ["[", t("toggleMenu")],
    ["Esc", t("close")],
    ["?", t("shortcuts")],
  ];
  const pages = entries.flatMap((entry): [string, string][] => {
    const key = keys.get(entry.id);
    return key ? [[`g ${key}`, t("goTo", { page: entry.label })]] : [];
  });
  return (
    <Dialog open={open} onClose={onClose} title={t("shortcuts")}>
      <div className="grid gap-x-8 sm:grid-cols-2">
        {[general, pages].map((group) => (
          <dl key={group[0]?.[0]} className="flex flex-col">
            {group.map(([key, what]) => (
              <div key={key} className="flex items-center justify-between gap-4 border-b border-line py-1.5 text-sm">
                <dt>{what}</dt>
                <dd>
                  <Keys text={key} />
                </dd>
              </div>
            ))}
          </dl>
        ))}
      </div>
    </Dialog>
  );
}
