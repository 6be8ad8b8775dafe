/** Turning what the API tells of usage into lines to draw and a table to save. */
import type { components } from "@ironworks/sdk";
import { parseMoney } from "@ironworks/ui";

export type Report = components["schemas"]["AnalyticsView"];
export type Group = Report["items"][number];
type Figures = Report["total"];
export type Measure = "requests" | "tokens" | "cost";

export const SPANS = { hour: 3_600_000, day: 86_400_000, week: 7 * 86_400_000, month: 30 * 86_400_000 } as const;
export type Span = keyof typeof SPANS;
const STEPS = { hour: "minute", day: "hour", week: "hour", month: "day" } as const;
const STEP_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
const MOST_LINES = 6;

export const stepOf = (span: Span) => STEPS[span];

/** The first moment of a span, cut to its step, so that the same question is asked for a while. */
export function startOf(span: Span, now: number): Date {
  const step = STEP_MS[STEPS[span]];
  return new Date(Math.floor((now - SPANS[span]) / step) * step);
}

export const tokensOf = ({ quantities }: Figures): number => (quantities["input_tokens"] ?? 0) + (quantities["output_tokens"] ?? 0);

/** As a number to draw; money in units, which is exact enough for a line. */
export function measured(figures: Figures, measure: Measure): number {
  if (measure === "requests") return figures.requests;
  if (measure === "tokens") return tokensOf(figures);
  return figures.cost === null ? 0 : Number(parseMoney(figures.cost)) / 1e9;
}

export interface Lines {
  times: number[];
  series: { label: string; values: number[] }[];
}

/** The largest groups as lines of their own, the rest added up in one. */
export function linesOf(report: Report, span: Span, measure: Measure, words: { nothing: string; others: string }): Lines {
  const step = STEP_MS[STEPS[span]];
  const first = Math.floor(Date.parse(report.since) / step) * step;
  const count = Math.max(1, Math.ceil((Date.parse(report.until) - first) / step));
  const times = Array.from({ length: count }, (_, index) => (first + index * step) / 1000);
  const ordered = [...report.items].sort((a, b) => measured(b, measure) - measured(a, measure));
  const shown = ordered.slice(0, MOST_LINES - 1).map((group) => ({ label: group.group || words.nothing, values: valuesOf([group]) }));
  const rest = ordered.slice(MOST_LINES - 1);
  return { times, series: rest.length > 0 ? [...shown, { label: words.others, values: valuesOf(rest) }] : shown };

  function valuesOf(groups: Group[]): number[] {
    const values = new Array<number>(count).fill(0);
    for (const point of groups.flatMap((group) => group.series ?? [])) {
      const index = Math.floor((Date.parse(point.at) - first) / step);
      if (index >= 0 && index < count) values[index] = (values[index] ?? 0) + measured(point, measure);
    }
    return values;
  }
}

/** Quoted where a program that reads it would stumble, and never a formula to a spreadsheet. */
export function csvCell(value: string | number | null): string {
  const text = value === null ? "" : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function toCsv(report: Report): string {
  const head = [report.by, "requests", "client_errors", "server_errors", "input_tokens", "output_tokens", `cost_${report.currency.toLowerCase()}`, "p50_ms", "p99_ms"];
  const rows = report.items.map((group) => [
    group.group, group.requests, group.client_errors, group.server_errors, group.quantities["input_tokens"] ?? 0, group.quantities["output_tokens"] ?? 0,
    group.cost, group.latency_ms?.p50 ?? null, group.latency_ms?.p99 ?? null,
  ]);
  return [head, ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n");
}
