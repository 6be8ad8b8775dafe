/** Moments, told as people tell them; one clock moves all of them. */
import { useSyncExternalStore } from "react";

import { formatAgo, formatTime, formatUtc } from "./format.ts";
import { usePreferences } from "./prefs.ts";
import { Tip } from "./tooltip.tsx";
import { t } from "./words.ts";

let now = new Date();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  now = new Date();
  timer ??= setInterval(() => {
    now = new Date();
    for (const each of listeners) each();
  }, 10_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The time now, fresh every ten seconds. */
export const useNow = (): Date => useSyncExternalStore(subscribe, () => now);

/** `3 min ago`; the moment itself, in the viewer's zone and in UTC, on hover and focus. */
export function Time({ at, exact }: { at: string | null | undefined; exact?: boolean }) {
  const current = useNow();
  const { utc } = usePreferences();
  if (!at) return <span className="text-faint">{t("never")}</span>;
  const moment = new Date(at);
  const shown = exact ? (utc ? formatUtc(moment) : formatTime(moment)) : formatAgo(moment, current);
  return (
    <Tip text={<Both moment={moment} />}>
      <time dateTime={moment.toISOString()} className="nums whitespace-nowrap">
        {shown}
      </time>
    </Tip>
  );
}

const Both = ({ moment }: { moment: Date }) => (
  <span className="nums">
    {formatTime(moment)}
    <br />
    {formatUtc(moment)}
  </span>
);
