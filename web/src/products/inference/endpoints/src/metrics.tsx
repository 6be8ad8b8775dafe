/** What an endpoint did over time: requests, tokens, cost, how long answers took, and how many copies serve now. */
import { api, keepPreviousData, live, tell, tokensIn, unwrap, usePlace, useQuery, useQueryWord } from "@ironworks/sdk";
import {
  Callout, Choice, Empty, Section, Skeleton, Stat, TimeChart, formatCompact, formatDuration, formatMoney, formatNumber, parseMoney, useNow,
} from "@ironworks/ui";

import { SPANS, linesOf, startOf } from "./metrics.ts";
import type { Quantiles, Report, Span } from "./metrics.ts";
import type { Endpoint } from "./types.ts";
import { t } from "./words.ts";

export function Metrics({ endpoint }: { endpoint: Endpoint }) {
  const { scope } = usePlace();
  const [word, setWord] = useQueryWord("range", "day");
  const span: Span = word in SPANS ? (word as Span) : "day";
  const minute = Math.floor(useNow().getTime() / 60_000) * 60_000;
  const since = startOf(span, minute).toISOString();
  const name = `${endpoint.metadata.scope}/${endpoint.metadata.name}`;
  const report = useQuery({
    queryKey: ["analytics", scope, name, span, since],
    placeholderData: keepPreviousData,
    ...live(scope, "usage"),
    queryFn: () =>
      unwrap(
        api.GET("/api/v1/scopes/{path}/analytics", {
          params: { path: { path: scope }, query: { since, by: "endpoint", endpoint: name, interval: SPANS[span].interval, limit: 1 } },
        }),
      ),
  });
  return (
    <div className="flex flex-col gap-4">
      <div>
        <Choice label={t("range")} value={span} onChange={setWord} options={(Object.keys(SPANS) as Span[]).map((value) => ({ value, label: t(value) }))} />
      </div>
      {report.error && <Callout tone="bad">{tell(report.error)}</Callout>}
      {report.isPending && <Skeleton className="h-96 w-full" />}
      {report.data && <Shown endpoint={endpoint} report={report.data} span={span} />}
    </div>
  );
}

function Shown({ endpoint, report, span }: { endpoint: Endpoint; report: Report; span: Span }) {
  const { total, currency } = report;
  const { ready_replicas = 0, desired_replicas = 0 } = endpoint.status;
  const tokens = tokensIn(total.quantities);
  const failed = (total.client_errors ?? 0) + (total.server_errors ?? 0);
  return (
    <>
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-3 xl:grid-cols-6">
        <Stat label={t("requests")} value={formatNumber(total.requests)} note={failed > 0 ? t("failedCount", { count: failed }) : undefined} />
        <Stat label={t("tokens")} value={formatCompact(tokens)} />
        {total.cost !== null && <Stat label={t("cost")} value={formatMoney(parseMoney(total.cost), currency)} />}
        <Stat label={t("latency")} value={median(total.latency_ms)} note={t("median")} />
        <Stat label={t("firstToken")} value={median(total.first_token_ms)} note={t("median")} />
        <Stat label={t("replicas")} value={`${ready_replicas} / ${desired_replicas}`} note={t("readyNow")} />
      </div>
      {total.requests === 0 ? (
        <Section>
          <Empty icon="chart" title={t("noCalls")}>
            {t("noCallsHint")}
          </Empty>
        </Section>
      ) : (
        <Charts report={report} span={span} />
      )}
    </>
  );
}

const median = (quantiles: { p50: number } | null): string => (quantiles ? formatDuration(quantiles.p50) : "–");

function Charts({ report, span }: { report: Report; span: Span }) {
  const { times, requests, failed, input, output, cost, latency, firstToken } = linesOf(report, span);
  const money = (value: number) => formatMoney(BigInt(Math.round(value * 1e9)), report.currency);
  const quantiles = ({ p50, p90, p99 }: Quantiles) => [
    { label: "p50", values: p50 },
    { label: "p90", values: p90 },
    { label: "p99", values: p99 },
  ];
  return (
    <div className="grid gap-4 xl:grid-cols-2">
      <Section title={t("requests")}>
        <TimeChart
          label={t("requests")} times={times} format={formatCompact}
          series={[{ label: t("total"), values: requests }, { label: t("failed"), values: failed }]}
        />
      </Section>
      <Section title={t("tokens")}>
        <TimeChart
          label={t("tokens")} times={times} format={formatCompact}
          series={[{ label: t("input"), values: input }, { label: t("output"), values: output }]}
        />
      </Section>
      <Section title={t("latency")} hint={t("latencyHint")}>
        <TimeChart label={t("latency")} times={times} format={formatDuration} series={quantiles(latency)} />
      </Section>
      <Section title={t("firstToken")} hint={t("firstTokenHint")}>
        <TimeChart label={t("firstToken")} times={times} format={formatDuration} series={quantiles(firstToken)} />
      </Section>
      {cost && (
        <Section title={t("cost")}>
          <TimeChart label={t("cost")} kind="bars" times={times} format={money} series={[{ label: t("cost"), values: cost }]} />
        </Section>
      )}
    </div>
  );
}
