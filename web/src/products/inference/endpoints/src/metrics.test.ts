import { expect, it } from "vitest";

import { linesOf, startOf } from "./metrics.ts";
import type { Report } from "./metrics.ts";

const figures = { client_errors: 1, server_errors: 2, quantities: { input_tokens: 10, output_tokens: 4 }, cost_nano: 5, cost: "0.000000005", first_token_ms: null };
const report = (total: object = {}) =>
  ({
    since: "2026-11-21T10:00:00Z",
    until: "2026-11-21T12:30:00Z",
    total: { ...figures, requests: 3, ...total },
    items: [{ group: "a/b", series: [{ ...figures, at: "2026-11-21T11:00:00Z", requests: 3, latency_ms: { p50: 1, p90: 2, p99: 3 } }] }],
  }) as unknown as Report;

it("has a value for each step, and none where nothing was answered", () => {
  const lines = linesOf(report(), "day");
  expect(lines.times).toHaveLength(3);
  expect(lines.requests).toEqual([0, 3, 0]);
  expect(lines.failed).toEqual([0, 3, 0]);
  expect(lines.input).toEqual([0, 10, 0]);
  expect(lines.cost).toEqual([0, 5e-9, 0]);
  expect(lines.latency.p99).toEqual([null, 3, null]);
  expect(lines.firstToken.p50).toEqual([null, null, null]);
});

it("tells no money to who may not see it, and nothing of an endpoint that nobody called", () => {
  expect(linesOf(report({ cost: null }), "day").cost).toBeNull();
  expect(linesOf({ ...report(), items: [] }, "day").requests).toEqual([0, 0, 0]);
});

it("asks the same question for a whole step", () => {
  const now = Date.parse("2026-11-21T12:34:56Z");
  expect(startOf("hour", now).toISOString()).toBe("2026-11-21T11:34:00.000Z");
  expect(startOf("day", now)).toEqual(startOf("day", now + 60_000));
});
