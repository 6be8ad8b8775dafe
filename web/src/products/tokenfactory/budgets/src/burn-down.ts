/** A budget's burn-down as lines to draw: what was spent, the even way to the amount, and the forecast with its range. */
import { inUnits } from "./types.ts";
import type { BurnDown } from "./types.ts";

/** Moments of the future at which the forecast is told on hover. */
const AHEAD = 24;
const HOUR = 3600;
const DAY = 24 * HOUR;

interface Line {
  id: "spent" | "forecast" | "high" | "low" | "even" | "amount" | number;
  values: (number | null)[];
}

export interface Drawing {
  /** Unix seconds. */
  times: number[];
  lines: Line[];
  /** What is in sight: a forecast far above the amount leaves the picture. */
  top: number;
}

const seconds = (moment: string): number => Date.parse(moment) / 1000;

/** What a period without an end shows of the time to come: as much again, and until it runs out if that is near. */
function horizon(found: BurnDown, begin: number, now: number): number {
  if (found.period_end) return seconds(found.period_end);
  const out = found.forecast?.runs_out_at;
  const again = now + Math.max(HOUR, now - begin);
  return out ? Math.min(Math.max(again, seconds(out)), now + 3 * Math.max(HOUR, now - begin)) : again;
}

export function drawingOf(found: BurnDown): Drawing {
  const points = found.points.map((point) => ({ at: seconds(point.at), spent: inUnits(point.spent) }));
  const now = seconds(found.as_of);
  const first = points[0]?.at ?? now;
  const begin = found.period_end ? seconds(found.period_start) : first;
  const end = horizon(found, begin, now);
  const amount = inUnits(found.amount);
  const spent = inUnits(found.spent);
  const { forecast } = found;
  const future = forecast && end > now ? Array.from({ length: AHEAD }, (_, index) => now + ((index + 1) * (end - now)) / AHEAD) : [];
  const times = [...new Set([begin, ...points.map((point) => point.at), ...future, ...(found.period_end ? [end] : [])])].sort((a, b) => a - b);
  const byTime = new Map(points.map((point) => [point.at, point.spent]));
  const rate = forecast ? inUnits(forecast.per_day) / DAY : 0;
  /** From what is spent now to what will be at the end. */
  const toward = (last: number | null) => (at: number): number | null =>
    !forecast || last === null || at < now || (at > end && end > now) ? null : end > now ? spent + ((last - spent) * (at - now)) / (end - now) : null;
  const ending = forecast ? (forecast.spent === null ? spent + rate * (end - now) : inUnits(forecast.spent)) : null;
  const over = (value: (at: number) => number | null) => times.map(value);
  const lines: Line[] = [{ id: "spent", values: over((at) => (at > now ? null : (byTime.get(at) ?? (at < first ? 0 : null)))) }];
  if (forecast) lines.push({ id: "forecast", values: over(toward(ending)) });
  if (forecast?.low && forecast.high) {
    lines.push({ id: "high", values: over(toward(inUnits(forecast.high))) }, { id: "low", values: over(toward(inUnits(forecast.low))) });
  }
  if (found.period_end) lines.push({ id: "even", values: over((at) => (amount * (at - begin)) / (end - begin)) });
  for (const { percent } of found.thresholds.filter((one) => one.percent < 100)) lines.push({ id: percent, values: over(() => (amount * percent) / 100) });
  lines.push({ id: "amount", values: over(() => amount) });
  return { times, lines, top: Math.max(amount, spent, Math.min(ending ?? 0, 1.6 * amount)) * 1.1 || 1 };
}
