/** The plan of an account: what it includes, how much is used of it, and what other plans there are. */
import { api, live, tell, unwrap, useCan, usePages, usePlace, useQuery } from "@ironworks/sdk";
import { Badge, Button, Callout, Empty, Facts, Loading, Page, Section, formatCompact, words } from "@ironworks/ui";
import { useState } from "react";

import { NotYours, accountOf, useStanding } from "./account.tsx";
import { showDay, showPeriod } from "./days.ts";
import { Bar, Day, Money } from "./parts.tsx";
import { isLive } from "./period.ts";
import { CancelDialog, ChangeDialog, ResumeButton, StartDialog } from "./plan-change.tsx";
import { Comparison } from "./plan-compare.tsx";
import { Quotas } from "./quotas.tsx";
import { Subscriptions } from "./subscriptions.tsx";
import type { Charge, Plan, Standing, Suggestion } from "./types.ts";
import { t } from "./words.ts";

export default function PlanPage() {
  const { scope } = usePlace();
  const account = accountOf(scope);
  const can = useCan();
  if (account === null) return <Subscriptions />;
  return can("subscription:read", account) ? <OfAccount account={account} scope={scope} /> : <NotYours account={account} scope={scope} />;
}

const usePlans = () =>
  useQuery({ queryKey: ["billing", "plans"], ...live("-", "plans"), queryFn: async () => (await unwrap(api.GET("/api/v1/plans"))).items });

/** Five calls. */
function OfAccount({ account, scope }: { account: string; scope: string }) {
  const standing = useStanding(account);
  const plans = usePlans();
  const may = useCan()("subscription:update", account);
  const [choosing, setChoosing] = useState<Plan | null>(null);
  const [cancelling, setCancelling] = useState(false);
  const problem = standing.error ?? plans.error;
  const live = isLive(standing.data ?? null) ? (standing.data ?? null) : null;
  const actions = may && live && (live.ends_on ? <ResumeButton account={account} /> : <Button onClick={() => setCancelling(true)}>{t("cancelPlan")}</Button>);
  if (problem) return <Callout tone="bad">{tell(problem)}</Callout>;
  if (standing.isPending || !plans.data) return <Loading />;
  return (
    <Page title={t("plan")} meta={<span className="text-sm text-muted">{account}</span>} actions={actions}>
      {live ? <Present account={account} standing={live} /> : <NoPlan />}
      <Section title={t("plans")} flush>
        <Comparison
          plans={plans.data}
          present={live?.plan ?? null}
          next={live?.next_plan ?? null}
          changesOn={live?.period_end ?? null}
          {...(may && { onChoose: setChoosing })}
        />
      </Section>
      <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-2">
        <Quotas scope={scope} />
        <Charges account={account} />
      </div>
      {choosing && live && <ChangeDialog account={account} plan={choosing} onClose={() => setChoosing(null)} />}
      {choosing && !live && <StartDialog account={account} plan={choosing} first={standing.data === null} onClose={() => setChoosing(null)} />}
      {cancelling && live && <CancelDialog account={account} standing={live} onClose={() => setCancelling(false)} />}
    </Page>
  );
}

const NoPlan = () => (
  <Section>
    <Empty icon="package" title={t("noPlan")}>
      {t("noPlanHint")}
    </Empty>
  </Section>
);

function Present({ account, standing }: { account: string; standing: Standing }) {
  const { plan } = standing;
  return (
    <>
      <Suggested account={account} standing={standing} />
      {standing.ends_on && <Callout tone="warn">{t("endsOn", { day: showDay(standing.ends_on) })}</Callout>}
      {standing.next_plan && <Callout>{t("changesOn", { plan: standing.next_plan.title, day: showDay(standing.period_end) })}</Callout>}
      <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-[minmax(18rem,2fr)_minmax(0,3fr)]">
        <Section title={t("currentPlan")}>
          <Facts
            items={[
              {
                label: t("plan"),
                value: (
                  <span className="flex flex-wrap items-center gap-2 font-semibold">
                    {plan.title}
                    <Badge tone={standing.status === "past_due" ? "bad" : standing.status === "trialing" ? "info" : "ok"}>{t(standing.status)}</Badge>
                  </span>
                ),
              },
              { label: t("feeRow"), value: <><Money amount={plan.base_fee} /> <span className="text-xs text-faint">{t("perMonth")}</span></> },
              { label: t("period"), value: showPeriod(standing.period_start, standing.period_end) },
              { label: t("since"), value: <Day day={standing.started_on} /> },
              ...(standing.trial_end && standing.status === "trialing" ? [{ label: t("trialUntil"), value: <Day day={standing.trial_end} /> }] : []),
              ...(standing.grace_until ? [{ label: t("past_due"), value: t("pastDueHint", { when: showDay(standing.grace_until) }) }] : []),
            ]}
          />
        </Section>
        <Section title={t("usedOfIncluded")}>
          <div className="grid gap-x-8 gap-y-3 sm:grid-cols-2">
            {standing.usage.map((use) => (
              <div key={use.meter} className="flex flex-col gap-1.5">
                <span className="flex items-baseline gap-2 text-sm">
                  <span className="clip-line min-w-0 flex-1">{words(use.meter)}</span>
                  <span className="nums text-xs text-muted">{t("quotaOf", { used: formatCompact(use.used), limit: formatCompact(use.included) })}</span>
                </span>
                <Bar label={words(use.meter)} used={use.used} limit={use.included} />
              </div>
            ))}
          </div>
        </Section>
      </div>
    </>
  );
}

/** The larger plans that this period's usage speaks for. */
function Suggested({ account, standing }: { account: string; standing: Standing }) {
  const list = usePages<Suggestion>(`/api/v1/scopes/${encodeURIComponent(account)}/subscription/suggestions`, {}, { limit: 20, ...live(account, "subscriptions") });
  const now = list.items.filter((one) => one.period_start === standing.period_start && one.plan !== standing.plan.name);
  const shown = now.filter((one, index) => now.findIndex((other) => other.meter === one.meter) === index);
  if (shown.length === 0) return null;
  return (
    <Callout tone="warn" title={t("suggestions")}>
      {shown.map((one) => (
        <p key={one.meter}>{t("suggestion", { percent: one.percent, meter: words(one.meter).toLowerCase(), plan: one.plan })}</p>
      ))}
    </Callout>
  );
}

function Charges({ account }: { account: string }) {
  const list = usePages<Charge>(`/api/v1/scopes/${encodeURIComponent(account)}/subscription/charges`, {}, { limit: 20, ...live(account, "subscriptions") });
  return (
    <Section title={t("charges")} flush>
      {list.items.length === 0 && <p className="p-4 text-sm text-muted">{list.error ? tell(list.error) : t("noCharges")}</p>}
      <ul className="divide-y divide-line">
        {list.items.map((charge) => (
          <li key={charge.reference} className="flex items-center gap-3 px-4 py-2">
            <span className="min-w-0 flex-1">
              <span className="block break-words">{charge.description}</span>
              <span className="block text-xs text-faint">
                <Day day={charge.due_on} />, {charge.billed_on ? t("billedOn", { day: showDay(charge.billed_on) }) : t("notBilled")}
              </span>
            </span>
            <Money amount={charge.cost} />
          </li>
        ))}
      </ul>
      {list.more && (
        <div className="p-3 text-center">
          <Button onClick={list.loadMore}>{t("more")}</Button>
        </div>
      )}
    </Section>
  );
}
