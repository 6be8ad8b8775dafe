/** What was earned, what it cost, and what is still owed: for the operator. */
import { Link, live, pageAddress, tell, useCan, usePlace, useQuery, useQueryWord } from "@ironworks/sdk";
import { Button, Callout, Choice, Empty, Page, Section, Skeleton, Stat, TimeChart, formatMoney, marked, parseMoney } from "@ironworks/ui";
import { useMemo } from "react";

import { accountOf, fetchReport } from "./account.tsx";
import { addDays, today } from "./days.ts";
import { saveFile } from "./download.ts";
import { AGES, currencyOf, daily, largestFirst, totalOf } from "./figures.ts";
import type { Figures } from "./figures.ts";
import { sum } from "./money.ts";
import { Nano, Row } from "./parts.tsx";
import { t } from "./words.ts";

const SPANS = { days30: 30, days90: 90, days365: 365 } as const;
type Span = keyof typeof SPANS;

function useReport(scope: string, report: string, query: Record<string, string>, enabled = true) {
  return useQuery({
    queryKey: ["billing", "report", report, scope, query],
    enabled,
    ...live(scope, "usage", "ledger", "cost-rates"),
    queryFn: () => fetchReport<Figures>(scope, report, query),
  });
}

export default function Reports() {
  const { scope } = usePlace();
  const can = useCan();
  const [word, setWord] = useQueryWord("range", "days30");
  const span = (word in SPANS ? word : "days30") as Span;
  const now = today();
  const period = { from: addDays(now, 1 - SPANS[span]), to: addDays(now, 1) };
  const revenue = useReport(scope, "revenue", { by: "day", ...period }, can("billing:read", scope));
  const margin = useReport(scope, "margin", { by: "day", ...period }, can("report:margin", "-"));
  const receivables = useReport(accountOf(scope) ?? "-", "receivables", { by: "account" }, can("invoice:read", accountOf(scope) ?? "-"));
  const unbilled = useReport(scope, "unbilled", { by: "account" }, can("billing:read", scope));
  const problem = revenue.error ?? margin.error ?? receivables.error ?? unbilled.error;
  const currency = currencyOf(revenue.data ?? unbilled.data ?? []);
  const csv = () => {
    const words = new URLSearchParams({ by: "day,account,kind", format: "csv", ...period });
    void saveFile(`/api/v1/scopes/${encodeURIComponent(scope)}/reports/revenue?${words}`, `revenue-${period.from}-${now}.csv`);
  };
  return (
    <Page
      title={t("revenue")}
      actions={
        <>
          <Choice label={t("range")} value={span} onChange={setWord} options={(Object.keys(SPANS) as Span[]).map((value) => ({ value, label: t(value) }))} />
          <Button icon="download" onClick={csv}>
            {t("csv")}
          </Button>
        </>
      }
    >
      {problem && <Callout tone="bad">{tell(problem)}</Callout>}
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
        <Total label={t("earned")} rows={revenue.data} of="revenue" currency={currency} />
        {margin.data && <Total label={t("margin")} rows={margin.data} of="margin" currency={currency} />}
        <Total label={t("unbilledTitle")} rows={unbilled.data} of="unbilled" currency={currency} />
        <Total label={t("receivables")} rows={receivables.data} of="total" currency={currency} />
      </div>
      <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-2">
        <Section title={t("revenueChart")}>
          <Chart rows={revenue.data} names={["revenue"]} labels={[t("earned")]} from={period.from} currency={currency} label={t("revenueChart")} />
        </Section>
        {margin.data && (
          <Section title={t("marginChart")}>
            <Chart rows={margin.data} names={["charged", "cost"]} labels={[t("charged"), t("cost")]} from={period.from} currency={currency} label={t("marginChart")} />
            <Uncosted rows={margin.data} currency={currency} />
          </Section>
        )}
        <Owed title={t("unbilledTitle")} rows={unbilled.data} of="unbilled" page="" />
        <Receivables rows={receivables.data} />
      </div>
    </Page>
  );
}

function Total({ label, rows, of, currency }: { label: string; rows: Figures[] | undefined; of: string; currency: string }) {
  return <Stat label={label} value={rows ? formatMoney(totalOf(rows, of, currency), currency) : <Skeleton className="h-7 w-24" />} />;
}

