/** What this costs so far, what is left, what is open: the money of the scope that is open, on one page. */
import { live, tell, useCan, usePages, usePlace } from "@ironworks/sdk";
import { Callout, Page, Section, Skeleton, TimeChart, formatMoney, parseMoney } from "@ironworks/ui";
import { useMemo } from "react";

import { TREND_DAYS, accountOf, useCredit, useMethods, useStanding, useUsage } from "./account.tsx";
import { localMidnight } from "./figures.ts";
import { dailyCost, soFar } from "./period.ts";
import type { UsageRow } from "./period.ts";
import { toNumber } from "./money.ts";
import { Breakdown, Figures, OpenInvoices, Paying, Warnings } from "./overview-parts.tsx";
import Reports from "./reports.tsx";
import type { Grant, Invoice } from "./types.ts";
import { t } from "./words.ts";

export default function Overview() {
  const { scope } = usePlace();
  const account = accountOf(scope);
  const can = useCan();
  if (account === null) return <Reports />;
  return can("billing:read", account) ? <OfAccount account={account} /> : <OfScope scope={scope} />;
}

/** Six calls, all at once but the usage, which asks for the period. */
function OfAccount({ account }: { account: string }) {
  const standing = useStanding(account);
  const usage = useUsage(account, standing.isFetched || standing.fetchStatus === "idle" ? (standing.data ?? null) : undefined);
  const credit = useCredit(account);
  const methods = useMethods(account);
  const mayInvoices = useCan()("invoice:read", account);
  const path = `/api/v1/scopes/${encodeURIComponent(account)}`;
  const invoices = usePages<Invoice>(`${path}/invoices`, { state: "finalized" }, { enabled: mayInvoices, ...live(account, "invoices") });
  const grants = usePages<Grant>(`${path}/credits`, {}, live(account, "ledger"));
  const balance = credit.data?.balances[0];
  const currency = standing.data?.currency ?? balance?.credit.currency ?? "USD";
  const spent = useMemo(
    () => (usage.data ? soFar(standing.data ?? null, usage.data, currency) : null),
    [usage.data, standing.data, currency],
  );
  const problem = standing.error ?? usage.error ?? credit.error ?? invoices.error;
  return (
    <Page title={t("title")} meta={<span className="text-sm text-muted">{account}</span>}>
      {problem && <Callout tone="bad">{tell(problem)}</Callout>}
      <Warnings account={account} standing={standing.data ?? null} balance={balance} />
      {spent ? (
        <Figures account={account} spent={spent} balance={balance} grants={grants.items} invoices={invoices.items} standing={standing.data ?? null} />
      ) : (
        !problem && <Skeleton className="h-22 w-full" />
      )}
      <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
        <div className="flex min-w-0 flex-col gap-4">
          {spent && <Breakdown account={account} spent={spent} standing={standing.data ?? null} />}
        </div>
        <div className="flex min-w-0 flex-col gap-4">
          {usage.data && <Trend rows={usage.data} currency={currency} />}
          {mayInvoices && <OpenInvoices invoices={invoices.items} loading={invoices.loading} />}
          {methods.data && <Paying account={account} provider={methods.data.provider} methods={methods.data.items} />}
        </div>
      </div>
    </Page>
  );
}

/** For who sees one tenant or platform alone. */
function OfScope({ scope }: { scope: string }) {
  const usage = useUsage(scope, null);
  const currency = usage.data?.[0]?.currency ?? "USD";
  return (
    <Page title={t("title")} meta={<span className="text-sm text-muted">{scope}</span>}>
      <Callout>{t("noRights")}</Callout>
      {usage.error && <Callout tone="bad">{tell(usage.error)}</Callout>}
      {usage.data && (
        <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-2">
          <Breakdown account={null} spent={soFar(null, usage.data, currency)} standing={null} />
          <Trend rows={usage.data} currency={currency} />
        </div>
      )}
    </Page>
  );
}

function Trend({ rows, currency }: { rows: readonly UsageRow[]; currency: string }) {
  const { times, series } = useMemo(() => {
    const days = dailyCost(rows, currency, TREND_DAYS);
    return { times: days.map(({ day }) => localMidnight(day)), series: [{ label: t("cost"), values: days.map(({ cost }) => toNumber(cost)) }] };
  }, [rows, currency]);
  return (
    <Section title={t("costPerDay")}>
      <TimeChart
        label={t("costPerDayChart")}
        kind="bars"
        height={180}
        times={times}
        series={series}
        format={(value) => formatMoney(parseMoney(value.toFixed(9)), currency)}
      />
    </Section>
  );
}
