/** A plan from nothing, or the next version of one, beside what that changes. */
import { api, pageAddress, tell, unwrap, useGo, usePlace, useQueryClient, useWriting } from "@ironworks/sdk";
import { Button, Callout, Empty, Field, IconButton, Input, Loading, Page, Section, cx, notify, words } from "@ironworks/ui";
import type { Option } from "@ironworks/ui";
import { useState } from "react";

import { MeterBox, PriceInput, useMeters } from "./book-fields.tsx";
import { Changes } from "./plan-changes.tsx";
import { LIMITS, NOTHING, bodyOf, changesTo, draftOf } from "./plan-draft.ts";
import type { Allowance, PlanDraft } from "./plan-draft.ts";
import { AmountInput } from "./parts.tsx";
import { useEveryPlan, versionsOf } from "./plans.ts";
import type { Plan } from "./types.ts";
import { t } from "./words.ts";

export default function PlanForm() {
  const { params } = usePlace();
  const name = params["plan"];
  const plans = useEveryPlan();
  if (plans.error) return <Callout tone="bad">{tell(plans.error)}</Callout>;
  if (!plans.data) return <Loading />;
  const [latest] = name ? versionsOf(plans.data, name) : [];
  if (name && !latest) return <Empty icon="package" title={t("noSuchPlan", { plan: name })} />;
  return <Form latest={latest ?? null} />;
}

function Form({ latest }: { latest: Plan | null }) {
  const { scope } = usePlace();
  const go = useGo();
  const client = useQueryClient();
  const [draft, setDraft] = useState<PlanDraft>(() => draftOf(latest));
  const { busy, failure, run } = useWriting();
  const set = (change: Partial<PlanDraft>) => setDraft((before) => ({ ...before, ...change }));
  const body = bodyOf(draft);
  const changes = body ? changesTo(latest, body) : null;
  const ready = body !== null && body.name !== "" && body.title !== "" && (latest === null || latest.withdrawn || changes?.length !== 0);
  const add = async () => {
    if (body === null) return;
    const made = await unwrap(api.POST("/api/v1/plans", { body }));
    await client.invalidateQueries({ queryKey: ["billing", "plans"] });
    notify("ok", t("planAdded", { plan: made.title, version: made.version }));
    go(pageAddress(scope, "billing", `plans/${made.name}`));
  };
  return (
    <Page title={latest ? t("newVersionOf", { plan: latest.title }) : t("newPlan")}>
      <form
        className="grid max-w-6xl grid-cols-1 items-start gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(20rem,2fr)]"
        onSubmit={(event) => {
          event.preventDefault();
          void run(add);
        }}
      >
        <div className="flex min-w-0 flex-col gap-4">
          <Section>
            <Basics draft={draft} onChange={set} fresh={latest === null} />
          </Section>
          <Section title={t("includedTitle")} hint={t("includedHint")}>
            <Allowances draft={draft} onChange={(allowances) => set({ allowances })} />
          </Section>
        </div>
        <Section title={t("whatChanges")} className="xl:sticky xl:top-4">
          <div className="flex flex-col gap-4">
            {changes === null ? (
              <p className="text-sm text-muted">{t("planUnready")}</p>
            ) : changes.length === 0 ? (
              <p className="text-sm text-muted">{t("nothingChanges", { version: latest?.version ?? 0 })}</p>
            ) : (
              <Changes changes={changes} />
            )}
            <p className="text-xs text-faint">{t(latest ? "staysOn" : "firstVersion")}</p>
            {failure !== null && (
              <Callout tone="bad">
                <span className="whitespace-pre-wrap">{tell(failure)}</span>
              </Callout>
            )}
            <Button type="submit" look="primary" busy={busy} disabled={!ready}>
              {latest ? t("addVersion", { version: latest.version + 1 }) : t("addPlan")}
            </Button>
          </div>
        </Section>
      </form>
    </Page>
  );
}

interface PartProps {
  draft: PlanDraft;
  onChange: (change: Partial<PlanDraft>) => void;
}

