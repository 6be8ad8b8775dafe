/** Short notes on what happened, at the edge of the page, with a way back where there is one. All are kept a while. */
import { useEffect, useSyncExternalStore } from "react";

import { IconButton } from "./button.tsx";
import { cx } from "./classes.ts";
import { Icon } from "./icons.tsx";
import { t } from "./words.ts";

export interface Note {
  id: number;
  tone: "ok" | "bad" | "info";
  title: string;
  detail?: string | undefined;
  at: Date;
  undo?: (() => void) | undefined;
  seen: boolean;
}

const SHOWN_MS = { ok: 5_000, info: 6_000, bad: 12_000 };
const KEPT = 50;
let notes: readonly Note[] = [];
let last = 0;
const listeners = new Set<() => void>();

function set(next: readonly Note[]): void {
  notes = next.slice(-KEPT);
  for (const listener of listeners) listener();
}

export function notify(tone: Note["tone"], title: string, more: { detail?: string; undo?: () => void } = {}): void {
  last += 1;
  set([...notes, { id: last, tone, title, detail: more.detail, undo: more.undo, at: new Date(), seen: false }]);
}

export const markSeen = (id: number) => set(notes.map((note) => (note.id === id ? { ...note, seen: true } : note)));
export const forgetNotes = () => set([]);

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
export const useNotes = (): readonly Note[] => useSyncExternalStore(subscribe, () => notes);

export function Toasts() {
  const shown = useNotes().filter((note) => !note.seen).slice(-4);
  return (
    <div
      role="region"
      aria-label={t("notifications")}
      className="pointer-events-none fixed right-3 bottom-3 z-50 flex w-88 max-w-[calc(100vw-1.5rem)] flex-col gap-2"
    >
      {shown.map((note) => (
        <Toast key={note.id} note={note} />
      ))}
    </div>
  );
}

const ICON = { ok: "ok", bad: "error", info: "info" } as const;
const TONE = { ok: "text-ok", bad: "text-bad", info: "text-info" };

function Toast({ note }: { note: Note }) {
  useEffect(() => {
    const timer = setTimeout(() => markSeen(note.id), SHOWN_MS[note.tone]);
    return () => clearTimeout(timer);
  }, [note.id, note.tone]);
  return (
    <div
      role={note.tone === "bad" ? "alert" : "status"}
      className="pointer-events-auto flex animate-appear items-start gap-2 rounded-lg border border-line bg-raised py-2 pr-1 pl-3 shadow-pop"
    >
      <Icon name={ICON[note.tone]} className={cx("mt-1.5", TONE[note.tone])} />
      <div className="min-w-0 flex-1 py-1 text-sm">
        <p>{note.title}</p>
        {note.detail && <p className="text-xs break-words text-muted">{note.detail}</p>}
      </div>
      {note.undo && (
        <button
          type="button"
          className="h-8 rounded-md px-2 text-sm font-medium text-accent hover:bg-hover"
          onClick={() => {
            note.undo?.();
            markSeen(note.id);
          }}
        >
          {t("undo")}
        </button>
      )}
      <IconButton icon="close" label={t("close")} onClick={() => markSeen(note.id)} />
    </div>
  );
}
