import { expect, it } from "vitest";

import { linesOf, toCsv } from "./figures.ts";
import type { Group, Report } from "./figures.ts";

const figures = (requests: number, cost: string | null = null) => ({
  requests, client_errors: 0, server_errors: 0, quantities: { input_tokens: 10 * requests }, cost_nano: null, cost, latency_ms: null, first_token_ms: null,
});
const group = (name: string, requests: number): Group => ({ group: name, ...figures(requests), series: [{ at: "2026-11-21T11:00:00Z", ...figures(requests) }] });
const report = (items: Group[]): Report => ({
  scope: "acme", since: "2026-11-21T10:00:00Z", until: "2026-11-21T12:00:00Z", by: "model", interval: "hour", source: "analytics", currency: "USD",
  total: figures(1), items,
});
const nameOf = (name: string) => name || "(none)";

it("draws what there was at its time, and nothing as nothing", () => {
  expect(linesOf(report([group("a", 3)]), "requests", nameOf, "others")).toEqual({
    times: [1795255200, 1795258800],
    series: [{ label: "a", values: [0, 3] }],
  });
});

it("adds up what is too much to tell apart", () => {
  const made = linesOf(report(["a", "b", "c", "d", "e", "f", "g"].map((name, index) => group(name, 10 - index))), "tokens", nameOf, "others");
  expect(made.series.map((one) => one.label)).toEqual(["a", "b", "c", "d", "e", "others"]);
  expect(made.series.at(-1)?.values).toEqual([0, 90]);
});

it("calls groups in files as the page does", () => {
  expect(toCsv(report([group("m", 2), group("", 1)]), nameOf).split("\r\n").slice(1)).toEqual(["m,2,0,0,20,0,,,", "(none),1,0,0,10,0,,,"]);
});
