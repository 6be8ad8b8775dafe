import { describe, expect, it } from "vitest";

import { drawingOf } from "./burn-down.ts";
import { standingOf, shareOf } from "./types.ts";
import type { Budget, BurnDown } from "./types.ts";

const forecast: NonNullable<BurnDown["forecast"]> = {
  basis: "hours", blocks: 24, confidence: 80, per_day: "20", spent: "120", low: "90", high: "150", runs_out_at: "2026-03-08T00:00:00Z",
  runs_out_earliest: "2026-03-07T00:00:00Z", runs_out_latest: null,
};
const found: BurnDown = {
  scope: "acme.shop.eu", name: "b", currency: "USD", amount: "100", period: "week", period_start: "2026-03-02T00:00:00Z", period_end: "2026-03-09T00:00:00Z",
  counts_from: "2026-03-03T00:00:00Z", as_of: "2026-03-04T00:00:00Z", spent: "20", reserved: "1", unreserved: "0",
  points: [{ at: "2026-03-03T00:00:00Z", spent: "0" }, { at: "2026-03-03T12:00:00Z", spent: "15" }, { at: "2026-03-04T00:00:00Z", spent: "20" }],
  thresholds: [{ percent: 50, amount: "50", told_at: null }, { percent: 100, amount: "100", told_at: null }],
  forecast,
};

const at = (given: BurnDown, id: string | number, moment: string) => {
  const { times, lines } = drawingOf(given);
  return lines.find((line) => line.id === id)?.values[times.indexOf(Date.parse(moment) / 1000)];
};

describe("a burn-down", () => {
  it("spans the period, with what is spent up to now and the forecast from there", () => {
    const { times, lines } = drawingOf(found);
    expect([times[0], times.at(-1)]).toEqual([Date.parse("2026-03-02T00:00:00Z") / 1000, Date.parse("2026-03-09T00:00:00Z") / 1000]);
    expect(lines.map((line) => line.id)).toEqual(["spent", "forecast", "high", "low", "even", 50, "amount"]);
    expect(at(found, "spent", "2026-03-02T00:00:00Z")).toBe(0);
    expect(at(found, "spent", found.as_of)).toBe(20);
    expect(at(found, "spent", "2026-03-09T00:00:00Z")).toBeNull();
    expect(at(found, "forecast", found.as_of)).toBe(20);
    expect(at(found, "forecast", "2026-03-09T00:00:00Z")).toBeCloseTo(120);
    expect(at(found, "high", "2026-03-09T00:00:00Z")).toBeCloseTo(150);
    expect(at(found, "even", "2026-03-09T00:00:00Z")).toBe(100);
    expect(lines.every((line) => line.values.length === times.length)).toBe(true);
  });

  it("keeps a forecast that is far above the amount from hiding what is spent", () => {
    expect(drawingOf({ ...found, forecast: { ...forecast, spent: "10000" } }).top).toBeCloseTo(176);
    expect(drawingOf({ ...found, amount: "0", spent: "0", points: found.points.slice(0, 1), forecast: null }).top).toBe(1);
  });

  it("of a total goes as far ahead as it lies back, or until it runs out", () => {
    const total = { ...found, period: "total" as const, period_start: "2000-01-01T00:00:00Z", period_end: null };
    const endless = { ...forecast, spent: null, low: null, high: null };
    const { times, lines } = drawingOf({ ...total, forecast: { ...endless, runs_out_at: null } });
    expect([times[0], times.at(-1)]).toEqual([Date.parse(found.counts_from) / 1000, Date.parse("2026-03-05T00:00:00Z") / 1000]);
    expect(lines.map((line) => line.id)).toEqual(["spent", "forecast", 50, "amount"]);
    expect(lines[1]?.values.at(-1)).toBeCloseTo(40);
    expect(drawingOf({ ...total, forecast: { ...endless, runs_out_at: "2026-03-06T00:00:00Z" } }).times.at(-1)).toBe(Date.parse("2026-03-06T00:00:00Z") / 1000);
    expect(drawingOf({ ...total, forecast: { ...endless, runs_out_at: "2036-03-06T00:00:00Z" } }).times.at(-1)).toBe(Date.parse("2026-03-07T00:00:00Z") / 1000);
  });

  it("of a period that is over has no forecast", () => {
    const over = { ...found, as_of: "2026-03-09T00:00:00Z", forecast: null };
    expect(drawingOf(over).lines.map((line) => line.id)).toEqual(["spent", "even", 50, "amount"]);
  });
});

describe("how a budget stands", () => {
  const budget = (spent: string, status: object = {}) => ({ spec: { amount: "10" }, status: { spent, ...status } }) as unknown as Budget;

  it("is told worst first", () => {
    const soon = new Date(Date.now() + 86_400_000).toISOString();
    expect(standingOf(budget("10", { runs_out_at: soon }))).toBe("spent");
    expect(standingOf(budget("5", { frozen_leases: [{}], runs_out_at: soon }))).toBe("frozen");
    expect(standingOf(budget("5", { runs_out_at: soon }))).toBe("over");
    expect(standingOf(budget("8"))).toBe("near");
    expect(standingOf(budget("9", { phase: "Exhausted" }))).toBe("spent");
    expect(standingOf(budget("0.1"))).toBe("fine");
  });

  it("knows a budget of nothing", () => {
    expect(shareOf("0", "0")).toBe(1);
    expect(shareOf("0.1", "0")).toBe(2);
  });
});
