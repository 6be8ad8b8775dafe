/** Usage of a scope and all below it: a time, filters, a grouping, a measure; as lines and as a table, each view an address. */
import {
  api, keepPreviousData, live, pageAddress, tell, tokensIn, unwrap, useCan, usePlace, useQuery, useQueryString, useQueryWord, useResources, useTable,
} from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";
import {
  Button, Callout, Choice, DataTable, Empty, Page, Section, Select, Skeleton, Stat, TimeChart, formatCompact, formatDuration, formatMoney, formatNumber,
  notify, parseMoney, saveFile, useNow,
} from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useCallback, useMemo } from "react";

import { linesOf, toCsv } from "./figures.ts";
import type { Group, Measure, NameOf, Report } from "./figures.ts";
import { FILTERS, FilterBar, TimeChoice } from "./filters.tsx";
import { periodOf, within } from "./period.ts";
import { t } from "./words.ts";

const BY = ["model", "key", "tenant", "route", "endpoint", "user"] as const;
const MEASURES: Measure[] = ["requests", "tokens", "cost"];

/** Where a group opens: what it is made of next. */
const NEXT: Partial<Record<By, By>> = { model: "key", key: "model", route: "key", endpoint: "key" };
type By = (typeof BY)[number];

export default function Explorer() {
  const { scope } = usePlace();
  const can = useCan();
  const [params] = useQueryString();
  const [by, setBy] = useQueryWord("by", "model");
  const [measureWord, setMeasure] = useQueryWord("show", "requests");
  const measure = (MEASURES as string[]).includes(measureWord) ? (measureWord as Measure) : "requests";
  const minute = Math.floor(useNow().getTime() / 60_000) * 60_000;
  const period = periodOf(params, minute);
  const filters = Object.fromEntries(FILTERS.flatMap((name) => (params.get(name) ? [[name, params.get(name)]] : [])));
  const keys = useKeyNames(scope, can("api-key:read", scope));
  const { since, until, step: interval } = period;
  const query = { since, by, interval, limit: 200, ...(until && { until }), ...filters };
  const report = useQuery({
    queryKey: ["analytics", scope, query],
    placeholderData: keepPreviousData,
    ...live(scope, "usage"),
    queryFn: () => unwrap(api.GET("/api/v1/scopes/{path}/analytics", { params: { path: { path: scope }, query } })),
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
          <TimeChoice period={period} />
        </>
      }
    >
      <FilterBar period={period} report={report.data} keys={keys} />
      {report.error && <Callout tone="bad">{tell(report.error)}</Callout>}
      {report.isPending && <Skeleton className="h-96 w-full" />}
      {report.data && <Shown report={report.data} measure={measure} keys={keys} filtered={Object.keys(filters).length > 0} />}
    </Page>
  );
}

interface ShownProps {
  report: Report;
  measure: Measure;
  keys: ReadonlyMap<string, Resource>;
  filtered: boolean;
}

function Shown({ report, measure, keys, filtered }: ShownProps) {
  const [, set] = useQueryString();
  const nameOf = useCallback<NameOf>((group) => nameIn(keys, report.by, group), [keys, report.by]);
  const lines = useMemo(() => linesOf(report, measure, nameOf, t("others")), [report, measure, nameOf]);
  const { total, currency } = report;
  const table = useTable(report, useOpens(report.by));
  const columns = useMemo(() => columnsOf(report, nameOf), [report, nameOf]);
  if (total.requests === 0) {
    return (
      <Section>
        <Empty icon={filtered ? "filter" : "chart"} title={t(filtered ? "noneMatch" : "emptyTitle")}>
          {t(filtered ? "noneMatchHint" : "emptyHint")}
        </Empty>
      </Section>
    );
  }
  const format = measure === "cost" ? (value: number) => formatMoney(BigInt(Math.round(value * 1e9)), currency) : formatCompact;
  return (
    <>
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
        <Stat label={t("requests")} value={formatNumber(total.requests)} />
        <Stat label={t("tokens")} value={formatCompact(tokensIn(total.quantities))} />
        {total.cost !== null && <Stat label={t("cost")} value={formatMoney(parseMoney(total.cost), currency)} />}
        <Stat label={t("latency")} value={total.latency_ms ? formatDuration(total.latency_ms.p50) : "–"} />
      </div>
      <Section title={t("chart", { measure: t(measure), by: t(report.by as By).toLowerCase() })} hint={t("drag")}>
        <TimeChart
          label={t("chart", { measure: t(measure), by: report.by })}
          kind={lines.series.length === 1 ? "bars" : "line"}
          height={240}
          times={lines.times}
          series={lines.series}
          format={format}
          onRange={(from, to) => set(within(from, to, report.interval ?? "hour"))}
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
            <Button small icon="download" onClick={() => save(report, nameOf)}>
              {t("csv")}
            </Button>
          }
        />
      </div>
    </>
  );
}

/** What a group opens: the same time, of that group alone; a tenant's own page; an end user's requests. */
function useOpens(by: string): (group: Group) => string {
  const { scope } = usePlace();
  const [params] = useQueryString();
  return ({ group }) => {
    const words = Object.fromEntries(params);
    if (by === "tenant" && group) return pageAddress(group, "usage", "", { ...words, by: undefined });
    if (by === "user") return pageAddress(scope, "requests", "", { user: group, range: words["range"] === "custom" ? undefined : words["range"] });
    const next = NEXT[by as By];
    return pageAddress(scope, "usage", "", next && group ? { ...words, q: undefined, sort: undefined, [by]: group, by: next } : words);
  };
}

function nameIn(keys: ReadonlyMap<string, Resource>, by: string, group: string): string {
  if (!group) return t("nothing");
  return by === "key" ? (keys.get(group)?.metadata.name ?? t("unknownKey", { id: group.slice(0, 8) })) : group;
}

/** Names of keys by their uid, of those that the caller may read. */
function useKeyNames(scope: string, enabled: boolean): ReadonlyMap<string, Resource> {
  const { items } = useResources("api-keys", scope, { enabled });
  return useMemo(() => new Map(items.map((key) => [key.metadata.uid, key])), [items]);
}

function columnsOf(report: Report, nameOf: NameOf): Column<Group>[] {
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
    { id: "group", label: heading, value: (group) => nameOf(group.group), width: "minmax(12rem, 2fr)" },
    number("requests", t("requests"), (group) => group.requests),
    number("errors", t("errors"), errors),
    number("input", t("input"), (group) => tokensIn(group.quantities, "input"), formatCompact),
    number("output", t("output"), (group) => tokensIn(group.quantities, "output"), formatCompact),
    number("p50", t("latency"), (group) => group.latency_ms?.p50 ?? null, formatDuration),
    number("p99", t("slow"), (group) => group.latency_ms?.p99 ?? null, formatDuration),
    {
      id: "cost", label: t("cost"), align: "right", width: "minmax(7rem, 1fr)", value: (group) => (group.cost === null ? null : Number(group.cost)),
      cell: (group) => (group.cost === null ? <span className="text-faint">–</span> : formatMoney(parseMoney(group.cost), report.currency)),
    },
  ];
}

/** Hands the table to the person as a file. */
function save(report: Report, nameOf: NameOf): void {
  const name = `usage-${report.scope === "-" ? "installation" : report.scope}-by-${report.by}.csv`;
  saveFile(name, toCsv(report, nameOf));
  notify("ok", t("downloaded", { name }));
}
