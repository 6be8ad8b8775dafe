/** Adding up and drawing rows of reports, whose amounts are exact decimals. */
import { parseMoney } from "@ironworks/ui";

import { addDays, today } from "./days.ts";
import { sum, toNumber } from "./money.ts";

export type Figures = Record<string, unknown>;

export const AGES = [
  { name: "not_due", label: "not_due", tone: "" },
  { name: "days_1_30", label: "overdue_1_30", tone: "text-warn" },
  { name: "days_31_60", label: "overdue_31_60", tone: "text-warn" },
  { name: "days_61_90", label: "overdue_61_90", tone: "text-bad" },
  { name: "over_90", label: "overdue_over_90", tone: "text-bad" },
] as const;

/** The currency of the first row. Amounts in others are never added to it. */
export const currencyOf = (rows: readonly Figures[]): string => String(rows[0]?.["currency"] ?? "USD");

const ofCurrency = (rows: readonly Figures[], currency: string) => rows.filter((row) => row["currency"] === currency);

export const totalOf = (rows: readonly Figures[], name: string, currency: string): bigint =>
  sum(ofCurrency(rows, currency).map((row) => parseMoney(String(row[name] ?? "0"))));

export const largestFirst = (rows: readonly Figures[], name: string): Figures[] =>
  rows
    .map((row) => ({ row, nano: parseMoney(String(row[name] ?? "0")) }))
    .sort((a, b) => (a.nano === b.nano ? 0 : a.nano < b.nano ? 1 : -1))
    .map(({ row }) => row);

/** A day of the books is drawn under its own date, wherever the viewer is: seconds of its local midnight. */
export const localMidnight = (day: string): number => new Date(`${day}T00:00:00`).getTime() / 1000;

/** Each day from `from` to today, and for each measure what it came to; for drawing alone. */
export function daily(rows: readonly Figures[], from: string, names: readonly string[], currency: string, now = today()): { times: number[]; values: number[][] } {
  const days: string[] = [];
  for (let day = from; day <= now; day = addDays(day, 1)) days.push(day);
  const own = ofCurrency(rows, currency);
  const values = names.map((name) => {
    const byDay = new Map(own.map((row) => [String(row["day"]), parseMoney(String(row[name] ?? "0"))]));
    return days.map((day) => toNumber(byDay.get(day) ?? 0n));
  });
  return { times: days.map(localMidnight), values };
}
