/** Which gateway processes hold how much of a budget. */
import { api, keepPreviousData, tell, unwrap, useQuery } from "@ironworks/sdk";
import { Badge, Callout, Section, Time } from "@ironworks/ui";

import { money } from "./types.ts";
import type { Budget, Lease } from "./types.ts";
import { t } from "./words.ts";

const SHOWN = 50;
const HELD = new Set(["open", "frozen"]);

/** They are read again with each `version` of the budget. */
export function Leases({ budget, version }: { budget: Budget; version: number }) {
  const { name, scope } = budget.metadata;
  const leases = useQuery({
    queryKey: ["leases", scope, name, version],
    placeholderData: keepPreviousData,
    staleTime: 60_000,
    queryFn: () =>
      unwrap(api.GET("/api/v1/scopes/{path}/budgets/{name}/leases", { params: { path: { path: scope, name }, query: { limit: SHOWN } } })),
  });
  const held = leases.data?.items.filter((lease) => HELD.has(lease.state)) ?? [];
  return (
    <Section title={t("leases")} hint={t("leasesHint")} flush>
      {leases.error && <Callout tone="bad">{tell(leases.error)}</Callout>}
      {leases.data && held.length === 0 && <p className="p-4 text-sm text-muted">{t("noLeases")}</p>}
      <ul className="divide-y divide-line">
        {held.map((lease) => (
          <Row key={lease.id} lease={lease} currency={budget.spec.currency} />
        ))}
      </ul>
    </Section>
  );
}

const Row = ({ lease, currency }: { lease: Lease; currency: string }) => (
  <li className="flex flex-wrap items-center gap-x-3 gap-y-0.5 px-4 py-2">
    <span className="clip-line min-w-0 flex-1 font-mono text-xs" title={lease.holder}>
      {lease.host}
    </span>
    {lease.state === "frozen" && <Badge tone="warn">{t("leaseFrozen")}</Badge>}
    <span className="nums text-sm">{money(lease.granted, currency)}</span>
    <span className="w-full text-xs text-faint">
      {`${t("used")} ${money(lease.used, currency)} · ${t("expires").toLowerCase()} `}
      <Time at={lease.expires_at} />
    </span>
  </li>
);
