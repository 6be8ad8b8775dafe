/** A plan with all its versions and who is on it: for the operator. */
import { Link, api, live, pageAddress, tell, unwrap, useCan, usePages, usePlace, useQueryClient, useQueryWord, useTable } from "@ironworks/sdk";
import { Badge, Button, Callout, Confirm, DataTable, Empty, Loading, Page, Section, Time, buttonClass, notify } from "@ironworks/ui";
import { useState } from "react";

import { Changes } from "./plan-changes.tsx";
import { changesOf } from "./plan-draft.ts";
import { useEveryPlan, versionsOf } from "./plans.ts";
import { subscriptionColumns } from "./subscriptions.tsx";
import type { Plan, Subscription } from "./types.ts";
import { t } from "./words.ts";

export default function PlanVersions() {
  const { scope, params } = usePlace();
  const name = params["plan"] ?? "";
  const [currency] = useQueryWord("currency");
  const may = useCan()("plan:create", "-");
  const plans = useEveryPlan();
  const [withdrawing, setWithdrawing] = useState(false);
  const list = usePages<Subscription>("/api/v1/subscriptions", { plan: name }, live("-", "subscriptions"));
  const table = useTable(list, (row) => pageAddress(row.account, "billing", "plan"));
  if (plans.error) return <Callout tone="bad">{tell(plans.error)}</Callout>;
  if (!plans.data) return <Loading />;
  const versions = versionsOf(plans.data, name, currency || undefined);
  const [latest] = versions;
  if (!latest) return <Empty icon="package" title={t("noSuchPlan", { plan: name })} />;
  return (
    <Page
      title={latest.title}
      meta={<Badge tone={latest.withdrawn ? "warn" : "ok"}>{t(latest.withdrawn ? "notOffered" : "offered")}</Badge>}
      actions={
        may && (
          <>
            {!latest.withdrawn && <Button onClick={() => setWithdrawing(true)}>{t("withdrawPlan")}</Button>}
            <Link to={pageAddress(scope, "billing", `plans/${name}/new`)} className={buttonClass("primary")}>
              {t("newVersion")}
            </Link>
          </>
        )
      }
    >
      <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-[minmax(0,2fr)_minmax(0,3fr)]">
        <Section title={t("versions")} hint={t("versionsHint")} flush>
          <ol className="divide-y divide-line">
            {versions.map((version, index) => (
              <Version key={version.id} version={version} before={versions[index + 1] ?? null} />
            ))}
          </ol>
        </Section>
        <div className="flex h-112 min-h-0 flex-col">
          <DataTable
            label={t("onThisPlan")}
            {...table}
            columns={subscriptionColumns(plans.data)}
            rowKey={(row) => row.id}
            empty={
              <Empty icon="package" title={t("noneOnPlan")}>
                {t("noneOnPlanHint")}
              </Empty>
            }
          />
        </div>
      </div>
      {withdrawing && <Withdraw plan={latest} onClose={() => setWithdrawing(false)} />}
    </Page>
  );
}

function Version({ version, before }: { version: Plan; before: Plan | null }) {
  const changes = changesOf(before, version);
  return (
    <li className="flex flex-col gap-1 px-4 py-3">
      <p className="flex flex-wrap items-baseline justify-between gap-x-3">
        <span className="font-medium">{t("version", { version: version.version })}</span>
        <span className="text-xs text-faint">
          <Time at={version.created_at} />
        </span>
      </p>
      {version.withdrawn ? (
        <p className="text-sm text-muted">{t("withdrawnWith")}</p>
      ) : changes.length === 0 ? (
        <p className="text-sm text-muted">{t("sameAgain")}</p>
      ) : (
        <Changes changes={changes} />
      )}
    </li>
  );
}

function Withdraw({ plan, onClose }: { plan: Plan; onClose: () => void }) {
  const client = useQueryClient();
  const withdraw = async () => {
    await unwrap(api.POST("/api/v1/plans/{name}:withdraw", { params: { path: { name: plan.name } }, body: { currency: plan.base_fee.currency } }));
    await client.invalidateQueries({ queryKey: ["billing", "plans"] });
    notify("ok", t("planWithdrawn", { plan: plan.title }));
  };
  return (
    <Confirm open onClose={onClose} title={t("withdrawPlanTitle", { plan: plan.title })} action={t("withdrawPlan")} onConfirm={withdraw}>
      <p className="text-sm text-muted">{t("withdrawPlanHint")}</p>
    </Confirm>
  );
}
