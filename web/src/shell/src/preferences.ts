/** What a person set is the server's to keep: taken from it when he comes, told to it some moments after he changed it. */
import { request, useBootstrap } from "@ironworks/sdk";
import type { Bootstrap } from "@ironworks/sdk";
import { adoptPreferences, onPreferences, preferencesSaved, unsavedPreferences, usePreferences } from "@ironworks/ui";
import { useEffect } from "react";

const SETTLED_MS = 1_000;
/** Whose preferences this page holds, and what of them is features' own. */
let held = { uid: "", pages: undefined as unknown };

async function save(): Promise<void> {
  const unsaved = unsavedPreferences();
  if (!unsaved) return;
  const { scope, ...rest } = unsaved;
  const preferences = { ...rest, ...(scope && { scope }), ...(held.pages ? { pages: held.pages } : {}) };
  try {
    await request("/api/v1/me/preferences", { method: "PUT", body: { preferences } });
    preferencesSaved(unsaved);
  } catch {
    // they stay unsaved in this browser, and are sent with the next change or when the console is opened again
  }
}

/** Where the person was last, in whatever browser that was. */
export function useLastScope({ caller, preferences }: Bootstrap): string {
  const { scope } = usePreferences();
  const told = preferences["scope"];
  return held.uid !== caller.uid && typeof told === "string" && !unsavedPreferences() ? told : scope;
}

/** Keeps them for as long as the console is open. Only people have any. */
export function useKeptPreferences(): void {
  const { caller, preferences } = useBootstrap();
  const person = caller.kind === "user";
  useEffect(() => {
    if (!person || held.uid === caller.uid) return;
    held = { uid: caller.uid, pages: preferences["pages"] };
    adoptPreferences(preferences, caller.uid);
  }, [person, caller.uid, preferences]);
  useEffect(() => {
    if (!person) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const soon = () => {
      clearTimeout(timer);
      if (unsavedPreferences()) timer = setTimeout(() => void save(), SETTLED_MS);
    };
    soon();
    const stop = onPreferences(soon);
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [person]);
}
