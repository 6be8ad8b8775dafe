/** Turning what the API tells of usage into lines to draw and a table to save. */
import { tokensIn } from "@ironworks/sdk";
import type { components } from "@ironworks/sdk";
import { csvOf, parseMoney } from "@ironworks/ui";

import { STEP_MS } from "./period.ts";

export type Report = components["schemas"]["AnalyticsView"];
export type Group = Report["items"][number];
type Figures = Report["total"];
export type Measure = "requests" | "tokens" | "cost";

const MOST_LINES = 6;

/** What a group is called: keys have names, and what has none is told so. */
export type NameOf = (group: string) => string;

/** As a number to draw; money in units, which is exact enough for a line. */
export function measured(figures: Figures, measure: Measure): number {
  if (measure === "requests") return figures.requests;
  if (measure === "tokens") return tokensIn(figures.quantities);
  return figures.cost === null ? 0 : Number(parseMoney(figures.cost)) / 1e9;
}

export interface Lines {
  times: number[];
  series: { label: string; values: number[] }[];
}

/** The largest groups as lines of their own, the rest added up in one. */
export function linesOf(report: Report, measure: Measure, nameOf: NameOf, others: string): Lines {
  const step = STEP_MS[report.interval ?? "hour"];
  const first = Math.floor(Date.parse(report.since) / step) * step;
  const count = Math.max(1, Math.ceil((Date.parse(report.until) - first) / step));
  const times = Array.from({ length: count }, (_, index) => (first + index * step) / 1000);
  const ordered = [...report.items].sort((a, b) => measured(b, measure) - measured(a, measure));
  const shown = ordered.slice(0, MOST_LINES - 1).map((group) => ({ label: nameOf(group.group), values: valuesOf([group]) }));
  const rest = ordered.slice(MOST_LINES - 1);
  return { times, series: rest.length > 0 ? [...shown, { label: others, values: valuesOf(rest) }] : shown };

  function valuesOf(groups: Group[]): number[] {
    const values = new Array<number>(count).fill(0);
    for (const point of groups.flatMap((group) => group.series ?? [])) {
      const index = Math.floor((Date.parse(point.at) - first) / step);
      if (index >= 0 && index < count) values[index] = (values[index] ?? 0) + measured(point, measure);
    }
    return values;
  }
}

export function toCsv(report: Report, nameOf: NameOf): string {
  const head = [report.by, "requests", "client_errors", "server_errors", "input_tokens", "output_tokens", `cost_${report.currency.toLowerCase()}`, "p50_ms", "p99_ms"];
  const rows = report.items.map((group) => [
    nameOf(group.group), group.requests, group.client_errors, group.server_errors, tokensIn(group.quantities, "input"), tokensIn(group.quantities, "output"),
    group.cost, group.latency_ms?.p50 ?? null, group.latency_ms?.p99 ?? null,
  ]);
  return csvOf([head, ...rows]);
}
