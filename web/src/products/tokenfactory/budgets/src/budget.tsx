/** One budget: how it stands, how it goes, who holds and who spends it; live, for what is charged changes its status. */
import {
  Link, api, deleteResource, keepPreviousData, pageAddress, resourceAddress, tell, unwrap, useCan, useGo, usePlace, useQuery, useQueryWord, useResource,
} from "@ironworks/sdk";
import { Button, Callout, Confirm, Empty, Loading, Page, Skeleton, Stat, Time, buttonClass, notify } from "@ironworks/ui";
import { useState } from "react";

import { SpentBar, StandingBadge } from "./bar.tsx";
import { BurnDownChart } from "./burn-down-chart.tsx";
import { Leases } from "./leases.tsx";
import { RaiseDialog } from "./raise.tsx";
import { Rules, Thresholds } from "./rules.tsx";
import { Spenders } from "./spenders.tsx";
import { useThrottled } from "./throttled.ts";
import { PLURAL, budgetAddress, exactMoney, leftOf, money, shareOf, standingOf } from "./types.ts";
import type { Budget, BurnDown } from "./types.ts";
import { t } from "./words.ts";

export default function BudgetPage() {
  const { params } = usePlace();
  const { at = "-", name = "" } = params;
  const { data, error, isPending } = useResource(PLURAL, at, name);
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (isPending) return <Loading />;
  if (!data) return <Empty icon="search" title={t("gone", { name })}>{t("goneHint")}</Empty>;
  return <Shown budget={data as unknown as Budget} />;
}

const AGAIN_MS = 5_000;

/** Read again when the budget has changed: its status does with what is spent. */
function useBurnDown(budget: Budget, moment: string, version: number) {
  const { name, scope } = budget.metadata;
  return useQuery({
    queryKey: ["burn-down", scope, name, moment, version],
    placeholderData: keepPreviousData,
    staleTime: 60_000,
    queryFn: () =>
      unwrap(
        api.GET("/api/v1/scopes/{path}/budgets/{name}/burn-down", {
          params: { path: { path: scope, name }, query: moment ? { at: moment } : {} },
        }),
      ),
  });
}

function Shown({ budget }: { budget: Budget }) {
  const { scope } = usePlace();
  const can = useCan();
  const [moment, setMoment] = useQueryWord("at");
  const [asking, setAsking] = useState<"raise" | "remove" | null>(null);
  const { name, scope: at } = budget.metadata;
  const version = useThrottled(budget.metadata.resource_version, AGAIN_MS);
  const burnDown = useBurnDown(budget, moment, version);
  const mayChange = can("budget:update", at);
  return (
    <Page
      title={name}
      meta={<StandingBadge budget={budget} />}
      actions={
        <>
          {mayChange && (
            <Button look="primary" onClick={() => setAsking("raise")}>
              {t("raise")}
            </Button>
          )}
          {mayChange && (
            <Link to={budgetAddress(scope, budget, "edit")} className={buttonClass("normal")}>
              {t("edit")}
            </Link>
          )}
          <Link to={resourceAddress(scope, PLURAL, at, name)} className={buttonClass("normal")}>
            {t("all")}
          </Link>
          {can("budget:delete", at) && (
            <Button look="quiet" icon="delete" onClick={() => setAsking("remove")}>
              {t("remove")}
            </Button>
          )}
        </>
      }
    >
      <Trouble budget={budget} />
      <Figures budget={budget} found={moment ? undefined : burnDown.data} />
      {burnDown.error && <Callout tone="bad">{tell(burnDown.error)}</Callout>}
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,26rem)]">
        <div className="flex min-w-0 flex-col gap-4">
          {burnDown.data ? <BurnDownChart found={burnDown.data} moment={moment} onMoment={setMoment} /> : <Skeleton className="h-80 w-full" />}
          {burnDown.data && <Spenders budget={budget} found={burnDown.data} />}
        </div>
        <div className="flex min-w-0 flex-col gap-4">
          <Rules budget={budget} />
          {burnDown.data && <Thresholds found={burnDown.data} />}
          <Leases budget={budget} version={version} />
        </div>
      </div>
      {asking === "raise" && <RaiseDialog budget={budget} onClose={() => setAsking(null)} />}
      <Remove budget={budget} open={asking === "remove"} onClose={() => setAsking(null)} />
    </Page>
  );
}

