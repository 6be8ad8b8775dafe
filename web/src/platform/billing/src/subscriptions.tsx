/** Who is on which plan, and the plans there are: for the operator. */
import { api, live, pageAddress, unwrap, usePages, useQuery, useTable } from "@ironworks/sdk";
import { Badge, DataTable, Empty, Page, Section, Skeleton } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import type { components } from "@ironworks/sdk";

import { Day } from "./parts.tsx";
import { Comparison } from "./plan-compare.tsx";
import type { Plan } from "./types.ts";
import { t } from "./words.ts";

type Subscription = components["schemas"]["SubscriptionView"];

const STATUSES = ["trialing", "active", "past_due", "canceled"] as const;
const TONES = { trialing: "info", active: "ok", past_due: "bad", canceled: "idle" } as const;

/** Of each plan the version that one would get now. */
const latest = (plans: readonly Plan[]): Plan[] => plans.filter((plan) => !plans.some((other) => other.name === plan.name && other.version > plan.version));

export function Subscriptions() {
  const plans = useQuery({
    queryKey: ["billing", "plans", "all"],
    ...live("-", "plans"),
    queryFn: async () => (await unwrap(api.GET("/api/v1/plans", { params: { query: { every_version: true } } }))).items,
  });
  const list = usePages<Subscription>("/api/v1/subscriptions", {}, live("-", "subscriptions"));
  const table = useTable(list, (row) => pageAddress(row.account, "billing", "plan"));
  const named = (id: string | null) => {
    const plan = plans.data?.find((one) => one.id === id);
    return plan ? `${plan.title} v${plan.version}` : null;
  };
  const columns: Column<Subscription>[] = [
    { id: "account", label: t("account"), value: (row) => row.account, width: "minmax(10rem, 1.4fr)" },
    { id: "plan", label: t("plan"), value: (row) => named(row.plan_id) },
    {
      id: "status", label: t("state"), width: "8rem", value: (row) => t(row.status), options: STATUSES.map((word) => t(word)),
      cell: (row) => <Badge tone={TONES[row.status]}>{t(row.status)}</Badge>,
    },
    { id: "next", label: t("nextPeriod"), secondary: true, value: (row) => named(row.next_plan_id) },
    { id: "started", label: t("since"), secondary: true, width: "8rem", value: (row) => row.started_on, cell: (row) => <Day day={row.started_on} /> },
    { id: "end", label: t("nextInvoice"), secondary: true, width: "8rem", value: (row) => row.period_end, cell: (row) => <Day day={row.period_end} /> },
  ];
  return (
    <Page title={t("plans")}>
      <Section flush>{plans.data ? <Comparison plans={latest(plans.data)} present={null} next={null} changesOn={null} /> : <Skeleton className="m-4 h-40" />}</Section>
      <div className="flex h-112 min-h-0 flex-col">
        <DataTable
          label={t("subscriptions")}
          {...table}
          columns={columns}
          rowKey={(row) => row.id}
          empty={<Empty icon="package" title={t("subscriptions")}>{t("noPlanHint")}</Empty>}
        />
      </div>
    </Page>
  );
}
