/** Days of the books. They are UTC's and have no time, so they are shown as they are, wherever the viewer is. */
import { formatDate } from "@ironworks/ui";

const DAY_MS = 86_400_000;

/** `2026-03-01` as `Mar 1, 2026`. */
export function showDay(day: string): string {
  const [year = 1970, month = 1, date = 1] = day.slice(0, 10).split("-").map(Number);
  return formatDate(new Date(year, month - 1, date));
}

/** A period from its first day up to the first one after it, as people say it: the last day included. */
export function showPeriod(start: string, end: string): string {
  const last = addDays(end, -1);
  return last <= start ? showDay(start) : `${showDay(start)} – ${showDay(last)}`;
}

export const addDays = (day: string, days: number): string => new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);

/** Today, in UTC. */
export const today = (now = new Date()): string => now.toISOString().slice(0, 10);

/** Whole days from `from` to `to`; negative when `to` is past. */
export const daysBetween = (from: string, to: string): number => Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / DAY_MS);

/** The first day of the calendar month in which `day` lies, and of the next. */
export function monthOf(day: string): { start: string; end: string } {
  const [year = 1970, month = 1] = day.split("-").map(Number);
  return { start: `${day.slice(0, 8)}01`, end: new Date(Date.UTC(year, month, 1)).toISOString().slice(0, 10) };
}
