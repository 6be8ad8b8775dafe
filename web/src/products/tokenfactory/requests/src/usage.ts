/** What the API tells of single requests. */
import { api, unwrap, usePages, useResources } from "@ironworks/sdk";
import type { Resource, components } from "@ironworks/sdk";
import { useNow } from "@ironworks/ui";
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

export const tokensOf = ({ quantities }: Usage, part: "input" | "output"): number =>
  Object.entries(quantities).reduce((sum, [meter, count]) => (meter.endsWith("_tokens") && isPart(meter, part) ? sum + count : sum), 0);

const isPart = (meter: string, part: "input" | "output"): boolean => (/output|reasoning/.test(meter) ? "output" : "input") === part;

/** Requests, newest first: the pages that were asked for, and before them what came since. */
export function useRequests(scope: string, range: Range, filters: Record<string, string | undefined>) {
  const now = Math.floor(useNow().getTime() / MINUTE) * MINUTE;
  const [anchor, setAnchor] = useState({ key: "", at: now });
  const key = JSON.stringify([scope, range, filters]);
  if (anchor.key !== key) setAnchor({ key, at: now });
  const path = `/api/v1/scopes/${encodeURIComponent(scope)}/usage/requests`;
  const settled = anchor.key === key;
  const older = usePages<Usage>(path, { ...filters, from: new Date(anchor.at - RANGES[range]).toISOString() }, { limit: PAGE, enabled: settled });
  const fresh = usePages<Usage>(
    path,
    { ...filters, from: new Date(anchor.at - LATE_MS).toISOString(), to: new Date(now + MINUTE).toISOString() },
    { limit: PAGE, enabled: settled && now > anchor.at },
  );
  const items = useMemo(() => merged(fresh.items, older.items), [fresh.items, older.items]);
  return { ...older, items };
}

export function merged(fresh: readonly Usage[], older: readonly Usage[]): Usage[] {
  const known = new Set(older.map((usage) => usage.request_id));
  const added = fresh.filter((usage) => !known.has(usage.request_id));
  return added.length === 0 ? [...older] : [...added, ...older].sort((a, b) => (a.occurred_at < b.occurred_at ? 1 : a.occurred_at > b.occurred_at ? -1 : 0));
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
