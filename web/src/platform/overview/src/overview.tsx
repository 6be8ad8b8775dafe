/** What runs, what is wrong, and what it costs today: three questions, answered without scrolling. */
import { Link, addressOf, kindAddress, pageAddress, permissionWord, useBootstrap, useCan, usePlace, useResources } from "@ironworks/sdk";
import type { Kind, Resource } from "@ironworks/sdk";
import {
  Callout, Empty, Icon, Page, Phase, Section, Skeleton, Stat, TimeChart, buttonClass, formatCompact, formatDuration, formatMoney, parseMoney,
  toneOf, words,
} from "@ironworks/ui";
import { useMemo } from "react";

import { hourly, useToday } from "./usage.ts";
import type { Today } from "./usage.ts";
import { t } from "./words.ts";

/** Kinds whose health says whether the scope works; each list is one call. */
const WATCHED = ["endpoints", "external-endpoints", "clusters", "budgets"];

export default function Overview() {
  const { scope } = usePlace();
  const today = useToday(scope);
  return (
    <Page title={scope === "-" ? t("installation") : (scope.split(".").at(-1) ?? scope)}>
      {today.isEnabled && today.isPending ? <Skeleton className="h-24 w-full" /> : today.data && <Figures today={today.data} />}
      {today.error && <Callout tone="bad">{today.error.message}</Callout>}
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
        <Running scope={scope} />
        {today.data && <Traffic today={today.data} />}
      </div>
    </Page>
  );
}

function Figures({ today }: { today: Today }) {
  const { total, currency } = today;
  const failed = (total.client_errors ?? 0) + (total.server_errors ?? 0);
  const tokens = (total.quantities["input_tokens"] ?? 0) + (total.quantities["output_tokens"] ?? 0);
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      {total.cost !== null && <Stat icon="money" label={t("costToday")} value={formatMoney(parseMoney(total.cost), currency)} />}
      <Stat
        icon="activity"
        label={t("requestsToday")}
        value={formatCompact(total.requests)}
        note={failed > 0 ? t("failed", { count: failed }) : t("noFailures")}
      />
      <Stat icon="chat" label={t("tokensToday")} value={formatCompact(tokens)} />
      <Stat
        icon="clock"
        label={t("latency")}
        value={total.latency_ms ? formatDuration(total.latency_ms.p50) : "–"}
        {...(total.latency_ms && { note: t("latencyNote", { slow: formatDuration(total.latency_ms.p99) }) })}
      />
    </div>
  );
}

function Traffic({ today }: { today: Today }) {
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
      <Section title={t("perHour")}>
        <TimeChart label={t("chart")} kind="bars" height={180} times={chart.times} series={series} format={formatCompact} />
      </Section>
      <Section title={t("perModel")} flush>
        <ul className="divide-y divide-line">
          {today.items.slice(0, 8).map((group) => (
            <li key={group.group} className="flex items-center gap-3 px-4 py-2">
              <span className="clip-line flex-1 font-medium">{group.group}</span>
              <span className="nums text-xs text-muted">{t("requests", { count: group.requests })}</span>
              {group.cost !== null && <span className="nums w-24 text-right text-sm">{formatMoney(parseMoney(group.cost), today.currency)}</span>}
            </li>
          ))}
        </ul>
      </Section>
    </div>
  );
}

interface Watched {
  kind: Kind;
  items: Resource[];
  loading: boolean;
}

function useWatched(scope: string): Watched[] {
  const { kinds, permissions } = useBootstrap();
  const known = (plural: string) => {
    const kind = kinds.find((one) => one.plural === plural);
    return kind && (permissions[`${permissionWord(kind.name)}:read`] ?? []).length > 0 ? kind : undefined;
  };
  const [first, second, third, fourth] = WATCHED as [string, string, string, string];
  const lists = [
    useResources(first, scope, { enabled: known(first) !== undefined }),
    useResources(second, scope, { enabled: known(second) !== undefined }),
    useResources(third, scope, { enabled: known(third) !== undefined }),
    useResources(fourth, scope, { enabled: known(fourth) !== undefined }),
  ];
  return lists.flatMap((list, index) => {
    const kind = known(WATCHED[index] ?? "");
    return kind ? [{ kind, items: list.items, loading: list.loading }] : [];
  });
}

function Running({ scope }: { scope: string }) {
  const watched = useWatched(scope);
  const can = useCan();
  const loading = watched.some((one) => one.loading);
  const filled = watched.filter((one) => one.items.length > 0);
  const wrong = watched.flatMap(({ kind, items }) => items.filter(isWrong).map((resource) => ({ kind, resource })));
  if (loading) return <Skeleton className="h-64 w-full" />;
  if (filled.length === 0) {
    return (
      <Section>
        <Empty
          icon="cpu"
          title={t("nothingRuns")}
          actions={
            can("endpoint:create", scope) && (
              <Link to={pageAddress(scope, "endpoints", "new")} className={buttonClass("primary")}>
                {t("deploy")}
              </Link>
            )
          }
        >
          {t("nothingRunsHint")}
        </Empty>
      </Section>
    );
  }
  return (
    <div className="flex min-w-0 flex-col gap-4">
      <Section title={t("wrong")} flush={wrong.length > 0}>
        {wrong.length === 0 ? (
          <p className="flex items-center gap-2 text-sm text-muted">
            <Icon name="ok" className="text-ok" />
            {t("allWell")}
          </p>
        ) : (
          <ul className="divide-y divide-line">
            {wrong.slice(0, 12).map(({ kind, resource }) => (
              <Row key={resource.metadata.uid} kind={kind} resource={resource} scope={scope} reason />
            ))}
          </ul>
        )}
      </Section>
      {filled.map(({ kind, items }) => (
        <Section
          key={kind.plural}
          flush
          title={words(kind.plural)}
          actions={
            <Link to={kindAddress(scope, kind.plural)} className="text-xs text-muted hover:text-ink hover:underline">
              {t("seeAll", { plural: items.length })}
            </Link>
          }
        >
          <ul className="divide-y divide-line">
            {items.slice(0, 6).map((resource) => (
              <Row key={resource.metadata.uid} kind={kind} resource={resource} scope={scope} />
            ))}
          </ul>
        </Section>
      ))}
    </div>
  );
}

/** Failed, or with a condition that says so; what is only on its way is not wrong. */
export function isWrong({ status }: Resource): boolean {
  const tone = toneOf(status.phase);
  return tone === "bad" || (tone === "ok" && status.conditions.some((one) => one.type === "Degraded" && one.status === "True"));
}

function Row({ kind, resource, scope, reason }: { kind: Kind; resource: Resource; scope: string; reason?: boolean }) {
  const { metadata, status } = resource;
  const told = status.conditions.find((one) => one.status !== "True" && one.message) ?? status.conditions.find((one) => one.message);
  return (
    <li>
      <Link to={addressOf(scope, kind.plural, resource)} className="flex items-center gap-3 px-4 py-2 hover:bg-hover">
        <span className="min-w-0 flex-1">
          <span className="clip-line block font-medium">{metadata.name}</span>
          <span className="clip-line block text-xs text-faint">{reason && told ? told.message : metadata.scope}</span>
        </span>
        <Phase phase={status.phase} />
      </Link>
    </li>
  );
}
