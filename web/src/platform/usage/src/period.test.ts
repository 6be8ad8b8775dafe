import { expect, it } from "vitest";

import { localInput, periodOf, within } from "./period.ts";

const NOW = Date.parse("2026-11-22T03:30:20Z");
const asked = (words: Record<string, string>) => periodOf(new URLSearchParams(words), NOW);

it("asks for a whole step at the beginning, so that the same question is asked for a while", () => {
  expect(asked({})).toEqual({ span: "day", since: "2026-11-21T03:00:00.000Z", until: undefined, step: "hour" });
  expect(asked({ range: "hour" })).toEqual({ span: "hour", since: "2026-11-22T02:30:00.000Z", until: undefined, step: "minute" });
  expect(asked({ range: "nonsense" }).span).toBe("day");
});

it("takes two moments, in steps that fit their distance", () => {
  const chosen = (from: string, to: string) => asked({ range: "custom", from, to });
  expect(chosen("2026-11-22T01:00:00Z", "2026-11-22T02:00:00Z")).toEqual({
    span: "custom", since: "2026-11-22T01:00:00.000Z", until: "2026-11-22T02:00:00.000Z", step: "minute",
  });
  expect(chosen("2026-11-20T01:00:00Z", "2026-11-20T02:00:00Z").step).toBe("hour"); // minutes are kept for three hours
  expect(chosen("2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z").step).toBe("day");
  expect(asked({ range: "custom", from: "2026-11-20T00:00:00Z" })).toMatchObject({ since: "2026-11-20T00:00:00.000Z", until: undefined, step: "hour" });
});

it("falls back to a day where the moments are none, or in the wrong order", () => {
  expect(asked({ range: "custom", from: "yesterday" }).span).toBe("day");
  expect(asked({ range: "custom", from: "2026-11-20T02:00:00Z", to: "2026-11-20T01:00:00Z" }).span).toBe("day");
});

it("takes the steps whose points were drawn over, the one that is not over yet too", () => {
  const at = (time: string) => Date.parse(`2026-11-21T${time}Z`) / 1000;
  const chosen = (from: string, to: string) => ({ range: "custom", from: `2026-11-21T${from}:00.000Z`, to: `2026-11-21T${to}:00.000Z` });
  expect(within(at("09:40:00"), at("11:59:50"), "hour")).toEqual(chosen("10:00", "13:00"));
  expect(within(at("10:00:10"), at("10:00:20"), "minute")).toEqual(chosen("10:00", "10:01"));
});

it("writes a moment as the browser's own field takes it", () => {
  expect(new Date(localInput("2026-11-21T10:05:00.000Z")).toISOString()).toBe("2026-11-21T10:05:00.000Z");
});