interface ChartProps {
  rows: Figures[] | undefined;
  names: string[];
  labels: string[];
  from: string;
  currency: string;
  label: string;
}

function Chart({ rows, names, labels, from, currency, label }: ChartProps) {
  const words = labels.join("|");
  const drawn = useMemo(() => {
    if (!rows) return null;
    const { times, values } = daily(rows, from, names, currency);
    return { times, series: words.split("|").map((text, index) => ({ label: text, values: values[index] ?? [] })) };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- names are as constant as their labels
  }, [rows, from, currency, words]);
  if (!drawn) return <Skeleton className="h-50 w-full" />;
  if (drawn.series.every((one) => one.values.every((value) => value === 0))) {
    return (
      <Empty icon="chart" title={t("noRevenue")}>
        {t("noRevenueHint")}
      </Empty>
    );
  }
  return (
    <TimeChart
      label={label}
      kind={names.length === 1 ? "bars" : "line"}
      height={200}
      times={drawn.times}
      series={drawn.series}
      format={(value) => formatMoney(parseMoney(value.toFixed(9)), currency)}
    />
  );
}

function Uncosted({ rows, currency }: { rows: Figures[]; currency: string }) {
  const nano = totalOf(rows, "uncosted", currency);
  return nano === 0n ? null : <p className="pt-3 text-xs text-faint">{marked(t("uncostedHint", { amount: formatMoney(nano, currency) }))}</p>;
}

function Owed({ title, rows, of, page }: { title: string; rows: Figures[] | undefined; of: string; page: string }) {
  const sorted = useMemo(() => largestFirst(rows ?? [], of), [rows, of]);
  return (
    <Section title={title}>
      {sorted.length === 0 && <p className="text-sm text-muted">{t("none")}</p>}
      <div className="-my-2">
        {sorted.slice(0, 12).map((row) => (
          <Row
            key={`${row["account"]} ${row["currency"]}`}
            label={<AccountLink account={String(row["account"])} page={page} />}
            value={<Nano nano={parseMoney(String(row[of]))} currency={String(row["currency"])} />}
          />
        ))}
      </div>
    </Section>
  );
}

const AccountLink = ({ account, page }: { account: string; page: string }) => (
  <Link to={pageAddress(account, "billing", page)} className="hover:text-accent hover:underline">
    {account}
  </Link>
);

/** By age, and whose: what is long overdue stands out. */
function Receivables({ rows }: { rows: Figures[] | undefined }) {
  const found = useMemo(() => largestFirst(rows ?? [], "total"), [rows]);
  const currencies = [...new Set(found.map((row) => String(row["currency"])))];
  return (
    <Section title={t("receivables")}>
      {found.length === 0 && <p className="text-sm text-muted">{t("nothingOpen")}</p>}
      {currencies.map((currency) => (
        <div key={currency} className="mb-3 grid grid-cols-2 gap-2 sm:grid-cols-5">
          {AGES.map(({ name, label, tone }) => (
            <div key={name} className="min-w-0 rounded-md border border-line bg-canvas px-2 py-1.5">
              <span className="block text-2xs text-faint">{t(label)}</span>
              <span className={`nums text-sm ${totalOf(found, name, currency) > 0n ? tone : "text-faint"}`}>{formatMoney(totalOf(found, name, currency), currency)}</span>
            </div>
          ))}
        </div>
      ))}
      <div className="-my-2">
        {found.slice(0, 12).map((row) => (
          <Row
            key={`${row["account"]} ${row["currency"]}`}
            label={<AccountLink account={String(row["account"])} page="invoices" />}
            hint={overdueWords(row)}
            value={<Nano nano={parseMoney(String(row["total"]))} currency={String(row["currency"])} />}
          />
        ))}
      </div>
    </Section>
  );
}

function overdueWords(row: Figures): string {
  const late = sum(AGES.slice(1).map(({ name }) => parseMoney(String(row[name] ?? "0"))));
  return late > 0n ? `${formatMoney(late, String(row["currency"]))} ${t("overdue").toLowerCase()}` : "";
}
