import { expect, it } from "vitest";

import { currencyOf, daily, largestFirst, totalOf } from "./figures.ts";

const ROWS = [
  { day: "2026-03-01", currency: "USD", revenue: "1.500000000", account: "acme" },
  { day: "2026-03-03", currency: "USD", revenue: "12.000000001", account: "rival" },
  { day: "2026-03-02", currency: "EUR", revenue: "9.000000000", account: "paris" },
];

it("adds up one currency alone, exactly", () => {
  expect(currencyOf(ROWS)).toBe("USD");
  expect([totalOf(ROWS, "revenue", "USD"), totalOf(ROWS, "revenue", "EUR"), totalOf([], "revenue", "USD")]).toEqual([13_500_000_001n, 9_000_000_000n, 0n]);
});

it("draws every day, also those without a row", () => {
  const { times, values } = daily(ROWS, "2026-02-28", ["revenue"], "USD", "2026-03-03");
  expect(times).toHaveLength(4);
  expect(values).toEqual([[0, 1.5, 0, 12.000000001]]);
});

it("puts the largest first, and compares amounts, not their texts", () => {
  expect(largestFirst(ROWS, "revenue").map((row) => row["account"])).toEqual(["rival", "paris", "acme"]);
});
