/** Usage of a scope and all below it: a time, a grouping, a measure; as lines and as a table, each view an address. */
import { api, keepPreviousData, live, tell, unwrap, usePlace, useQuery, useQueryWord, useTable } from "@ironworks/sdk";
import {
  Button, Callout, Choice, DataTable, Empty, Page, Section, Select, Skeleton, Stat, TimeChart, formatCompact, formatDuration, formatMoney, formatNumber,
  notify, parseMoney, useNow,
} from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useMemo } from "react";

import { SPANS, linesOf, startOf, stepOf, toCsv, tokensOf } from "./figures.ts";
import type { Group, Measure, Report, Span } from "./figures.ts";
import { t } from "./words.ts";

const BY = ["model", "key", "tenant", "route", "endpoint", "user"] as const;
const MEASURES: Measure[] = ["requests", "tokens", "cost"];

export default function Explorer() {
  const { scope } = usePlace();
  const [spanWord, setSpan] = useQueryWord("range", "day");
  const [by, setBy] = useQueryWord("by", "model");
  const [measureWord, setMeasure] = useQueryWord("show", "requests");
  const span = (spanWord in SPANS ? spanWord : "day") as Span;
  const measure = (MEASURES as string[]).includes(measureWord) ? (measureWord as Measure) : "requests";
  const minute = Math.floor(useNow().getTime() / 60_000) * 60_000;
  const since = startOf(span, minute).toISOString();
  const report = useQuery({
    queryKey: ["analytics", scope, by, span, since],
    placeholderData: keepPreviousData,
    ...live(scope, "usage"),
    queryFn: () =>
      unwrap(api.GET("/api/v1/scopes/{path}/analytics", { params: { path: { path: scope }, query: { since, by, interval: stepOf(span), limit: 200 } } })),
  });
  return (
    <Page
      title={t("title")}
      actions={
        <>
          <Select aria-label={t("by")} value={by} onChange={(event) => setBy(event.target.value)}>
            {BY.map((word) => (
              <option key={word} value={word}>
                {t(word)}
              </option>
            ))}
          </Select>
          <Choice label={t("measure")} value={measure} onChange={setMeasure} options={MEASURES.map((value) => ({ value, label: t(value) }))} />
          <Choice
            label={t("range")}
            value={span}
            onChange={setSpan}
            options={(Object.keys(SPANS) as Span[]).map((value) => ({ value, label: t(value) }))}
          />
        </>
      }
    >
      {report.error && <Callout tone="bad">{tell(report.error)}</Callout>}
      {report.isPending && <Skeleton className="h-96 w-full" />}
      {report.data && <Shown report={report.data} span={span} measure={measure} />}
    </Page>
  );
}

function Shown({ report, span, measure }: { report: Report; span: Span; measure: Measure }) {
  const lines = useMemo(() => linesOf(report, span, measure, { nothing: t("nothing"), others: t("others") }), [report, span, measure]);
  const { total, currency } = report;
  const table = useTable(report);
  const columns = useMemo(() => columnsOf(report), [report]);
  if (total.requests === 0) {
    return (
      <Section>
        <Empty icon="chart" title={t("emptyTitle")}>
          {t("emptyHint")}
        </Empty>
      </Section>
    );
  }
  const format = measure === "cost" ? (value: number) => formatMoney(BigInt(Math.round(value * 1e9)), currency) : formatCompact;
  return (
    <>
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
        <Stat label={t("requests")} value={formatNumber(total.requests)} />
        <Stat label={t("tokens")} value={formatCompact(tokensOf(total))} />
        {total.cost !== null && <Stat label={t("cost")} value={formatMoney(parseMoney(total.cost), currency)} />}
        <Stat label={t("latency")} value={total.latency_ms ? formatDuration(total.latency_ms.p50) : "–"} />
      </div>
      <Section>
        <TimeChart
          label={t("chart", { measure: t(measure).toLowerCase(), by: report.by })}
          kind={lines.series.length === 1 ? "bars" : "line"}
          height={240}
          times={lines.times}
          series={lines.series}
          format={format}
        />
      </Section>
      <div className="flex h-96 min-h-0 flex-col">
        <DataTable
          label={t("title")}
          {...table}
          columns={columns}
          rowKey={(group) => group.group}
          empty={null}
          tools={
            <Button small icon="download" onClick={() => save(report)}>
              {t("csv")}
            </Button>
          }
        />
      </div>
    </>
  );
}

function columnsOf(report: Report): Column<Group>[] {
  const heading = (BY as readonly string[]).includes(report.by) ? t(report.by as (typeof BY)[number]) : report.by;
  const number = (id: string, label: string, value: (group: Group) => number | null, show: (value: number) => string = formatNumber): Column<Group> => ({
    id, label, value, align: "right", width: "minmax(6.5rem, 1fr)",
    cell: (group) => {
      const found = value(group);
      return found === null ? <span className="text-faint">–</span> : show(found);
    },
  });
  const errors = (group: Group) => (group.client_errors === null || group.server_errors === null ? null : group.client_errors + group.server_errors);
  return [
    { id: "group", label: heading, value: (group) => group.group || t("nothing"), width: "minmax(12rem, 2fr)" },
    number("requests", t("requests"), (group) => group.requests),
    number("errors", t("errors"), errors),
    number("input", t("input"), (group) => group.quantities["input_tokens"] ?? 0, formatCompact),
    number("output", t("output"), (group) => group.quantities["output_tokens"] ?? 0, formatCompact),
    number("p50", t("latency"), (group) => group.latency_ms?.p50 ?? null, formatDuration),
    number("p99", t("slow"), (group) => group.latency_ms?.p99 ?? null, formatDuration),
    {
      id: "cost", label: t("cost"), align: "right", width: "minmax(7rem, 1fr)", value: (group) => (group.cost === null ? null : Number(group.cost)),
      cell: (group) => (group.cost === null ? <span className="text-faint">–</span> : formatMoney(parseMoney(group.cost), report.currency)),
    },
  ];
}

/** Hands the table to the person as a file. */
function save(report: Report): void {
  const name = `usage-${report.scope === "-" ? "installation" : report.scope}-by-${report.by}.csv`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([toCsv(report)], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  notify("ok", t("downloaded", { name }));
}
