/** What the API tells of single requests. */
import { api, live, unwrap, usePages, useResources } from "@ironworks/sdk";
import type { Growing, Resource, components } from "@ironworks/sdk";
import { useEffect, useMemo, useState } from "react";

export type Usage = components["schemas"]["UsageView"];
export type Course = components["schemas"]["CourseView"];
export type Money = components["schemas"]["Money"];
export type Explained = components["schemas"]["ExplanationView"];
export type OnInvoice = components["schemas"]["OnInvoiceView"];

export const PAGE = 100;
export const RANGES = { hour: 3_600_000, day: 86_400_000, week: 7 * 86_400_000, month: 30 * 86_400_000 } as const;
export type Range = keyof typeof RANGES;

/** How long a request may take to be told of after it ended: what is newer than that is asked for again. */
const LATE_MS = 60_000;
const MINUTE = 60_000;

export const statusOf = (usage: Usage): number => Number(usage.dimensions["status"] ?? 0);

const GROWS: Growing<Usage> = {
  id: (usage) => usage.request_id,
  at: (usage) => usage.occurred_at,
  since: (newest) => ({ from: new Date(Date.parse(newest.occurred_at) - LATE_MS).toISOString() }),
};

/** Requests, newest first: the pages that were asked for, and before them what came since. */
export function useRequests(scope: string, range: Range, filters: Record<string, string | undefined>) {
  const key = JSON.stringify([scope, range, filters]);
  const [opened, setOpened] = useState({ key, at: Date.now() });
  if (opened.key !== key) setOpened({ key, at: Date.now() });
  const from = new Date(Math.floor(opened.at / MINUTE) * MINUTE - RANGES[range]).toISOString();
  const path = `/api/v1/scopes/${encodeURIComponent(scope)}/usage/requests`;
  return usePages<Usage>(path, { ...filters, from }, { limit: PAGE, enabled: opened.key === key, ...live(scope, "usage"), grows: GROWS });
}

const MOST_COSTS = 500;

/** What each of these requests cost, as far as it is known yet; one call for those that are new. */
export function useCosts(requests: readonly Usage[], enabled: boolean): ReadonlyMap<string, Money | null> {
  const [costs, setCosts] = useState<ReadonlyMap<string, Money | null>>(new Map());
  const missing = enabled ? requests.map((usage) => usage.request_id).filter((id) => !costs.has(id)).slice(0, MOST_COSTS) : [];
  const ids = missing.join(",");
  useEffect(() => {
    if (!ids) return undefined;
    const stop = new AbortController();
    const told = async () => {
      const { items } = await unwrap(api.GET("/api/v1/billing/requests", { params: { query: { ids } }, signal: stop.signal }));
      const found = new Map(items.map((item) => [item.request_id, item.total[0] ?? null]));
      setCosts((before) => new Map([...before, ...ids.split(",").map((id): [string, Money | null] => [id, found.get(id) ?? null])]));
    };
    told().catch(() => undefined); // a list without costs still says everything else
    return () => stop.abort();
  }, [ids]);
  return costs;
}

/** Names of keys by their uid, of those that the caller may read. */
export function useKeyNames(scope: string, enabled: boolean): ReadonlyMap<string, Resource> {
  const { items } = useResources("api-keys", scope, { enabled });
  return useMemo(() => new Map(items.map((key) => [key.metadata.uid, key])), [items]);
}