function Remove({ budget, open, onClose }: { budget: Budget; open: boolean; onClose: () => void }) {
  const { scope } = usePlace();
  const go = useGo();
  const { name, scope: at } = budget.metadata;
  const remove = async () => {
    await deleteResource(PLURAL, at, name);
    notify("ok", t("removed", { name }));
    go(pageAddress(scope, "budgets"));
  };
  return (
    <Confirm open={open} onClose={onClose} title={t("removeTitle", { name })} action={t("remove")} word={name} onConfirm={remove}>
      <p className="text-sm text-muted">{t("removeHint")}</p>
    </Confirm>
  );
}

function Trouble({ budget }: { budget: Budget }) {
  const { spec, status } = budget;
  const frozen = status.frozen_leases ?? [];
  const hosts = [...new Set(frozen.map((lease) => lease.host))].join(", ");
  return (
    <>
      {standingOf(budget) === "spent" && (
        <Callout tone={spec.mode === "hard" ? "bad" : "warn"} title={t("usedUp")}>
          {shareOf(status.spent ?? "0", spec.amount) < 1 && `${t("usedUpAlmost")} `}
          {t(spec.mode === "hard" ? "usedUpHard" : "usedUpSoft")}
          {status.period_end && (
            <>
              {` ${t("usedUpUntil")} `}
              <Time at={status.period_end} />.
            </>
          )}
        </Callout>
      )}
      {frozen.map((lease) => (
        <Callout key={lease.holder} tone="warn" title={t("frozenTitle", { amount: money(lease.amount, spec.currency) })}>
          {t("frozenHint", { hosts })}
        </Callout>
      ))}
    </>
  );
}

function Figures({ budget, found }: { budget: Budget; found: BurnDown | undefined }) {
  const { spec, status } = budget;
  const { spent = "0", reserved = "0" } = status;
  const share = shareOf(spent, spec.amount);
  const forecast = found?.forecast;
  const show = (amount: string) => money(amount, spec.currency);
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Stat
        icon="money"
        label={t("spent")}
        value={show(spent)}
        note={
          <span className="flex flex-col gap-1.5">
            {t("ofAmount", { amount: exactMoney(spec.amount, spec.currency), period: t(spec.period) })}
            <SpentBar budget={budget} />
          </span>
        }
      />
      <Stat
        icon="clock"
        label={t("left")}
        value={show(leftOf(budget))}
        note={t("leftNote", { share: Math.max(0, Math.round((1 - share) * 100)), held: show(reserved) })}
      />
      <Stat
        icon="chart"
        label={t(forecast?.spent ? "projected" : "projectedTotal")}
        value={forecast ? (forecast.spent ? show(forecast.spent) : t("perDay", { amount: show(forecast.per_day) })) : "–"}
        note={forecast ? rangeOf(forecast, show) : ""}
      />
      <Stat icon="alert" label={t("runsOut")} value={<RunsOut budget={budget} forecast={forecast} />} note={forecast ? <RunsOutRange forecast={forecast} /> : ""} />
    </div>
  );
}

type Forecast = NonNullable<BurnDown["forecast"]>;

function rangeOf(forecast: Forecast, show: (amount: string) => string): string {
  if (!forecast.spent) return "";
  if (forecast.low === null || forecast.high === null) return t("noRange");
  return t("between", { confidence: forecast.confidence, low: show(forecast.low), high: show(forecast.high) });
}

function RunsOut({ budget, forecast }: { budget: Budget; forecast: Forecast | null | undefined }) {
  if (standingOf(budget) === "spent") return t("runsOutSpent");
  if (!forecast) return "–";
  if (forecast.runs_out_at) return <Time at={forecast.runs_out_at} />;
  return t(forecast.spent ? "runsOutNot" : "runsOutNever");
}

function RunsOutRange({ forecast }: { forecast: Forecast }) {
  if (!forecast.runs_out_earliest) return null;
  return (
    <>
      <Time at={forecast.runs_out_earliest} /> – {forecast.runs_out_latest ? <Time at={forecast.runs_out_latest} /> : t("later")}
    </>
  );
}
