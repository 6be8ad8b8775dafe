import { expect, it } from "vitest";

import { costOf, readAmount, showExact, showPrice, toDecimal } from "./money.ts";

it("multiplies exactly, and rounds once, half to even", () => {
  expect(costOf(3, "0.0000004")).toBe(1200n);
  expect(costOf(1, "0.0000000005")).toBe(0n);
  expect(costOf(3, "0.0000000005")).toBe(2n);
  expect(costOf(9_007_199_254_740_991, "0.01")).toBe(90_071_992_547_409_910_000_000n);
});

it("reads what people type, and nothing else", () => {
  expect(readAmount("1,250.5")).toBe(1_250_500_000_000n);
  for (const bad of ["", "0", "0.00", "-1", "1e3", "1.0000000001", "12 000", "much"]) expect(readAmount(bad)).toBeNull();
});

it("writes what the API takes", () => {
  expect([49_000_000_000n, 1n, -500_000_000n, 0n].map(toDecimal)).toEqual(["49.00", "0.000000001", "-0.50", "0.00"]);
});

it("tells a price by the million where one unit costs next to nothing", () => {
  expect(showPrice("0.0000004", "USD")).toEqual({ amount: "$0.40", million: true });
  expect(showPrice("0.0007", "USD")).toEqual({ amount: "$0.0007", million: false });
  expect(showPrice("49", "USD")).toEqual({ amount: "$49.00", million: false });
});

it("leaves no digit out where a list has to add up", () => {
  const shown = ["0.225", "1234.5", "-0.0025495", "-1.000000001", "0"].map((amount) => showExact({ amount, currency: "USD" }));
  expect(shown).toEqual(["$0.225", "$1,234.50", "−$0.0025495", "−$1.000000001", "$0.00"]);
  expect(showExact({ amount: "12.345", currency: "CHF" })).toBe("12.345 CHF");
});
