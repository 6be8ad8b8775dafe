/** What the present period of an account has come to so far, told before its close does it exactly. */
import { parseMoney } from "@ironworks/ui";

import { addDays, monthOf, today } from "./days.ts";
import { costOf, divideHalfEven, sum } from "./money.ts";
import type { Standing } from "./types.ts";

/** A row of the report `usage` by day and meter. */
export interface UsageRow {
  day: string;
  meter: string;
  currency: string;
  quantity: number;
  cost: string;
}

export interface Included {
  meter: string;
  used: number;
  included: number;
  /** What is beyond that costs, in nano-units. */
  cost: bigint;
}

export interface SoFar {
  start: string;
  end: string;
  currency: string;
  /** The plan's, for the whole period; it is due in advance. */
  fee: bigint;
  included: Included[];
  /** What no plan includes, at base price, the dearest first. */
  others: { meter: string; used: number; cost: bigint }[];
  total: bigint;
}

export const isLive = (standing: Standing | null): standing is Standing => standing !== null && standing.status !== "canceled";

/** A subscription's own period, or the calendar month of who has none. */
export function periodOf(standing: Standing | null, now = today()): { start: string; end: string } {
  return isLive(standing) ? { start: standing.period_start, end: standing.period_end } : monthOf(now);
}

/** Terms of an account's own, which a close applies to the whole period, are not in it. */
export function soFar(standing: Standing | null, rows: readonly UsageRow[], currency: string, now = today()): SoFar {
  const { start, end } = periodOf(standing, now);
  const meters = new Map<string, { used: number; cost: bigint }>();
  for (const row of rows) {
    if (row.day < start || row.day >= end || row.currency !== currency) continue;
    const before = meters.get(row.meter) ?? { used: 0, cost: 0n };
    meters.set(row.meter, { used: before.used + row.quantity, cost: before.cost + parseMoney(row.cost) });
  }
  const live = isLive(standing) ? standing : null;
  const fee = live && live.status !== "trialing" ? parseMoney(live.plan.base_fee.amount) : 0n;
  const included = (live?.usage ?? []).map((use) => ({ ...use, cost: beyond(use, live?.plan.overage[use.meter], meters.get(use.meter)) }));
  const known = new Set(included.map((one) => one.meter));
  const others = [...meters]
    .filter(([meter]) => !known.has(meter))
    .map(([meter, one]) => ({ meter, ...one }))
    .sort((a, b) => (a.cost === b.cost ? a.meter.localeCompare(b.meter) : a.cost < b.cost ? 1 : -1));
  const total = fee + sum(included.map((one) => one.cost)) + sum(others.map((one) => one.cost));
  return { start, end, currency, fee, included, others, total };
}

/** The plan's price for what is beyond; without one, the average of what its units cost. */
function beyond(use: { used: number; included: number }, price: string | undefined, rated: { used: number; cost: bigint } | undefined): bigint {
  const over = use.used - use.included;
  if (over <= 0) return 0n;
  if (price !== undefined) return costOf(over, price);
  return rated && rated.used > 0 ? divideHalfEven(rated.cost * BigInt(Math.round(over)), BigInt(Math.round(rated.used))) : 0n;
}

/** What each of the last `count` days cost, in nano-units. */
export function dailyCost(rows: readonly UsageRow[], currency: string, count: number, now = today()): { day: string; cost: bigint }[] {
  const costs = new Map<string, bigint>();
  for (const row of rows) if (row.currency === currency) costs.set(row.day, (costs.get(row.day) ?? 0n) + parseMoney(row.cost));
  return Array.from({ length: count }, (_, index) => {
    const day = addDays(now, index - count + 1);
    return { day, cost: costs.get(day) ?? 0n };
  });
}
