/** Who spends a budget most in its period, as analytics counts it. */
import { api, keepPreviousData, live, request, tell, unwrap, useCan, useQuery, useQueryWord, useResources } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";
import { Callout, Choice, Section, Skeleton, formatMoney, parseMoney } from "@ironworks/ui";
import { useMemo } from "react";

import { subjectOf, subjectPath } from "./types.ts";
import type { Budget, BurnDown } from "./types.ts";
import { t } from "./words.ts";

const BY = ["key", "model", "tenant"] as const;
type By = (typeof BY)[number];
const WORD = { key: "byKey", model: "byModel", tenant: "byTenant" } as const;
const SHOWN = 8;

type Narrowed = { key?: string; route?: string; endpoint?: string } | null;

/** What analytics is narrowed to, for a budget of one key, route or endpoint; null until it is known. */
function useNarrowed(budget: Budget, keys: readonly Resource[]): Narrowed {
  const subject = subjectOf(budget.spec);
  const path = subjectPath(budget);
  const [at = "", name = ""] = path ? splitPath(path) : [];
  const route = useQuery({
    queryKey: ["one", "routes", at, name],
    enabled: subject?.kind === "route",
    staleTime: Infinity,
    queryFn: () => request<Resource<{ model: string | null }>>(`/api/v1/scopes/${encodeURIComponent(at)}/routes/${encodeURIComponent(name)}`),
  });
  if (!subject || !path) return {};
  if (subject.kind === "endpoint") return { endpoint: path };
  if (subject.kind === "route") return route.data ? { route: route.data.spec.model ?? name } : null;
  const key = keys.find(({ metadata }) => metadata.scope === at && metadata.name === name);
  return key ? { key: key.metadata.uid } : null;
}

const splitPath = (path: string): [string, string] => [path.slice(0, path.lastIndexOf("/")), path.slice(path.lastIndexOf("/") + 1)];

export function Spenders({ budget, found }: { budget: Budget; found: BurnDown }) {
  const can = useCan();
  const { scope } = budget.metadata;
  const may = can("usage:read", scope) && can("billing:read", scope);
  const { items: keys } = useResources("api-keys", scope, { enabled: may && can("api-key:read", scope) });
  const narrowed = useNarrowed(budget, keys);
  const [word, setBy] = useQueryWord("by", budget.spec.key ? "model" : "key");
  const by = (BY as readonly string[]).includes(word) ? (word as By) : "key";
  const since = found.counts_from;
  const until = found.forecast ? undefined : found.as_of; // a period that is over has an end
  const report = useQuery({
    queryKey: ["spenders", scope, by, narrowed, since, until],
    ...live(scope, "usage"),
    enabled: may && narrowed !== null,
    placeholderData: keepPreviousData,
    queryFn: () =>
      unwrap(
        api.GET("/api/v1/scopes/{path}/analytics", {
          params: { path: { path: scope }, query: { since, ...(until && { until }), by, sort: "cost", limit: SHOWN, ...narrowed } },
        }),
      ),
  });
  const names = useMemo(() => new Map(keys.map((key) => [key.metadata.uid, key.metadata.name])), [keys]);
  return (
    <Section
      title={t("who")}
      actions={may && <Choice label={t("whoBy")} value={by} onChange={setBy} options={BY.map((value) => ({ value, label: t(WORD[value]) }))} />}
      flush
    >
      {!may && <p className="p-4 text-sm text-muted">{t("nobodyMay")}</p>}
      {report.error && <Callout tone="bad">{tell(report.error)}</Callout>}
      {may && report.isPending && <Skeleton className="m-4 h-24" />}
      {report.data && <Shares report={report.data} nameOf={(group) => (by === "key" ? (names.get(group) ?? t("goneKey", { id: group.slice(0, 8) })) : group) || t("none")} />}
    </Section>
  );
}

interface Report {
  currency: string;
  total: { cost: string | null };
  items: { group: string; cost: string | null }[];
}

function Shares({ report, nameOf }: { report: Report; nameOf: (group: string) => string }) {
  const spent = report.items.map((item) => ({ name: nameOf(item.group), nano: parseMoney(item.cost ?? "0") })).filter((item) => item.nano > 0n);
  const total = parseMoney(report.total.cost ?? "0");
  const rest = total - spent.reduce((sum, item) => sum + item.nano, 0n);
  if (spent.length === 0) return <p className="p-4 text-sm text-muted">{t("nobody")}</p>;
  const rows = rest > 0n ? [...spent, { name: t("others"), nano: rest }] : spent;
  return (
    <ul className="divide-y divide-line">
      {rows.map((row) => {
        const share = total > 0n ? Number((row.nano * 1000n) / total) / 10 : 0;
        return (
          <li key={row.name} className="flex items-center gap-3 px-4 py-2">
            <span className="clip-line min-w-0 flex-1 text-sm">{row.name}</span>
            <span className="h-1.5 w-24 shrink-0 overflow-hidden rounded-full bg-raised">
              <span className="block h-full bg-accent" style={{ width: `${share}%` }} />
            </span>
            <span className="nums w-10 shrink-0 text-right text-xs text-muted">{`${Math.round(share)} %`}</span>
            <span className="nums w-24 shrink-0 text-right text-sm">{formatMoney(row.nano, report.currency)}</span>
          </li>
        );
      })}
    </ul>
  );
}
