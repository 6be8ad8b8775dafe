/** Who is on which plan, and the plans there are: for the operator. */
import { Link, live, pageAddress, useCan, usePages, usePlace, useTable } from "@ironworks/sdk";
import { Badge, DataTable, Empty, Page, Section, Skeleton, buttonClass } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";

import { Day } from "./parts.tsx";
import { Comparison } from "./plan-compare.tsx";
import { latestOf, useEveryPlan } from "./plans.ts";
import type { Plan, Subscription } from "./types.ts";
import { t } from "./words.ts";

const STATUSES = ["trialing", "active", "past_due", "canceled"] as const;
const TONES = { trialing: "info", active: "ok", past_due: "bad", canceled: "idle" } as const;

export function subscriptionColumns(plans: readonly Plan[]): Column<Subscription>[] {
  const named = (id: string | null) => {
    const plan = plans.find((one) => one.id === id);
    return plan ? `${plan.title} v${plan.version}` : null;
  };
  return [
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
}

export function Subscriptions() {
  const { scope } = usePlace();
  const may = useCan()("plan:create", "-");
  const plans = useEveryPlan();
  const list = usePages<Subscription>("/api/v1/subscriptions", {}, live("-", "subscriptions"));
  const table = useTable(list, (row) => pageAddress(row.account, "billing", "plan"));
  const latest = latestOf(plans.data ?? []);
  const withdrawn = latest.filter((plan) => plan.withdrawn);
  const address = (plan: Plan) => pageAddress(scope, "billing", `plans/${plan.name}`, { currency: plan.base_fee.currency });
  return (
    <Page
      title={t("plans")}
      actions={
        may && (
          <Link to={pageAddress(scope, "billing", "plan/new")} className={buttonClass("primary")}>
            {t("newPlan")}
          </Link>
        )
      }
    >
      <Section flush>
        {plans.data ? (
          <Comparison plans={latest.filter((plan) => !plan.withdrawn)} present={null} next={null} changesOn={null} hrefOf={address} />
        ) : (
          <Skeleton className="m-4 h-40" />
        )}
      </Section>
      {withdrawn.length > 0 && (
        <p className="flex flex-wrap gap-x-3 text-sm text-muted">
          {t("withdrawnPlans")}
          {withdrawn.map((plan) => (
            <Link key={plan.id} to={address(plan)} className="hover:text-accent hover:underline">
              {plan.title}
            </Link>
          ))}
        </p>
      )}
      <div className="flex h-112 min-h-0 flex-col">
        <DataTable
          label={t("subscriptions")}
          {...table}
          columns={subscriptionColumns(plans.data ?? [])}
          rowKey={(row) => row.id}
          empty={<Empty icon="package" title={t("nobodySubscribed")}>{t("nobodySubscribedHint")}</Empty>}
        />
      </div>
    </Page>
  );
}
