/** What was called with a key: how much, when, what it cost, and where single calls and their sums are told. */
import { Link, api, keepPreviousData, live, pageAddress, tell, tokensIn, unwrap, useFeature, usePlace, useQuery } from "@ironworks/sdk";
import { Callout, Empty, Section, Skeleton, Stat, TimeChart, formatCompact, formatMoney, formatNumber, parseMoney, useNow } from "@ironworks/ui";
import { useMemo } from "react";

import type { Key } from "./types.ts";
import { t } from "./words.ts";

const DAY_MS = 86_400_000;
const DAYS = 30;

export function Used({ item }: { item: Key }) {
  const { scope, uid } = item.metadata;
  const today = Math.floor(useNow().getTime() / DAY_MS) * DAY_MS;
  const since = today - (DAYS - 1) * DAY_MS;
  const report = useQuery({
    queryKey: ["analytics", scope, "of-key", uid, since],
    placeholderData: keepPreviousData,
    ...live(scope, "usage"),
    queryFn: () =>
      unwrap(
        api.GET("/api/v1/scopes/{path}/analytics", {
          params: { path: { path: scope }, query: { key: uid, by: "key", interval: "day", since: new Date(since).toISOString() } },
        }),
      ),
  });
  const chart = useMemo(() => {
    const times = Array.from({ length: DAYS }, (_, day) => (since + day * DAY_MS) / 1000);
    const found = new Map((report.data?.items[0]?.series ?? []).map((point) => [Date.parse(point.at) / 1000, point.requests]));
    return { times, series: [{ label: t("requests"), values: times.map((at) => found.get(at) ?? 0) }] };
  }, [report.data, since]);
  if (report.error) return <Callout tone="bad">{tell(report.error)}</Callout>;
  if (!report.data) return <Skeleton className="h-64 w-full" />;
  const { total, currency } = report.data;
  const failed = (total.client_errors ?? 0) + (total.server_errors ?? 0);
  return (
    <>
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-3">
        <Stat label={t("requests")} value={formatNumber(total.requests)} note={failed > 0 ? t("failed", { count: failed }) : t("lastDays", { count: DAYS })} />
        <Stat label={t("tokens")} value={formatCompact(tokensIn(total.quantities))} note={t("inAndOut")} />
        {total.cost !== null && <Stat label={t("cost")} value={formatMoney(parseMoney(total.cost), currency)} note={t("beforeTaxes")} />}
      </div>
      <Section title={t("perDay")} actions={<Further uid={uid} />}>
        {total.requests === 0 ? (
          <Empty icon="activity" title={t("unused")}>
            {t("unusedHint")}
          </Empty>
        ) : (
          <TimeChart label={t("perDay")} kind="bars" height={180} {...chart} format={formatCompact} />
        )}
      </Section>
    </>
  );
}

/** Pages that tell more, where the platform has them. */
function Further({ uid }: { uid: string }) {
  const { scope } = usePlace();
  const pages = { usage: useFeature("usage"), requests: useFeature("requests") };
  const look = "text-xs text-muted hover:text-ink hover:underline";
  return (
    <span className="flex gap-4">
      {pages.usage && (
        <Link to={pageAddress(scope, "usage", "", { key: uid, range: "month" })} className={look}>
          {t("explore")}
        </Link>
      )}
      {pages.requests && (
        <Link to={pageAddress(scope, "requests", "", { key: uid, range: "month" })} className={look}>
          {t("itsRequests")}
        </Link>
      )}
    </span>
  );
}
