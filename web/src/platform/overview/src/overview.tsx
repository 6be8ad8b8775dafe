/** What runs here, what needs attention, what it costs today; where there is nothing yet, how to begin. */
import { levelOf, pageAddress, tell, tokensIn, useBootstrap, usePlace, Link } from "@ironworks/sdk";
import { Callout, Empty, Page, Section, Skeleton, Stat, TimeChart, formatCompact, formatDuration, formatMoney, parseMoney } from "@ironworks/ui";
import { useMemo } from "react";

import { Below, NewBelow, childKinds, scopesBelow } from "./below.tsx";
import { Running, useWatched } from "./running.tsx";
import { GettingStarted } from "./started.tsx";
import { hourly, useToday } from "./usage.ts";
import type { Today } from "./usage.ts";
import { t } from "./words.ts";

export default function Overview() {
  const { scope } = usePlace();
  const bootstrap = useBootstrap();
  const today = useToday(scope);
  const watched = useWatched(scope);
  const tenant = levelOf(scope) === "tenant";
  const below = scopesBelow(bootstrap, scope);
  const kinds = childKinds(bootstrap, scope);
  const name = bootstrap.scopes.find((one) => one.path === scope)?.display_name;
  return (
    <Page
      title={scope === "-" ? t("installation") : name || (scope.split(".").at(-1) ?? scope)}
      meta={scope !== "-" && <span className="font-mono text-xs text-faint">{scope}</span>}
      actions={below.length > 0 && <NewBelow kinds={kinds} scope={scope} />}
    >
      {tenant && <GettingStarted key={scope} scope={scope} today={today.data} watched={watched} />}
      {!tenant && below.length === 0 && <Below scope={scope} below={below} kinds={kinds} />}
      {today.isEnabled && today.isPending ? <Skeleton className="h-24 w-full" /> : today.data && <Figures today={today.data} />}
      {today.error && <Callout tone="bad">{tell(today.error)}</Callout>}
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
        <div className="flex min-w-0 flex-col gap-4">
          <Running scope={scope} watched={watched} />
          {below.length > 0 && <Below scope={scope} below={below} kinds={kinds} />}
        </div>
        {today.data && <Traffic today={today.data} scope={scope} />}
      </div>
    </Page>
  );
}

function Figures({ today }: { today: Today }) {
  const { total, currency } = today;
  const failed = (total.client_errors ?? 0) + (total.server_errors ?? 0);
  const tokens = tokensIn(total.quantities);
  const none = total.requests === 0;
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      {total.cost !== null && <Stat icon="money" label={t("costToday")} value={formatMoney(parseMoney(total.cost), currency)} note={t("costNote")} />}
      <Stat
        icon="activity"
        label={t("requestsToday")}
        value={formatCompact(total.requests)}
        note={none ? t("noneYet") : failed > 0 ? <span className="text-bad">{t("failed", { count: failed })}</span> : t("noFailures")}
      />
      <Stat icon="chat" label={t("tokensToday")} value={formatCompact(tokens)} note={t("tokensNote")} />
      <Stat
        icon="clock"
        label={t("latency")}
        value={total.latency_ms ? formatDuration(total.latency_ms.p50) : "–"}
        note={total.latency_ms ? t("latencyNote", { slow: formatDuration(total.latency_ms.p99) }) : t("noneYet")}
      />
    </div>
  );
}

function Traffic({ today, scope }: { today: Today; scope: string }) {
  const chart = useMemo(() => hourly(today), [today]);
  const series = useMemo(() => [{ label: t("perHour"), values: chart.values }], [chart]);
  if (today.total.requests === 0) {
    return (
      <Section title={t("perHour")}>
        <Empty icon="activity" title={t("noTraffic")}>
          {t("noTrafficHint")}
        </Empty>
      </Section>
    );
  }
  return (
    <div className="flex min-w-0 flex-col gap-4">
      <Section
        title={t("perHour")}
        actions={
          <Link to={pageAddress(scope, "usage")} className="text-xs text-muted hover:text-ink hover:underline">
            {t("explore")}
          </Link>
        }
      >
        <TimeChart label={t("chart")} kind="bars" height={180} times={chart.times} series={series} format={formatCompact} />
      </Section>
      <Section title={t("perModel")} flush>
        <ul className="divide-y divide-line">
          {today.items.slice(0, 8).map((group) => (
            <li key={group.group} className="flex items-center gap-3 px-4 py-2">
              <span className="clip-line flex-1 font-medium" title={group.group}>
                {group.group}
              </span>
              <span className="nums text-xs text-muted">{t("requests", { count: group.requests })}</span>
              {group.cost !== null && <span className="nums w-24 text-right text-sm">{formatMoney(parseMoney(group.cost), today.currency)}</span>}
            </li>
          ))}
        </ul>
      </Section>
    </div>
  );
}
