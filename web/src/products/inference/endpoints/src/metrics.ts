/** From what the API tells of an endpoint's usage to lines over time. */
import { tokensIn } from "@ironworks/sdk";
import type { components } from "@ironworks/sdk";
import { parseMoney } from "@ironworks/ui";

export type Report = components["schemas"]["AnalyticsView"];
type Point = NonNullable<Report["items"][number]["series"]>[number];

const MINUTE_MS = 60_000;
export const SPANS = {
  hour: { length: 60 * MINUTE_MS, step: MINUTE_MS, interval: "minute" },
  day: { length: 24 * 60 * MINUTE_MS, step: 60 * MINUTE_MS, interval: "hour" },
  week: { length: 7 * 24 * 60 * MINUTE_MS, step: 60 * MINUTE_MS, interval: "hour" },
} as const;
export type Span = keyof typeof SPANS;

/** The first moment of a span, cut to its step, so that the same question is asked for a while. */
export function startOf(span: Span, now: number): Date {
  const { length, step } = SPANS[span];
  return new Date(Math.floor((now - length) / step) * step);
}

export interface Lines {
  /** Unix seconds. */
  times: number[];
  requests: number[];
  failed: number[];
  input: number[];
  output: number[];
  /** In units of the currency, which is exact enough for a line; null for who may not see money. */
  cost: number[] | null;
  latency: Quantiles;
  firstToken: Quantiles;
}

/** Milliseconds; null where nothing was answered. */
export interface Quantiles {
  p50: (number | null)[];
  p90: (number | null)[];
  p99: (number | null)[];
}

/** One value for each step; a step in which nothing happened has none, or zero where that is what it means. */
export function linesOf(report: Report, span: Span): Lines {
  const { step } = SPANS[span];
  const first = Math.floor(Date.parse(report.since) / step) * step;
  const count = Math.max(1, Math.ceil((Date.parse(report.until) - first) / step));
  const points = new Map((report.items[0]?.series ?? []).map((point) => [Math.floor((Date.parse(point.at) - first) / step), point]));
  const each = <T>(value: (point: Point) => T, none: T): T[] =>
    Array.from({ length: count }, (_, index) => {
      const point = points.get(index);
      return point ? value(point) : none;
    });
  const quantiles = (of: "latency_ms" | "first_token_ms"): Quantiles => ({
    p50: each<number | null>((point) => point[of]?.p50 ?? null, null),
    p90: each<number | null>((point) => point[of]?.p90 ?? null, null),
    p99: each<number | null>((point) => point[of]?.p99 ?? null, null),
  });
  return {
    times: Array.from({ length: count }, (_, index) => (first + index * step) / 1000),
    requests: each((point) => point.requests, 0),
    failed: each((point) => (point.client_errors ?? 0) + (point.server_errors ?? 0), 0),
    input: each((point) => tokensIn(point.quantities, "input"), 0),
    output: each((point) => tokensIn(point.quantities, "output"), 0),
    cost: report.total.cost === null ? null : each((point) => Number(parseMoney(point.cost ?? "0")) / 1e9, 0),
    latency: quantiles("latency_ms"),
    firstToken: quantiles("first_token_ms"),
  };
}
