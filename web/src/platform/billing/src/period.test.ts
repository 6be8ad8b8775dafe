import { expect, it } from "vitest";

import { monthOf, showPeriod } from "./days.ts";
import { dailyCost, soFar } from "./period.ts";
import type { UsageRow } from "./period.ts";
import type { Standing } from "./types.ts";

const row = (day: string, meter: string, quantity: number, cost: string, currency = "USD"): UsageRow => ({ day, meter, currency, quantity, cost });

const standing = (change: Partial<Standing> = {}): Standing =>
  ({
    status: "active",
    period_start: "2026-03-10",
    period_end: "2026-04-10",
    plan: { base_fee: { amount: "49.000000000", currency: "USD" }, overage: { calls: "0.5" } },
    usage: [
      { meter: "calls", used: 12, included: 10, remaining: 0 },
      { meter: "reads", used: 30, included: 10, remaining: 0 },
      { meter: "writes", used: 3, included: 10, remaining: 7 },
    ],
    ...change,
  }) as Standing;

const ROWS = [
  row("2026-03-09", "input_tokens", 5, "9.000000000"),
  row("2026-03-10", "input_tokens", 5, "0.500000000"),
  row("2026-03-11", "calls", 12, "60.000000000"),
  row("2026-03-11", "reads", 30, "3.000000000"),
  row("2026-03-12", "input_tokens", 5, "7.000000000", "EUR"),
];

it("adds the fee, what is beyond what is included, and what no plan includes", () => {
  const found = soFar(standing(), ROWS, "USD", "2026-03-15");
  expect(found.fee).toBe(49_000_000_000n);
  expect(found.included.map((one) => one.cost)).toEqual([1_000_000_000n, 2_000_000_000n, 0n]);
  expect(found.others).toEqual([{ meter: "input_tokens", used: 5, cost: 500_000_000n }]);
  expect(found.total).toBe(52_500_000_000n);
});

it("asks no fee during a trial, and counts the calendar month without a subscription", () => {
  expect(soFar(standing({ status: "trialing" }), ROWS, "USD").fee).toBe(0n);
  for (const none of [null, standing({ status: "canceled" })]) {
    const found = soFar(none, ROWS, "USD", "2026-03-15");
    expect([found.start, found.end, found.total]).toEqual(["2026-03-01", "2026-04-01", 72_500_000_000n]);
  }
});

it("has a cost for each day, also for those without any", () => {
  const days = dailyCost(ROWS, "USD", 3, "2026-03-11");
  expect(days.map((one) => one.cost)).toEqual([9_000_000_000n, 500_000_000n, 63_000_000_000n]);
  expect(dailyCost([], "USD", 30, "2026-03-11")).toHaveLength(30);
});

it("knows months, and names the last day that is in a period", () => {
  expect(monthOf("2026-12-31")).toEqual({ start: "2026-12-01", end: "2027-01-01" });
  expect(showPeriod("2026-02-01", "2026-03-01")).toBe("Feb 1, 2026 – Feb 28, 2026");
  expect(showPeriod("2026-02-01", "2026-02-02")).toBe("Feb 1, 2026");
});
