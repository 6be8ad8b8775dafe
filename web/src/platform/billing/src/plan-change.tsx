/** Subscribing, changing and ending a plan. What it costs is shown first, and is what is charged, or nothing is done. */
import { api, tell, unwrap, useQuery } from "@ironworks/sdk";
import { Button, Callout, Confirm, Facts, Skeleton, Switch, notify } from "@ironworks/ui";
import { useState } from "react";

import { showDay } from "./days.ts";
import { FormDialog } from "./form-dialog.tsx";
import { showAmount } from "./money.ts";
import { Money, Row } from "./parts.tsx";
import type { Plan, Preview, Standing } from "./types.ts";
import { t } from "./words.ts";

interface ChangeProps {
  account: string;
  plan: Plan;
  onClose: () => void;
}

const at = (account: string) => ({ params: { path: { path: account } } });

export function ChangeDialog({ account, plan, onClose }: ChangeProps) {
  const preview = useQuery({
    queryKey: ["billing-preview", account, plan.name],
    gcTime: 0,
    queryFn: () => unwrap(api.POST("/api/v1/scopes/{path}/subscription:preview", { ...at(account), body: { plan: plan.name, when: null } })),
  });
  const change = async () => {
    const shown = preview.data;
    if (!shown) return;
    const body = { plan: plan.name, when: shown.when, expected_nano: shown.due.nano };
    try {
      await unwrap(api.POST("/api/v1/scopes/{path}/subscription:change", { ...at(account), body }));
    } catch (error) {
      void preview.refetch(); // what was shown may not hold any more
      throw error;
    }
    const now = shown.when === "now";
    notify("ok", t(now ? "changed" : "changeScheduled", { plan: plan.title, day: showDay(shown.effective) }));
  };
  return (
    <FormDialog title={t("chooseTitle", { plan: plan.title })} action={t("changeAction")} blocked={!preview.data} onClose={onClose} onSubmit={change}>
      {preview.error && <Callout tone="bad">{tell(preview.error)}</Callout>}
      {preview.isPending && <Skeleton className="h-32 w-full" />}
      {preview.data && <Costs preview={preview.data} />}
    </FormDialog>
  );
}

function Costs({ preview }: { preview: Preview }) {
  return (
    <>
      <Facts
        items={[
          { label: t("takesEffect"), value: preview.when === "now" ? t("effectNow") : t("effectEnd", { day: showDay(preview.effective) }) },
          { label: t("nextFee"), value: t("nextFeeFrom", { amount: showAmount(preview.next_fee), day: showDay(preview.next_fee_on) }) },
        ]}
      />
      {preview.charges.length === 0 ? (
        <p className="text-sm text-muted">{t("nothingNow")}</p>
      ) : (
        <div>
          {preview.charges.map((charge) => (
            <Row key={charge.reference} label={charge.description} value={<Money amount={charge.cost} />} />
          ))}
          <Row label={<span className="font-semibold">{t("dueNow")}</span>} value={<Money amount={preview.due} strong />} />
        </div>
      )}
    </>
  );
}

/** An account's first subscription may begin with a trial. */
export function StartDialog({ account, plan, first, onClose }: ChangeProps & { first: boolean }) {
  const [trial, setTrial] = useState(true);
  const offered = first && plan.trial_days > 0;
  const start = async () => {
    const body = { plan: plan.name, currency: plan.base_fee.currency, trial: offered && trial };
    await unwrap(api.POST("/api/v1/scopes/{path}/subscription", { ...at(account), body }));
    notify("ok", t("started", { plan: plan.title }));
  };
  return (
    <FormDialog title={t("startTitle", { plan: plan.title })} action={t("startAction")} onClose={onClose} onSubmit={start}>
      <p className="text-sm text-muted">
        {offered ? t("startHint", { amount: showAmount(plan.base_fee), days: plan.trial_days }) : t("startHintNoTrial", { amount: showAmount(plan.base_fee) })}
      </p>
      {offered && <Switch checked={trial} onChange={setTrial} label={t("startTrial")} hint={t("startTrialHint")} />}
    </FormDialog>
  );
}

const resume = (account: string) => unwrap(api.POST("/api/v1/scopes/{path}/subscription:resume", at(account)));

export function ResumeButton({ account }: { account: string }) {
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    try {
      await resume(account);
      notify("ok", t("resumed"));
    } catch (error) {
      notify("bad", tell(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button look="primary" icon="undo" busy={busy} onClick={() => void run()}>
      {t("resume")}
    </Button>
  );
}

/** With the period's end it can be taken back; with today it cannot, so the plan's name is typed. */
export function CancelDialog({ account, standing, onClose }: { account: string; standing: Standing; onClose: () => void }) {
  const [now, setNow] = useState(false);
  const cancel = async () => {
    const body = { when: now ? ("now" as const) : ("period_end" as const), reason: "" };
    const made = await unwrap(api.POST("/api/v1/scopes/{path}/subscription:cancel", { ...at(account), body }));
    const undo = () => void resume(account).catch((error: unknown) => notify("bad", tell(error)));
    notify("ok", t("cancelled", { day: showDay(made.ends_on ?? standing.period_end) }), now ? {} : { undo });
  };
  return (
    <Confirm open onClose={onClose} title={t("cancelTitle")} action={t("cancelAction")} {...(now && { word: standing.plan.name })} onConfirm={cancel}>
      <p className="text-sm text-muted">{t("cancelHint", { day: showDay(standing.period_end) })}</p>
      <Switch checked={now} onChange={setNow} label={t("cancelNow")} hint={t("cancelNowHint")} />
    </Confirm>
  );
}