function Basics({ draft, onChange, fresh }: PartProps & { fresh: boolean }) {
  return (
    <div className="flex flex-col gap-4">
      <div className="grid items-start gap-x-3 gap-y-4 sm:grid-cols-2">
        <Field label={t("planTitle")}>{(ids) => <Input {...ids} required maxLength={80} value={draft.title} onChange={(event) => onChange({ title: event.target.value })} />}</Field>
        {fresh && (
          <Field label={t("planName")} hint={t("planNameHint")}>
            {(ids) => (
              <Input {...ids} required pattern="[a-z0-9]([\-a-z0-9]{0,61}[a-z0-9])?" spellCheck={false} value={draft.name} onChange={(event) => onChange({ name: event.target.value })} />
            )}
          </Field>
        )}
        <Field label={t("feeOf", { currency: draft.currency })}>
          {(ids) => <AmountInput {...ids} required value={draft.fee} onChange={(event) => onChange({ fee: event.target.value })} />}
        </Field>
        {fresh && (
          <Field label={t("currency")}>
            {(ids) => <Input {...ids} required pattern="[A-Z]{3}" value={draft.currency} onChange={(event) => onChange({ currency: event.target.value.toUpperCase() })} />}
          </Field>
        )}
        <Field label={t("trialField")} hint={t("trialFieldHint")}>
          {(ids) => <Input {...ids} type="number" min={0} max={366} required value={draft.trial} onChange={(event) => onChange({ trial: event.target.value })} />}
        </Field>
      </div>
      <fieldset>
        <legend className="text-sm font-medium">{t("limitsOf")}</legend>
        <p className="mb-2 text-xs text-faint">{t("limitsHint")}</p>
        <div className="grid grid-cols-3 gap-3">
          {LIMITS.map((limit) => (
            <Field key={limit} label={words(limit)}>
              {(ids) => (
                <Input
                  {...ids}
                  inputMode="numeric"
                  placeholder={t("unlimited")}
                  value={draft.limits[limit] ?? ""}
                  onChange={(event) => onChange({ limits: { ...draft.limits, [limit]: event.target.value } })}
                />
              )}
            </Field>
          ))}
        </div>
      </fieldset>
    </div>
  );
}

function Allowances({ draft, onChange }: { draft: PlanDraft; onChange: (allowances: Allowance[]) => void }) {
  const meters = useMeters();
  const { allowances } = draft;
  const put = (index: number, change: Partial<Allowance>) => onChange(allowances.map((row, at) => (at === index ? { ...row, ...change } : row)));
  const free = (own: string): Option[] => meters.filter(({ value }) => value === own || !allowances.some(({ meter }) => meter === value));
  return (
    <div className="flex flex-col gap-3">
      {allowances.map((row, index) => (
        <div key={index} className={cx("grid items-end gap-x-3 gap-y-2 max-sm:border-b max-sm:border-line max-sm:pb-3 sm:grid-cols-[minmax(0,3fr)_minmax(0,2fr)_minmax(0,4fr)_2rem]", index > 0 && "sm:[&_label]:sr-only")}>
          <Field label={t("meter")}>{({ id }) => <MeterBox id={id} meters={free(row.meter)} value={row.meter} onChange={(meter) => put(index, { meter })} />}</Field>
          <Field label={t("allowance")}>
            {(ids) => <Input {...ids} required inputMode="numeric" value={row.included} onChange={(event) => put(index, { included: event.target.value })} />}
          </Field>
          <Field label={t("beyondField", { currency: draft.currency })}>
            {(ids) => <PriceInput {...ids} value={row.beyond} placeholder={t("asTheBook")} onChange={(beyond) => put(index, { beyond })} />}
          </Field>
          <IconButton icon="close" label={t("removeAllowance", { meter: words(row.meter) })} onClick={() => onChange(allowances.filter((_, at) => at !== index))} />
        </div>
      ))}
      <div>
        <Button small icon="plus" onClick={() => onChange([...allowances, NOTHING])}>
          {t("addAllowance")}
        </Button>
      </div>
    </div>
  );
}
